// SPDX-License-Identifier: Apache-2.0

import { Storage } from '@google-cloud/storage';
import { createRequire } from 'node:module';
import { attempt, base, key, refusal } from './steps.mjs';

const options = { apiEndpoint: base, projectId: 'p', retryOptions: { autoRetry: false } };
if (key !== 'unused') {
	// With an endpoint of one's own the SDK sends no credential unless it is told to.
	const inner = createRequire(createRequire(import.meta.url).resolve('@google-cloud/storage'));
	const { OAuth2Client } = inner('google-auth-library');
	options.authClient = new OAuth2Client();
	options.authClient.setCredentials({ access_token: key, expiry_date: Date.now() + 3600_000 });
	options.useAuthWithCustomEndpoint = true;
	inner('gaxios').instance.defaults = { headers: { Authorization: 'Bearer ' + key } }; // sessions are not told
}
const storage = new Storage(options);
const bucket = storage.bucket('bucket');
const bytes = Buffer.alloc(2_500_000, 'x');

await attempt('create a bucket', async () => (await storage.createBucket('bucket'))[0].name);
await attempt('upload at once', () => bucket.file('small.txt').save('hello', { resumable: false, contentType: 'text/plain' }));
await attempt('the URI of a session', async () => (await bucket.file('later').createResumableUpload())[0].replace(/upload_id=[^&]*/, 'upload_id=U'));
await attempt('upload in a session', () => bucket.file('dir/large ü#?.bin').save(bytes, { resumable: true, validation: 'md5' }));
await attempt('upload in parts of a session', () => bucket.file('chunked').save(bytes, { resumable: true, chunkSize: 1 << 20 }));
await attempt('list', async () => (await bucket.getFiles({ autoPaginate: true, maxResults: 2 }))[0].map((f) => f.name));
await attempt('metadata', async () => {
	const [{ name, size, contentType, md5Hash }] = await bucket.file('small.txt').getMetadata();
	return { name, size, contentType, md5Hash };
});
await attempt('download', async () => (await bucket.file('dir/large ü#?.bin').download())[0].equals(bytes));
await attempt('download a part', async () => (await bucket.file('small.txt').download({ start: 1, end: 2 }))[0].toString());
await attempt('set metadata', async () => (await bucket.file('small.txt').setMetadata({ metadata: { a: 'ü' } }))[0].metadata);
await attempt('copy', async () => (await bucket.file('small.txt').copy(bucket.file('copy of small.txt')))[0].name);
await attempt('move', async () => (await bucket.file('copy of small.txt').move('moved'))[0].name);
await attempt('exists', async () => [(await bucket.file('moved').exists())[0], (await bucket.file('absent').exists())[0]]);
await attempt('delete', async () => (await bucket.file('moved').delete())[0].statusCode);
await refusal('not there', () => bucket.file('absent').download());
