// panva's oidc-provider (OpenID certified) as a second real issuer for the tests.
//
//   DOORWARD_OIDC_PROVIDER=$(scripts/fetch oidc-provider) \
//     node tests/support/oidc-provider/server.mjs [PORT] [--until-eof] [--broken FAULT]
//
// FAULT is one of no-device-grant, wrong-issuer, no-groups, wrong-audience, clock-off (its
// Date is two minutes ahead), hs256-only: what `doorward doctor` has to notice.
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

const faults = ['no-device-grant', 'wrong-issuer', 'no-groups', 'wrong-audience', 'clock-off', 'hs256-only'];
const at = process.argv.indexOf('--broken');
const broken = at < 0 ? undefined : process.argv[at + 1];
if (at >= 0 && !faults.includes(broken)) {
  console.error(`server.mjs: --broken takes one of ${faults.join(', ')}`);
  process.exit(2);
}

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
    // People again; their tokens are opaque.
    client_id: 'nmp-opaque',
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
    token.accountId && {
      email: `${token.accountId}@example.com`,
      email_verified: true,
      ...(broken !== 'no-groups' && { groups: ['research'] }),
    },
  features: {
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      // Without this an access token is opaque; with it, every one is a JWT for `resource`.
      defaultResource: () => resource,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx) => ({
        scope: scopes,
        audience: broken === 'wrong-audience' ? 'urn:doorward:elsewhere' : resource,
        accessTokenFormat: ctx.oidc.client.clientId.endsWith('opaque') ? 'opaque' : 'jwt',
        jwt: { sign: { alg: ctx.oidc.client.clientId.endsWith('es256') ? 'ES256' : 'RS256' } },
      }),
    },
  },
  cookies: { keys: [randomUUID()] },
  // Public clients refresh too, as `doorward auth login` expects.
  issueRefreshToken: (_ctx, client, code) => client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
  ttl: { AccessToken: 300, ClientCredentials: 300, DeviceCode: 600, Grant: 3600, Session: 3600, Interaction: 600, IdToken: 300, RefreshToken: 3600 },
};

if (broken === 'no-device-grant') {
  configuration.features.deviceFlow.enabled = false;
  clients[0].grant_types = ['authorization_code', 'refresh_token'];
}
if (broken === 'hs256-only') {
  // Its keys go as well: what is left to sign with is each client's secret.
  configuration.jwks = { keys: [] };
  configuration.enabledJWA = { idTokenSigningAlgValues: ['HS256'] };
  for (const client of clients) {
    Object.assign(client, { id_token_signed_response_alg: 'HS256', client_secret: client.client_secret ?? 'shared-with-everybody' });
  }
}

// The issuer holds the port, so the port comes first.
const server = createServer();
server.listen(Number(process.argv[2] ?? 0) || 0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const says = broken === 'wrong-issuer' ? issuer.replace('127.0.0.1', 'localhost') : issuer;
  const answer = new Provider(says, configuration).callback();
  server.on('request', (request, response) => {
    if (broken === 'clock-off') response.setHeader('Date', new Date(Date.now() + 120_000).toUTCString());
    answer(request, response);
  });
  const secrets = Object.fromEntries(clients.map((c) => [c.client_id, c.client_secret ?? null]));
  console.log(JSON.stringify({ issuer, pid: process.pid, clients: secrets, resource }));
});

if (process.argv.includes('--until-eof')) {
  process.stdin.resume().on('end', () => process.exit(0));
}
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
