// SPDX-License-Identifier: Apache-2.0

import OpenAI, { toFile } from 'openai';
import { attempt, base, key, refusal } from './steps.mjs';

const client = new OpenAI({ apiKey: key, baseURL: base, maxRetries: 2 });
const ask = { model: 'small', messages: [{ role: 'user', content: 'Grüße, 世界' }] };

await attempt('chat', () => client.chat.completions.create(ask));
await attempt('chat as a stream', async () => {
	const parts = [];
	for await (const chunk of await client.chat.completions.create({ ...ask, stream: true })) {
		parts.push(chunk.choices[0].delta.content);
	}
	return parts;
});
await attempt('leave a stream', async () => {
	const stream = await client.chat.completions.create({ ...ask, model: 'endless', stream: true });
	let n = 0;
	for await (const _ of stream) {
		if (++n === 3) break;
	}
	return n;
});
await attempt('all pages of models', async () => {
	const ids = [];
	for await (const file of client.files.list({ limit: 2 })) ids.push(file.id);
	return ids;
});
await attempt('upload a file', async () => {
	const { id, bytes, filename, purpose } = await client.files.create({
		file: await toFile(Buffer.alloc(300_000, 'x'), 'data – ü.jsonl'), purpose: 'batch',
	});
	return { id, bytes, filename, purpose };
});
await attempt('download bytes', async () => {
	const answer = await client.audio.speech.create({ model: 'voice', voice: 'alloy', input: 'hello' });
	return [answer.headers.get('content-type'), Buffer.from(await answer.arrayBuffer()).toString('hex').slice(0, 40)];
});
await attempt('embeddings', async () => (await client.embeddings.create({ model: 'e', input: ['a', 'b'] })).data);
await attempt('the raw answer', async () => {
	const { response, request_id } = await client.models.list().withResponse();
	return [response.status, response.headers.get('x-request-id'), request_id, response.headers.get('x-ratelimit-remaining-requests')];
});
await attempt('after two 429', () => client.chat.completions.create({ ...ask, model: 'busy' }));
await attempt('delete', () => client.files.delete('file-1'));
await refusal('a bad request', () => client.chat.completions.create({ ...ask, model: 'absent' }));
await refusal('a time-out', () => client.chat.completions.create({ ...ask, model: 'slow' }, { timeout: 300, maxRetries: 0 }));
