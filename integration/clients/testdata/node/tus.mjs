// SPDX-License-Identifier: Apache-2.0

import { Upload } from 'tus-js-client';
import { attempt, base, key, refusal } from './steps.mjs';

const endpoint = base + '/files/';
const bytes = Buffer.alloc(3_000_000, 'x');
const headers = key === 'unused' ? {} : { Authorization: 'Bearer ' + key };

// upload resolves with the upload when it has ended, or has been left after some bytes.
function upload(options, leaveAfter = Infinity) {
	return new Promise((resolve, reject) => {
		const u = new Upload(bytes, {
			endpoint, headers, chunkSize: 1 << 20, retryDelays: null, metadata: { filename: 'ü.bin', empty: '' }, ...options,
			onError: reject,
			onSuccess: () => resolve(u),
			onChunkComplete: (_, sent) => {
				if (sent > leaveAfter) u.abort().then(() => resolve(u), reject);
			},
		});
		u.start();
	});
}

const place = (u) => u.url.replace(/[0-9a-f]{32}/g, 'ID');

await attempt('upload', async () => place(await upload({})));
await attempt('upload with the creation', async () => place(await upload({ uploadDataDuringCreation: true })));
await attempt('upload of an unknown length', async () => place(await upload({ uploadLengthDeferred: true })));
await attempt('go on with an upload', async () => {
	const left = await upload({}, 1_000_000);
	const u = await upload({ uploadUrl: left.url });
	return [place(left), place(u), left.url === u.url];
});
await attempt('upload in parallel', async () => place(await upload({ parallelUploads: 2 })));
await attempt('end an upload', async () => {
	const left = await upload({}, 1_000_000);
	await left.abort(true);
	return (await fetch(left.url, { method: 'HEAD', headers: { ...headers, 'Tus-Resumable': '1.0.0' } })).status;
});
await attempt('POST in the place of PATCH', async () => place(await upload({ overridePatchMethod: true })));
await refusal('too large', () => new Promise((resolve, reject) => {
	new Upload(bytes, { endpoint, headers, uploadSize: 1e12, retryDelays: null, onError: (err) => reject(new Error(String(err).replace(/request id.*/, ''))), onSuccess: resolve }).start();
}));
