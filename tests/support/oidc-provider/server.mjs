// panva's oidc-provider (OpenID certified) as a second real issuer for the tests.
//
//   DOORWARD_OIDC_PROVIDER=$(scripts/fetch oidc-provider) \
//     node tests/support/oidc-provider/server.mjs [PORT] [--until-eof]
//
// PORT 0 or none takes a free one. When it listens it prints one line of JSON on stdout:
//   {"issuer": "http://127.0.0.1:PORT", "pid": N, "clients": {...}, "resource": "..."}
// It ends on SIGTERM, or with --until-eof when its standard input closes, so that a test
// run that is killed leaves none behind. Loopback only, keys and state in memory.
//
// What it has that Keycloak has not: access tokens of typ "at+jwt" (RFC 9068) for one
// resource (RFC 8707), an ES256 key beside the RS256 one, a device answer without
// "interval". Any login name is taken as the subject: the pages are its devInteractions.

import { createServer } from 'node:http';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

// An import looks for node_modules beside this file, and they are not in the clone.
const modules = process.env.DOORWARD_OIDC_PROVIDER;
if (!modules) {
  console.error('server.mjs: set DOORWARD_OIDC_PROVIDER to what `scripts/fetch oidc-provider` prints');
  process.exit(2);
}
const require = createRequire(path.join(path.resolve(modules), 'node_modules', 'noop.js'));
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));

const resource = 'urn:doorward:test';
const scopes = 'platform:read platform:write';

function signingKey(type, options, alg) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: randomUUID() };
}

const clients = [
  {
    // People: device flow and authorization code (PKCE), refresh, no secret.
    client_id: 'nmp',
    token_endpoint_auth_method: 'none',
    application_type: 'native',
    grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'authorization_code', 'refresh_token'],
    response_types: ['code'],
    redirect_uris: ['http://127.0.0.1/callback'],
  },
  {
    // A machine; its tokens are RS256.
    client_id: 'nmp-job',
    client_secret: 'nmp-job-secret',
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
  },
  {
    // The same, its tokens ES256.
    client_id: 'nmp-job-es256',
    client_secret: 'nmp-job-secret',
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
  },
];

const configuration = {
  clients,
  jwks: {
    keys: [
      signingKey('rsa', { modulusLength: 2048 }, 'RS256'),
      signingKey('ec', { namedCurve: 'P-256' }, 'ES256'),
    ],
  },
  scopes: ['openid', 'profile', 'email', 'offline_access', ...scopes.split(' ')],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  findAccount: (_ctx, sub) => ({
    accountId: sub,
    claims: () => ({ sub, name: sub, email: `${sub}@example.com`, email_verified: true }),
  }),
  // People's access tokens carry what Doorward reads; a machine's have no account.
  extraTokenClaims: (_ctx, token) =>
    token.accountId && { email: `${token.accountId}@example.com`, email_verified: true, groups: ['research'] },
  features: {
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      // Without this an access token is opaque; with it, every one is a JWT for `resource`.
      defaultResource: () => resource,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx) => ({
        scope: scopes,
        audience: resource,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: ctx.oidc.client.clientId.endsWith('es256') ? 'ES256' : 'RS256' } },
      }),
    },
  },
  cookies: { keys: [randomUUID()] },
  // Public clients refresh too, as `doorward auth login` expects.
  issueRefreshToken: (_ctx, client, code) => client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
  ttl: { AccessToken: 300, ClientCredentials: 300, DeviceCode: 600, Grant: 3600, Session: 3600, Interaction: 600, IdToken: 300, RefreshToken: 3600 },
};

// The issuer holds the port, so the port comes first.
const server = createServer();
server.listen(Number(process.argv[2] ?? 0) || 0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  server.on('request', new Provider(issuer, configuration).callback());
  const secrets = Object.fromEntries(clients.map((c) => [c.client_id, c.client_secret ?? null]));
  console.log(JSON.stringify({ issuer, pid: process.pid, clients: secrets, resource }));
});

if (process.argv.includes('--until-eof')) {
  process.stdin.resume().on('end', () => process.exit(0));
}
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
