// SPDX-License-Identifier: Apache-2.0

import { GoogleGenAI } from '@google/genai';
import { attempt, base, key, refusal } from './steps.mjs';

const ai = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: base } });
const ask = { model: 'small', contents: 'Grüße' };

await attempt('generate', async () => (await ai.models.generateContent(ask)).text);
await attempt('generate as a stream', async () => {
	const parts = [];
	for await (const chunk of await ai.models.generateContentStream(ask)) parts.push(chunk.text);
	return parts;
});
await attempt('count tokens', async () => (await ai.models.countTokens(ask)).totalTokens);
await attempt('a chat', async () => {
	const chat = ai.chats.create({ model: 'small' });
	return [(await chat.sendMessage({ message: 'one' })).text, (await chat.sendMessage({ message: 'two' })).text];
});
await attempt('all pages of models', async () => {
	const names = [];
	for await (const model of await ai.models.list({ config: { pageSize: 2 } })) names.push(model.name);
	return names;
});
await attempt('upload a file', async () => {
	const { name, sizeBytes, mimeType } = await ai.files.upload({
		file: new Blob([new Uint8Array(9_000_000)], { type: 'application/octet-stream' }), config: { mimeType: 'application/octet-stream' },
	});
	return { name, sizeBytes, mimeType };
});
await refusal('a bad request', () => ai.models.generateContent({ ...ask, model: 'absent' }));
