// SPDX-License-Identifier: Apache-2.0
//
// An authorization server that nobody here wrote (oidc-provider), and an API that takes its tokens
// and says so by RFC 9728. Everybody who comes is ann, and consents to everything.
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const [modules, mode] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(`${modules}/oidc-provider/lib/index.js`));
const jose = await import(pathToFileURL(`${modules}/jose/dist/webapi/index.js`));
const strict = mode === 'strict'; // pushed requests, bound tokens, nonces

const listen = (server) => new Promise((done) => server.listen(0, '127.0.0.1', () => done(`http://127.0.0.1:${server.address().port}`)));

let provider;
const seen = new Map(); // what has come, for the test
const count = (what) => seen.set(what, (seen.get(what) ?? 0) + 1);

const as = createServer(async (req, res) => {
  const path = new URL(req.url, issuer).pathname;
  count(`${req.method} ${path.replace(/^\/(auth|interaction)\/.*/, '/$1/…')}`);
  if (!path.startsWith('/interaction/')) return provider.callback()(req, res);
  const { prompt, params, session } = await provider.interactionDetails(req, res);
  if (prompt.name === 'login') return provider.interactionFinished(req, res, { login: { accountId: 'ann' } });
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope ?? '');
  for (const resource of [params.resource].flat().filter(Boolean)) grant.addResourceScope(resource, 'read write');
  return provider.interactionFinished(req, res, { consent: { grantId: await grant.save() } });
});
const issuer = await listen(as);

const api = createServer(async (req, res) => {
  const url = new URL(req.url, resource);
  const say = (status, body, more = {}) => {
    res.writeHead(status, { 'content-type': 'application/json', ...more });
    res.end(JSON.stringify(body));
  };
  if (url.pathname === '/.well-known/oauth-protected-resource/mcp') {
    return say(200, {
      resource, authorization_servers: [issuer], scopes_supported: ['read', 'write'], ...(strict && { dpop_bound_access_tokens_required: true }),
    });
  }
  if (url.pathname === '/seen') return say(200, Object.fromEntries(seen));
  const [scheme, text] = (req.headers.authorization ?? '').split(' ');
  const token = text && (await provider.AccessToken.find(text));
  const refuse = (why) => say(401, { why }, { 'www-authenticate': `${strict ? 'DPoP' : 'Bearer'} resource_metadata="${resource.replace('/mcp', '/.well-known/oauth-protected-resource/mcp')}"` });
  if (!token?.isValid) return refuse('no token');
  if (![token.aud].flat().includes(resource)) return refuse(`the token is for ${token.aud}`);
  if (strict) {
    const proof = req.headers.dpop;
    const { jwk } = jose.decodeProtectedHeader(proof);
    const { payload } = await jose.jwtVerify(proof, await jose.importJWK(jwk, 'ES256'), { typ: 'dpop+jwt' });
    if (scheme !== 'DPoP' || (await jose.calculateJwkThumbprint(jwk)) !== token.jkt || payload.htu !== resource.replace('/mcp', url.pathname)) {
      return refuse(`the proof is for ${payload.htu}`);
    }
  }
  count('served');
  return say(200, { scope: token.scope, aud: token.aud, token: token.jti.slice(0, 8), bound: Boolean(token.jkt) });
});
const resource = `${await listen(api)}/mcp`;

provider = new Provider(issuer, {
  scopes: ['openid', 'offline_access', 'read', 'write'],
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  rotateRefreshToken: true,
  cookies: { keys: ['a key of this test'] },
  features: {
    devInteractions: { enabled: false },
    registration: { enabled: true },
    revocation: { enabled: true },
    dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => strict },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: strict },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => false, // it must be sent with each request
      getResourceServerInfo: (_, indicator) => ({ scope: 'read write', audience: indicator, accessTokenFormat: 'opaque' }),
    },
  },
});
provider.on('server_error', (_, err) => console.error('oidc-provider:', err));
for (const event of ['authorization.error', 'grant.error', 'pushed_authorization_request.error', 'registration_create.error']) {
  provider.on(event, (_, err) => console.error('oidc-provider:', event, err.message, err.error_description ?? ''));
}
console.log(JSON.stringify({ issuer, resource }));
