// SPDX-License-Identifier: Apache-2.0

// A server that verifies HTTP Message Signatures with a library of its own, and says what it finds.
// Its arguments are an address, and a file with the keys by their ids.
import { createHash, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createVerifier, httpbis } from 'http-message-signatures';

const [address, file] = process.argv.slice(2);
const [host, port] = address.split(':');
const keys = new Map(Object.entries(JSON.parse(readFileSync(file, 'utf8'))).map(([id, { alg, key }]) => {
	const verifying = key.startsWith('-----') ? createPublicKey(key) : key;
	return [id, { id, algs: [alg], verify: createVerifier(verifying, alg) }];
}));

const verify = async (req, body) => {
	const digest = req.headers['content-digest'];
	if (body.length > 0 && req.headers['signature-input']?.includes('content-digest')) {
		const want = `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;
		if (digest !== want) {
			return `the digest is ${digest}, want ${want}`;
		}
	}
	const headers = {};
	for (let i = 0; i < req.rawHeaders.length; i += 2) {
		const name = req.rawHeaders[i].toLowerCase();
		headers[name] = name in headers ? [headers[name], req.rawHeaders[i + 1]].flat() : req.rawHeaders[i + 1];
	}
	const verified = await httpbis.verifyMessage({ keyLookup: async ({ keyid }) => keys.get(keyid ?? 'none'), tolerance: 60 }, {
		method: req.method, url: `http://${req.headers.host}${req.url}`, headers,
	});
	return verified === true ? 'verified' : `not verified: ${verified}`;
};

createServer((req, res) => {
	const chunks = [];
	req.on('data', (chunk) => chunks.push(chunk));
	req.on('end', async () => {
		try {
			res.end(await verify(req, Buffer.concat(chunks)));
		} catch (err) {
			res.end(`${err}`);
		}
	});
}).listen(Number(port), host);
