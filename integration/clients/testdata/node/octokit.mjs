// SPDX-License-Identifier: Apache-2.0

import { Octokit } from '@octokit/rest';
import { attempt, base, key, refusal } from './steps.mjs';

const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const octokit = new Octokit({ auth: key, baseUrl: base, log: quiet, retry: { enabled: false } });
const repo = { owner: 'ann', repo: 'one' };

await attempt('the user', async () => (await octokit.rest.users.getAuthenticated()).data);
await attempt('all pages', async () => (await octokit.paginate(octokit.rest.issues.listForRepo, { ...repo, per_page: 2 })).map((i) => i.number));
await attempt('page by page', async () => {
	const pages = [];
	for await (const page of octokit.paginate.iterator(octokit.rest.issues.listForRepo, { ...repo, per_page: 2 })) {
		pages.push([page.data.length, page.headers.link]);
	}
	return pages;
});
await attempt('pages that the API names by paths', async () => (await octokit.paginate('GET /paths')).length);
await attempt('a repository that was renamed', async () => (await octokit.rest.repos.get({ owner: 'ann', repo: 'old' })).data.name);
await attempt('a name with a slash', async () => (await octokit.rest.repos.getContent({ ...repo, path: 'a b/ü#?.md', ref: 'feature/x' })).data);
await attempt('what is elsewhere', async () => (await octokit.request('GET /repos/{owner}/{repo}/zipball/{ref}', { ...repo, ref: 'main', request: { redirect: 'manual' } })).headers.location);
await attempt('create', async () => {
	const { status, data, headers } = await octokit.rest.issues.create({ ...repo, title: 'ü', body: 'x'.repeat(100_000) });
	return [status, data.number, headers.location, headers['x-ratelimit-remaining']];
});
await attempt('upload an asset', async () => {
	const { data } = await octokit.rest.repos.uploadReleaseAsset({ ...repo, baseUrl: base, release_id: 1, name: 'a b.bin', data: Buffer.alloc(200_000, 1) });
	return data;
});
await attempt('star', async () => (await octokit.rest.activity.starRepoForAuthenticatedUser(repo)).status);
await refusal('not modified', () => octokit.rest.repos.get({ ...repo, headers: { 'if-none-match': '"v1"' } }));
await refusal('not there', () => octokit.rest.repos.get({ owner: 'ann', repo: 'absent' }));
