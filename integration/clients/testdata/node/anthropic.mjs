// SPDX-License-Identifier: Apache-2.0

import Anthropic from '@anthropic-ai/sdk';
import { attempt, base, key, refusal } from './steps.mjs';

const client = new Anthropic({ apiKey: key, baseURL: base, maxRetries: 2 });
const ask = { model: 'small', max_tokens: 10, messages: [{ role: 'user', content: 'hello' }] };

await attempt('a message', () => client.messages.create(ask));
await attempt('a stream', async () => {
	const events = [];
	const stream = client.messages.stream(ask);
	stream.on('streamEvent', (event) => events.push(event.type));
	const message = await stream.finalMessage();
	return [events, message.content, message.stop_reason];
});
await attempt('a raw stream', async () => {
	const types = [];
	for await (const event of await client.messages.create({ ...ask, stream: true })) types.push(event.type);
	return types;
});
await attempt('count tokens', () => client.messages.countTokens({ model: 'small', messages: ask.messages }));
await attempt('all pages of models', async () => {
	const names = [];
	for await (const model of client.models.list({ limit: 2 })) names.push(model.id);
	return names;
});
await attempt('the results of a batch', async () => {
	const results = [];
	for await (const result of await client.messages.batches.results('batch_1')) results.push(result.custom_id);
	return results;
});
await attempt('the identifier of the request', async () => (await client.messages.create(ask))._request_id);
await attempt('after two 529', () => client.messages.create({ ...ask, model: 'busy' }));
await refusal('an error in a stream', async () => {
	for await (const _ of await client.messages.create({ ...ask, model: 'broken', stream: true }));
});
await refusal('a bad request', () => client.messages.create({ ...ask, model: 'absent' }));
