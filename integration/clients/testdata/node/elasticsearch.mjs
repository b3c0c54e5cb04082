// SPDX-License-Identifier: Apache-2.0

import { Client } from '@elastic/elasticsearch';
import { attempt, base, key, refusal } from './steps.mjs';

const client = new Client({ node: base, auth: { apiKey: key }, compression: true, maxRetries: 3, retryBackoff: () => 0.01 });

await attempt('info', () => client.info());
await attempt('index', () => client.index({ index: 'a', id: 'ü/1', document: { text: 'x'.repeat(5000) } }));
await attempt('exists', () => client.exists({ index: 'a', id: '1' }));
await attempt('does not exist', () => client.exists({ index: 'a', id: 'absent' }));
await attempt('search', async () => (await client.search({ index: 'a', query: { match_all: {} } })).hits.hits.length);
await attempt('bulk', async () => {
	const documents = Array.from({ length: 500 }, (_, i) => ({ i }));
	const { time, bytes, ...result } = await client.helpers.bulk({ datasource: documents, onDocument: () => ({ index: { _index: 'a' } }) });
	return result;
});
await attempt('scroll', async () => {
	const seen = [];
	for await (const page of client.helpers.scrollSearch({ index: 'a', query: { match_all: {} } })) seen.push(page.documents.length);
	return seen;
});
await attempt('after 503 and 502', () => client.cat.count({ index: 'busy', format: 'json' }));
await attempt('text', () => client.cat.indices({ v: true }));
await refusal('not there', () => client.get({ index: 'a', id: 'absent' }));
