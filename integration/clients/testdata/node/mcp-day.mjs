// SPDX-License-Identifier: Apache-2.0

// A client that works for a while: mcp-day.mjs <url> <user> <seconds> <SDK>. It knows OAuth, and
// must never use it. It prints what it has done, and what went wrong, as one line of JSON.

const [url, user, seconds, sdk] = process.argv.slice(2);
const names = sdk === 'v2'
	? ['@modelcontextprotocol/client', '@modelcontextprotocol/client']
	: ['@modelcontextprotocol/sdk/client/index.js', '@modelcontextprotocol/sdk/client/streamableHttp.js'];
const [{ Client }, { StreamableHTTPClientTransport }] = await Promise.all(names.map((name) => import(name)));

const told = { client: 'typescript ' + sdk, calls: 0, sessions: 0, errors: [], oauth: [], revisions: [] };
const begun = (what) => (...args) => { told.oauth.push(what); throw new Error('OAuth was begun: ' + what + ' ' + args.map(String)); };
const authProvider = {
	redirectUrl: 'http://127.0.0.1:1/callback', clientMetadata: { redirect_uris: [] }, tokens: () => undefined, clientInformation: begun('client'),
	saveClientInformation: begun('registration'), saveTokens: begun('tokens'), redirectToAuthorization: begun('redirect'), saveCodeVerifier: begun('verifier'),
	codeVerifier: begun('verifier'),
};
const options = sdk === 'v2' ? { versionNegotiation: { mode: 'auto' } } : {};
const headers = { Authorization: 'Basic ' + Buffer.from(user + ':secret').toString('base64'), 'X-Caller': user };

async function session() {
	const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers }, authProvider });
	const client = new Client({ name: 'caller', version: '1.0.0' }, options);
	client.onerror = (err) => { if (!/abort|terminated/i.test(String(err))) told.errors.push('beside: ' + err); };
	await client.connect(transport);
	told.sessions++;
	const revision = client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion;
	if (!told.revisions.includes(revision)) told.revisions.push(revision);
	for (let i = 0; i < 8; i++) {
		const { tools } = await client.listTools();
		if (!tools.some((t) => t.name === 'add')) throw new Error('no tools: ' + JSON.stringify(tools));
		const sum = await client.callTool({ name: 'add', arguments: { a: i, b: 2 } });
		if (sum.isError || sum.content[0].text !== String(i + 2)) throw new Error('add: ' + JSON.stringify(sum));
		const seen = [];
		const onprogress = (p) => seen.push(p.progress);
		const counted = await (sdk === 'v2'
			? client.callTool({ name: 'count', arguments: { to: 3 } }, { onprogress })
			: client.callTool({ name: 'count', arguments: { to: 3 } }, undefined, { onprogress }));
		if (counted.isError || seen.join() !== '1,2,3') throw new Error('count: ' + seen + ' ' + JSON.stringify(counted));
		told.calls += 3;
		await new Promise((resolve) => { setTimeout(resolve, 100); });
	}
	await transport.terminateSession?.();
	await client.close();
}

for (const end = Date.now() + 1000 * Number(seconds); Date.now() < end;) {
	try {
		await session();
	} catch (err) {
		told.errors.push(String(err?.message ?? err));
		await new Promise((resolve) => { setTimeout(resolve, 500); });
	}
}
process.stdout.write(JSON.stringify(told) + '\n');
process.exit(0);
