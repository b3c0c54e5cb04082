// An authorization server, by a library of its own, that judges how a client authenticates.
// Its one argument is JSON: {"jwks_uri": …, "cert": …, "key": …}. It prints its two addresses.
import http from 'node:http';
import https from 'node:https';
import { createRequire } from 'node:module';

const require = createRequire(process.env.ISSUER_MODULES);
const { default: Provider } = await import(require.resolve('oidc-provider'));
const given = JSON.parse(process.argv[2]);

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
		client('tls_client_auth', { tls_client_auth_subject_dn: 'CN=gateway' }),
	],
	clientAuthMethods: methods,
	// Its own would not ask a loopback address for jwks_uri.
	fetch: (url, { dispatcher, ...options }) => fetch(url, options),
	features: {
		devInteractions: { enabled: false },
		clientCredentials: { enabled: true },
		revocation: { enabled: true },
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
		server.on('request', new Provider(issuer, configuration).callback());
		resolve(issuer);
	});
});
const plain = await serve(http.createServer(), 'http');
const secure = await serve(https.createServer({ cert: given.cert, key: given.key, requestCert: true, rejectUnauthorized: false }), 'https');
console.log(JSON.stringify({ plain, secure }));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
