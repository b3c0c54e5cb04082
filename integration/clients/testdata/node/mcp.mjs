// SPDX-License-Identifier: Apache-2.0

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { attempt, base, key, refusal } from './steps.mjs';

const requestInit = key === 'unused' ? {} : { headers: { Authorization: 'Bearer ' + key } };
const transport = new StreamableHTTPClientTransport(new URL(base), { requestInit });
const client = new Client({ name: 'caller', version: '1.0.0' });
let changed;
const change = new Promise((resolve) => { changed = resolve; });

await attempt('connect', async () => {
	await client.connect(transport);
	client.setNotificationHandler(ToolListChangedNotificationSchema, () => changed('changed'));
	return [client.getServerVersion(), typeof transport.sessionId];
});
await attempt('list the tools', async () => (await client.listTools()).tools.map((t) => t.name));
await attempt('call a tool', async () => (await client.callTool({ name: 'add', arguments: { a: 1, b: 2 } })).content);
await attempt('progress', async () => {
	const seen = [];
	const answer = await client.callTool({ name: 'count', arguments: { to: 3 } }, undefined, { onprogress: (p) => seen.push(p.progress) });
	return [seen, answer.content];
});
await attempt('a notification from the server', async () => {
	await new Promise((resolve) => { setTimeout(resolve, 200); }); // the stream for it is opened beside
	const { content } = await client.callTool({ name: 'grow' });
	return [content[0].text.length, await Promise.race([change, new Promise((resolve) => { setTimeout(resolve, 5000, 'nothing').unref(); })])];
});
await attempt('read a resource', async () => (await client.readResource({ uri: 'note://gold' })).contents);
await refusal('a tool that is not there', async () => {
	const answer = await client.callTool({ name: 'absent' });
	if (answer.isError) throw new Error(answer.content[0].text);
	return answer;
});
await attempt('end the session', () => transport.terminateSession());
await client.close();
