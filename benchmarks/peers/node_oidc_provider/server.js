// node-oidc-provider as a peer: one process, in memory, on a free loopback port.
//
// Reads one JSON document from the environment variable PEER_CONFIG:
//   client_id, client_secret, redirect_uri, resource, scope (the resource's scopes), username, password
//   jwks     private keys, one for ES256 and one for RS256: a deployment has them, so making them is no part of a start
//   adapter  "map" (default) or "library"
//   machine  optional, {client_id, client_secret}: makes the token endpoint's other grants: refresh tokens, rotated at
//            every use, for the first client, and client_credentials and introspection for this one
//   key_machines  optional, a list of {client_id, alg, jwks}: more machines, which authenticate themselves by a key
//   client_metadata  optional: more metadata of the first client, userinfo_signed_response_alg say
// and prints one line when it accepts connections: {"issuer": …, "pid": …}.
//
// The pages of login and consent carry the same form names as Tokenhouse's, so that one driver fills in both. What
// they decide is remembered by the library itself: the grant hangs on the session, so a second authorization request of
// the same browser needs neither page.

import { createServer } from 'node:http';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';

import { Provider } from 'oidc-provider';

import MapAdapter from './map_adapter.js';

const settings = JSON.parse(process.env.PEER_CONFIG ?? '{}');
for (const name of ['client_id', 'client_secret', 'redirect_uri', 'resource', 'scope', 'username', 'password']) {
  if (typeof settings[name] !== 'string' || settings[name] === '') {
    process.stderr.write(`PEER_CONFIG needs a text "${name}"\n`);
    process.exit(2);
  }
}

async function findAccount(_ctx, accountId) {
  return {
    accountId,
    async claims() {
      return { sub: accountId, name: 'Grace Hopper', email: 'grace@example.com', email_verified: true };
    },
  };
}

async function getResourceServerInfo(_ctx, resourceIndicator) {
  if (resourceIndicator !== settings.resource) {
    throw new Error('only the one configured resource is ever asked for');
  }
  return {
    scope: settings.scope,
    audience: settings.resource,
    accessTokenFormat: 'jwt',
    accessTokenTTL: 300,
    jwt: { sign: { alg: 'ES256' } },
  };
}

const http = createServer();
http.listen(0, '127.0.0.1');
await once(http, 'listening');
const issuer = `http://127.0.0.1:${http.address().port}`;

const machines = settings.machine
  ? [
      {
        client_id: settings.machine.client_id,
        client_secret: settings.machine.client_secret,
        redirect_uris: [],
        grant_types: ['client_credentials'],
        response_types: [],
        token_endpoint_auth_method: 'client_secret_basic',
      },
    ]
  : [];
for (const machine of settings.key_machines ?? []) {
  machines.push({
    client_id: machine.client_id,
    jwks: machine.jwks,
    redirect_uris: [],
    grant_types: ['client_credentials'],
    response_types: [],
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: machine.alg,
  });
}

const provider = new Provider(issuer, {
  ...(settings.adapter === 'library' ? {} : { adapter: MapAdapter }),
  clients: [
    {
      client_id: settings.client_id,
      client_secret: settings.client_secret,
      client_name: 'Benchmark client',
      redirect_uris: [settings.redirect_uri],
      grant_types: settings.machine ? ['authorization_code', 'refresh_token'] : ['authorization_code'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_basic',
      ...(settings.client_metadata ?? {}),
    },
    ...machines,
  ],
  // As ours: by what the client is registered for, and a new one at every use.
  issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: () => true,
  jwks: settings.jwks,
  cookies: { keys: [randomBytes(32).toString('base64url')] },
  claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
  scopes: ['openid', ...settings.scope.split(' ')],
  findAccount,
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: false },
    jwtUserinfo: { enabled: true },
    clientCredentials: { enabled: machines.length > 0 },
    introspection: { enabled: machines.length > 0 },
    resourceIndicators: {
      enabled: true,
      defaultResource: async () => undefined,
      useGrantedResource: async () => true,
      getResourceServerInfo,
    },
  },
  // Same lifetimes as Tokenhouse's defaults.
  ttl: {
    AccessToken: 300,
    AuthorizationCode: 60,
    IdToken: 600,
    Interaction: 900,
    Session: 43200,
    Grant: 43200,
    RefreshToken: 43200,
    ClientCredentials: 300,
  },
});

function page(title, form) {
  return `<!doctype html><html lang="en"><title>${title}</title><h1>${title}</h1>${form}</html>`;
}

const LOGIN_FORM = `<form id="login-form" method="post"><input name="username"><input name="password" type="password">
<button id="login-submit">Log in</button></form>`;
const CONSENT_FORM = `<form id="consent-form" method="post">
<button id="consent-allow" name="decision" value="allow">Allow</button></form>`;

async function readForm(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return new URLSearchParams(Buffer.concat(chunks).toString());
}

async function rememberConsent({ grantId, session, params, prompt: { details } }) {
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  if (details.missingOIDCScope) grant.addOIDCScope(details.missingOIDCScope.join(' '));
  if (details.missingOIDCClaims) grant.addOIDCClaims(details.missingOIDCClaims);
  for (const [resource, scopes] of Object.entries(details.missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(' '));
  }
  return grant.save();
}

async function interact(request, response) {
  const interaction = await provider.interactionDetails(request, response);
  if (request.method === 'GET') {
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    response.end(
      interaction.prompt.name === 'login' ? page('Log in', LOGIN_FORM) : page('Allow access', CONSENT_FORM),
    );
    return;
  }
  const form = await readForm(request);
  if (interaction.prompt.name === 'login') {
    if (form.get('username') !== settings.username || form.get('password') !== settings.password) {
      response.statusCode = 403;
      response.end(page('Log in', LOGIN_FORM));
      return;
    }
    await provider.interactionFinished(request, response, { login: { accountId: settings.username } });
    return;
  }
  const grantId = await rememberConsent(interaction);
  await provider.interactionFinished(request, response, { consent: { grantId } });
}

const protocol = provider.callback();
http.on('request', (request, response) => {
  if (!request.url.startsWith('/interaction/')) {
    protocol(request, response);
    return;
  }
  interact(request, response).catch((error) => {
    response.statusCode = 500;
    response.end(`${error.name}: ${error.message}`);
  });
});

provider.on('server_error', (_ctx, error) => process.stderr.write(`${error.stack}\n`));
process.stdout.write(`${JSON.stringify({ issuer, pid: process.pid })}\n`);
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
// The parent holds the other end of stdin: when it dies without a signal, this server does not outlive it.
process.stdin.on('end', () => process.exit(0)).resume();
