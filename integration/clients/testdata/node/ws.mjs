// SPDX-License-Identifier: Apache-2.0

import WebSocket from 'ws';
import { once } from 'node:events';
import { attempt, base, key, refusal } from './steps.mjs';

const url = base.replace(/^http/, 'ws');
const headers = key === 'unused' ? {} : { Authorization: 'Bearer ' + key };

async function open(path, protocols, options) {
	const socket = new WebSocket(url + path, protocols, { headers, ...options });
	await new Promise((resolve, reject) => { socket.once('open', resolve); socket.once('error', reject); });
	return socket;
}

let socket;
await attempt('open', async () => {
	socket = await open('/echo?a=b', ['other', 'chat']);
	return [socket.protocol, socket.extensions];
});
await attempt('text', async () => { socket.send('grün'); return String((await once(socket, 'message'))[0]); });
await attempt('bytes', async () => {
	socket.send(Buffer.alloc(2_000_000, 7));
	const [data, binary] = await once(socket, 'message');
	return [data.length, binary];
});
await attempt('in pieces', async () => {
	socket.send('one ', { fin: false });
	socket.send('two', { fin: true });
	return String((await once(socket, 'message'))[0]);
});
await attempt('ping', async () => { socket.ping('p'); return String((await once(socket, 'pong'))[0]); });
await attempt('close', async () => {
	socket.close(4001, 'over');
	const [code, reason] = await once(socket, 'close');
	return [code, String(reason)];
});
await attempt('the server closes', async () => {
	const s = await open('/echo');
	s.send('close');
	const [code, reason] = await once(s, 'close');
	return [code, String(reason)];
});
await attempt('without compression', async () => {
	const s = await open('/echo', [], { perMessageDeflate: false });
	s.send('plain');
	const [data] = await once(s, 'message');
	s.terminate();
	return [String(data), s.extensions];
});
await refusal('no such path', () => open('/absent'));
