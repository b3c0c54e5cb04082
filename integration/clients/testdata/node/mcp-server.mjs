// SPDX-License-Identifier: Apache-2.0

// A server of the TypeScript SDK with sessions: mcp-server.mjs <address> <credential>. Where the
// credential is a URL, that says whether a request may pass.

import { McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';
import { z } from 'zod';

const [address, key] = process.argv.slice(2);
const [host, port] = address.split(':');
const sessions = new Map();

function newServer() {
	const server = new McpServer({ name: 'one', version: '1.0.0' }, { capabilities: { logging: {} } });
	server.registerTool('add', { inputSchema: { a: z.number(), b: z.number() } }, ({ a, b }) => ({ content: [{ type: 'text', text: String(a + b) }] }));
	server.registerTool('count', { inputSchema: { to: z.number() } }, async ({ to }, extra) => {
		const progressToken = extra._meta?.progressToken;
		for (let progress = 1; progress <= to; progress++) {
			await extra.sendNotification({ method: 'notifications/progress', params: { progressToken, progress, total: to } });
		}
		return { content: [{ type: 'text', text: 'counted' }] };
	});
	server.registerTool('grow', {}, () => {
		server.registerTool('grown', {}, () => ({ content: [] }));
		return { content: [{ type: 'text', text: 'x'.repeat(300_000) }] };
	});
	server.registerResource('note', new ResourceTemplate('note://{name}', { list: undefined }), {}, (uri, { name }) => ({ contents: [{ uri: uri.href, text: 'about ' + name }] }));
	return server;
}

async function mayPass({ authorization, 'x-caller': caller }) {
	if (!key.startsWith('http')) return authorization === 'Bearer ' + key;
	return (await fetch(key, { headers: { authorization, 'x-caller': caller } })).ok;
}

createServer(async (req, res) => {
	if (!(await mayPass(req.headers)) || req.url !== '/mcp') {
		res.writeHead(req.url === '/mcp' ? 401 : 404, { 'WWW-Authenticate': 'Bearer error="invalid_token"' }).end(req.url);
		return;
	}
	let transport = sessions.get(req.headers['mcp-session-id']);
	if (!transport) {
		transport = new StreamableHTTPServerTransport({
			sessionIdGenerator: () => randomUUID(),
			onsessioninitialized: (id) => sessions.set(id, transport),
		});
		transport.onclose = () => sessions.delete(transport.sessionId);
		await newServer().connect(transport);
	}
	await transport.handleRequest(req, res);
}).listen(Number(port), host);
