// openid-client 6 over the whole life of a login: in, refreshed, described, out, and out for good.
//
// With `signing_jwk` every authorization request is a signed request object (RFC 9101); with `decryption_jwk` ID tokens and
// UserInfo come encrypted to that key, signed as `id_token_signed_response_alg` says.

import { importJWK } from 'jose';
import * as client from 'openid-client';

import { askBrowser, config, print, run } from './conversation.js';

const METHODS = {
  client_secret_basic: client.ClientSecretBasic,
  private_key_jwt: client.PrivateKeyJwt,
};

async function importSigningKey() {
  if (!config.signing_jwk) return undefined;
  return { key: await importJWK(config.signing_jwk, config.signing_jwk.alg), kid: config.signing_jwk.kid };
}

await run(async () => {
  const signing = await importSigningKey();
  const signedBy = config.id_token_signed_response_alg;
  const settings = await client.discovery(
    new URL(config.issuer),
    config.client_id,
    {
      id_token_signed_response_alg: signedBy,
      ...(config.decryption_jwk ? { userinfo_signed_response_alg: signedBy } : {}),
    },
    METHODS[config.token_endpoint_auth_method](config.client_secret ?? signing),
  );
  client.enableNonRepudiationChecks(settings);
  if (config.decryption_jwk) {
    const { alg, kid } = config.decryption_jwk;
    const key = await importJWK(config.decryption_jwk, alg);
    client.enableDecryptingResponses(settings, ['A256GCM'], { key, alg, kid });
  }

  async function logIn(extra) {
    const checks = {
      pkceCodeVerifier: client.randomPKCECodeVerifier(),
      expectedState: client.randomState(),
      expectedNonce: client.randomNonce(),
      idTokenExpected: true,
    };
    const parameters = {
      redirect_uri: config.redirect_uri,
      scope: config.scope,
      code_challenge: await client.calculatePKCECodeChallenge(checks.pkceCodeVerifier),
      code_challenge_method: 'S256',
      state: checks.expectedState,
      nonce: checks.expectedNonce,
      ...(config.response_mode ? { response_mode: config.response_mode } : {}),
      ...extra,
    };
    const url = signing
      ? await client.buildAuthorizationUrlWithJAR(settings, parameters, signing)
      : client.buildAuthorizationUrl(settings, parameters);
    return client.authorizationCodeGrant(settings, asRequest(await askBrowser(url)), checks);
  }

  const tokens = await logIn({});
  const claims = tokens.claims();
  const refreshed = await client.refreshTokenGrant(settings, tokens.refresh_token);
  const userinfo = await client.fetchUserInfo(settings, refreshed.access_token, claims.sub);

  const state = client.randomState();
  const goodbye = await askBrowser(
    client.buildEndSessionUrl(settings, {
      post_logout_redirect_uri: config.post_logout_redirect_uri,
      id_token_hint: client.getDecryptedResponses(tokens)?.id_token?.token_endpoint ?? tokens.id_token,
      state,
    }),
  );

  print({
    id_token_parts: tokens.id_token.split('.').length,
    id_token_claims: claims,
    refreshed_id_token_claims: refreshed.claims() ?? null,
    refresh_token_rotated: refreshed.refresh_token !== undefined && refreshed.refresh_token !== tokens.refresh_token,
    userinfo,
    goodbye: goodbye.href,
    goodbye_state_is_ours: goodbye.searchParams.get('state') === state,
    silent_login_afterwards: await refusalOf(logIn({ prompt: 'none' })),
    refresh_afterwards: await refusalOf(client.refreshTokenGrant(settings, refreshed.refresh_token)),
  });
});

/** What the application's web framework hands to the library: of a posted response the request with its form. */
function asRequest(callback) {
  if (config.response_mode !== 'form_post') return callback;
  const form = callback.searchParams;
  return new Request(new URL(callback.pathname, callback), { method: 'POST', body: new URLSearchParams(form) });
}

/** The OAuth error code that a call of the library ends with. */
async function refusalOf(call) {
  try {
    await call;
    return null;
  } catch (error) {
    return error.error ?? error.message;
  }
}
