// openid-client 6, as its README shows the authorization code flow for a confidential or public client.

import * as client from 'openid-client';

import { askBrowser, config, insecure, print, run } from './conversation.js';

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const METHODS = {
  client_secret_basic: client.ClientSecretBasic,
  client_secret_post: client.ClientSecretPost,
  none: client.None,
};

/** What happens to a token later: it is exchanged, looked into and revoked, and what it was exchanged for ends too. */
async function liveAndEnd(settings, accessToken, bound) {
  const exchanged = await client.genericGrantRequest(
    settings,
    TOKEN_EXCHANGE,
    {
      subject_token: accessToken,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      resource: config.exchange_for,
    },
    bound,
  );
  const introspected = await client.tokenIntrospection(settings, exchanged.access_token);
  await client.tokenRevocation(settings, accessToken);
  return {
    exchanged,
    introspected,
    introspected_afterwards: [
      await client.tokenIntrospection(settings, accessToken),
      await client.tokenIntrospection(settings, exchanged.access_token),
    ],
  };
}

await run(async () => {
  const options = { algorithm: config.discovery ?? 'oidc', execute: insecure ? [client.allowInsecureRequests] : [] };
  const issuer = new URL(config.issuer);
  let settings;
  if (config.registration) {
    const { initial_access_token: initialAccessToken, metadata } = config.registration;
    settings = await client.dynamicClientRegistration(issuer, metadata, undefined, { ...options, initialAccessToken });
  } else {
    settings = await client.discovery(
      issuer,
      config.client_id,
      { id_token_signed_response_alg: config.id_token_signed_response_alg ?? 'RS256' },
      METHODS[config.token_endpoint_auth_method ?? 'client_secret_basic'](config.client_secret),
      options,
    );
  }
  // Without this the library trusts TLS for ID tokens that come straight from the token endpoint.
  client.enableNonRepudiationChecks(settings);

  const handle = config.dpop ? client.getDPoPHandle(settings, await client.randomDPoPKeyPair()) : undefined;
  const bound = handle ? { DPoP: handle } : {};

  const codeVerifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const nonce = client.randomNonce();
  const openid = config.scope.split(' ').includes('openid');
  const resource = config.resource ? { resource: config.resource } : {};
  const callback = await askBrowser(
    client.buildAuthorizationUrl(settings, {
      redirect_uri: config.redirect_uri,
      scope: config.scope,
      code_challenge: await client.calculatePKCECodeChallenge(codeVerifier),
      code_challenge_method: 'S256',
      state,
      ...(openid ? { nonce } : {}),
      ...resource,
      ...(handle ? { dpop_jkt: await handle.calculateThumbprint() } : {}),
    }),
  );

  const tokens = await client.authorizationCodeGrant(
    settings,
    callback,
    {
      pkceCodeVerifier: codeVerifier,
      expectedState: state,
      ...(openid ? { expectedNonce: nonce, idTokenExpected: true } : {}),
    },
    resource,
    bound,
  );

  const claims = tokens.claims();
  const userinfo =
    openid && !config.resource ? await client.fetchUserInfo(settings, tokens.access_token, claims.sub, bound) : undefined;
  print({
    client: settings.clientMetadata(),
    access_token: tokens.access_token,
    token_type: tokens.token_type,
    expires_in: tokens.expires_in,
    scope: tokens.scope,
    id_token: tokens.id_token ?? null,
    id_token_claims: claims ?? null,
    userinfo: userinfo ?? null,
    ...(config.exchange_for ? await liveAndEnd(settings, tokens.access_token, bound) : {}),
  });
});
