// SPDX-License-Identifier: Apache-2.0

// A client whose account may be missing: mcp-consent.mjs <url> <user> <SDK>. It prints what it is
// told, one line of JSON each: the error of connecting; or an elicitation, after which it waits for
// a line of standard input before its user accepts; and at last what a tool has answered.

import { createInterface } from 'node:readline';

const [url, user, sdk] = process.argv.slice(2);
const names = sdk === 'v2'
	? ['@modelcontextprotocol/client', '@modelcontextprotocol/client']
	: ['@modelcontextprotocol/sdk/client/index.js', '@modelcontextprotocol/sdk/client/streamableHttp.js'];
const [{ Client }, { StreamableHTTPClientTransport }] = await Promise.all(names.map((name) => import(name)));
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (what) => process.stdout.write(JSON.stringify(what) + '\n');

const oauth = [];
const begun = (what) => () => { oauth.push(what); throw new Error('OAuth was begun: ' + what); };
const authProvider = {
	redirectUrl: 'http://127.0.0.1:1/callback', clientMetadata: { redirect_uris: [] }, tokens: () => undefined, clientInformation: begun('client'),
	saveClientInformation: begun('registration'), saveTokens: begun('tokens'), redirectToAuthorization: begun('redirect'), saveCodeVerifier: begun('verifier'),
	codeVerifier: begun('verifier'),
};
const headers = { Authorization: 'Basic ' + Buffer.from(user + ':secret').toString('base64'), 'X-Caller': user };
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers }, authProvider });
const client = new Client({ name: 'caller', version: '1.0.0' }, {
	capabilities: { elicitation: { form: {}, url: {} } }, ...(sdk === 'v2' ? { versionNegotiation: { mode: 'auto' } } : {}),
});
const schema = sdk === 'v2' ? 'elicitation/create' : (await import('@modelcontextprotocol/sdk/types.js')).ElicitRequestSchema;
client.setRequestHandler(schema, async ({ params }) => {
	say({ elicitation: params });
	await input.next();
	return { action: 'accept' };
});
try {
	await client.connect(transport);
	say({ connected: true });
	await input.next();
	say({ answer: await client.callTool({ name: 'add', arguments: { a: 1, b: 2 } }), oauth });
} catch (err) {
	say({ error: String(err?.message ?? err), code: err?.code, data: err?.data, oauth });
}
process.exit(0);
