// SPDX-License-Identifier: Apache-2.0

// The steps of a client: each is a line of JSON with its name and what came of it.

export const [base, key, ...args] = process.argv.slice(2);

function say(step, result, failed) {
	process.stdout.write(JSON.stringify({ step, result: result === undefined ? null : result, failed }) + '\n');
}

function told(err) {
	return { error: err?.constructor?.name, status: err?.status ?? err?.statusCode ?? err?.code, message: String(err?.message) };
}

// attempt does what is to work.
export async function attempt(step, fn) {
	try {
		say(step, await fn(), false);
	} catch (err) {
		say(step, told(err), true);
	}
}

// refusal does what is to fail.
export async function refusal(step, fn) {
	try {
		say(step, await fn(), true);
	} catch (err) {
		say(step, told(err), false);
	}
}
