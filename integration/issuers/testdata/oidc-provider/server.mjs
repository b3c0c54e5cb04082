// An authorization server, by a library of its own, that judges how a client authenticates.
// Its one argument is JSON: {"jwks_uri": …, "redirect_uri": …, "cert": …, "key": …}. It prints its
// two addresses. Then each line that it reads is a number of seconds by which its clock goes on,
// and the answer is what has happened so far, and how often. Everybody who signs in is ann, and
// consents to everything.
import http from 'node:http';
import https from 'node:https';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

console.info = console.error; // its notices; what is read here is on standard output

const require = createRequire(process.env.ISSUER_MODULES);
const { default: Provider } = await import(require.resolve('oidc-provider'));
const given = JSON.parse(process.argv[2]);

// What has happened.
const seen = new Map();
const count = (what) => seen.set(what, (seen.get(what) ?? 0) + 1);

// The clock of oidc-provider, by which it keeps the keys of a client.
const clock = Date.now;
let ahead = 0;
Date.now = () => clock() + ahead;

const methods = ['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'tls_client_auth', 'none'];
const client = (method, more) => ({
	client_id: 'of ' + method, token_endpoint_auth_method: method, grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
	...(method.startsWith('client_secret') ? { client_secret: 'C4nary&s3cret+Xq7/Lm2=Zk9 Wd5 0123456789abcdef0123456789abcdef' } : {}),
	...more,
});
const configuration = {
	clients: [
		client('client_secret_basic'), client('client_secret_post'), client('client_secret_jwt'),
		client('private_key_jwt', { jwks_uri: given.jwks_uri }),
		...(given.redirect_uri ? [client('private_key_jwt', {
			client_id: 'account', jwks_uri: given.jwks_uri, grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
			redirect_uris: [given.redirect_uri], scope: 'openid offline_access',
		})] : []),
		client('tls_client_auth', { tls_client_auth_subject_dn: 'CN=gateway' }),
	],
	clientAuthMethods: methods,
	// Its own would not ask a loopback address for jwks_uri.
	fetch: (url, { dispatcher, ...options }) => {
		count('fetched ' + new URL(url).pathname);
		return fetch(url, options);
	},
	scopes: ['openid', 'offline_access'],
	findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
	interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
	rotateRefreshToken: true,
	cookies: { keys: ['a key of this test'] },
	features: {
		devInteractions: { enabled: false },
		clientCredentials: { enabled: true },
		revocation: { enabled: true },
		pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
		mTLS: {
			enabled: true, tlsClientAuth: true,
			getCertificate: (ctx) => ctx.socket.getPeerX509Certificate?.(),
			certificateAuthorized: () => true,
			certificateSubjectMatches: (ctx, property, expected) => ctx.socket.getPeerX509Certificate?.()?.subject === expected,
		},
	},
};

const serve = (server, scheme) => new Promise((resolve) => {
	server.listen(0, '127.0.0.1', () => {
		const issuer = `${scheme}://127.0.0.1:${server.address().port}`;
		const provider = new Provider(issuer, configuration);
		for (const event of ['access_token.saved', 'access_token.destroyed', 'refresh_token.destroyed', 'grant.revoked', 'pushed_authorization_request.success']) {
			provider.on(event, () => count(event));
		}
		for (const event of ['authorization.error', 'grant.error', 'revocation.error', 'pushed_authorization_request.error', 'server_error']) {
			provider.on(event, (_, err) => count(`${event} ${err.message} ${err.error_description ?? ''}`));
		}
		server.on('request', async (req, res) => {
			if (!req.url.startsWith('/interaction/')) return provider.callback()(req, res);
			const { prompt, params, session } = await provider.interactionDetails(req, res);
			if (prompt.name === 'login') return provider.interactionFinished(req, res, { login: { accountId: 'ann' } });
			const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
			grant.addOIDCScope(params.scope);
			return provider.interactionFinished(req, res, { consent: { grantId: await grant.save() } });
		});
		resolve(issuer);
	});
});
const plain = await serve(http.createServer(), 'http');
const secure = await serve(https.createServer({ cert: given.cert, key: given.key, requestCert: true, rejectUnauthorized: false }), 'https');
console.log(JSON.stringify({ plain, secure }));
const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
	ahead += Number(line) * 1000;
	console.log(JSON.stringify(Object.fromEntries(seen)));
});
lines.on('close', () => process.exit(0));
