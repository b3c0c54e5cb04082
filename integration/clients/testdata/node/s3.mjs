// SPDX-License-Identifier: Apache-2.0

import {
	CopyObjectCommand, CreateBucketCommand, DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command,
	PutObjectCommand, PutObjectTaggingCommand, GetObjectTaggingCommand, S3Client, paginateListObjectsV2,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { Readable } from 'node:stream';
import { attempt, base, refusal } from './steps.mjs';

// The requests are signed with a key of the client's own, whatever the gateway adds.
const client = new S3Client({
	endpoint: base, region: 'us-east-1', forcePathStyle: true, maxAttempts: 1,
	credentials: { accessKeyId: 'access', secretAccessKey: 'secret-of-the-client' },
});
const send = (Command, input) => client.send(new Command({ Bucket: 'bucket', ...input }));
const odd = "dir/a b+c&d=e/ü#?;,:@'()!*~.txt";

await attempt('create a bucket', async () => (await send(CreateBucketCommand)).Location);
await attempt('put', async () => (await send(PutObjectCommand, { Key: 'small', Body: 'hello', ContentType: 'text/plain', Metadata: { a: 'b' } })).ETag);
await attempt('put an odd key', async () => (await send(PutObjectCommand, { Key: odd, Body: 'odd' })).ETag);
await attempt('put a stream', async () => (await send(PutObjectCommand, { Key: 'stream', Body: Readable.from([Buffer.alloc(200_000, 1)]), ContentLength: 200_000 })).ETag);
await attempt('upload in parts', async () => (await new Upload({ client, params: { Bucket: 'bucket', Key: 'large', Body: Buffer.alloc(11 << 20, 2) } }).done()).ETag);
await attempt('get', async () => {
	const { Body, ContentType, Metadata } = await send(GetObjectCommand, { Key: 'small' });
	return [await Body.transformToString(), ContentType, Metadata];
});
await attempt('get an odd key', async () => (await send(GetObjectCommand, { Key: odd })).Body.transformToString());
await attempt('get a part', async () => {
	const { Body, ContentRange } = await send(GetObjectCommand, { Key: 'small', Range: 'bytes=1-3' });
	return [await Body.transformToString(), ContentRange];
});
await attempt('head', async () => (await send(HeadObjectCommand, { Key: 'large' })).ContentLength);
await attempt('list', async () => {
	const keys = [];
	for await (const page of paginateListObjectsV2({ client, pageSize: 2 }, { Bucket: 'bucket' })) keys.push(page.Contents?.map((o) => o.Key));
	return keys;
});
await attempt('list a folder', async () => (await send(ListObjectsV2Command, { Prefix: 'dir/', Delimiter: '/' })).CommonPrefixes);
await attempt('copy', async () => (await send(CopyObjectCommand, { Key: 'copy', CopySource: '/bucket/small' })).CopyObjectResult.ETag);
await attempt('tags', async () => {
	await send(PutObjectTaggingCommand, { Key: 'small', Tagging: { TagSet: [{ Key: 'k', Value: 'v w' }] } });
	return (await send(GetObjectTaggingCommand, { Key: 'small' })).TagSet;
});
await attempt('delete', async () => (await send(DeleteObjectCommand, { Key: odd })).$metadata.httpStatusCode);
await refusal('not there', () => send(GetObjectCommand, { Key: 'absent' }));
await refusal('not changed', () => send(GetObjectCommand, { Key: 'small', IfNoneMatch: '"5d41402abc4b2a76b9719d911017c592"' }));
