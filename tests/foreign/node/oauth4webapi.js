// oauth4webapi 3: every step of the code flow by hand, each with the library's own checks.

import * as oauth from 'oauth4webapi';

import { askBrowser, config, insecure, print, run } from './conversation.js';

const METHODS = {
  client_secret_basic: oauth.ClientSecretBasic,
  client_secret_post: oauth.ClientSecretPost,
  none: oauth.None,
};

await run(async () => {
  const options = { [oauth.allowInsecureRequests]: insecure };
  const issuer = new URL(config.issuer);
  const client = {
    client_id: config.client_id,
    id_token_signed_response_alg: config.id_token_signed_response_alg ?? 'RS256',
  };
  const authenticate = METHODS[config.token_endpoint_auth_method ?? 'client_secret_basic'](config.client_secret);

  const discovered = await oauth.discoveryRequest(issuer, { algorithm: config.discovery ?? 'oidc', ...options });
  const server = await oauth.processDiscoveryResponse(issuer, discovered);

  const codeVerifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const openid = config.scope.split(' ').includes('openid');
  const nonce = openid ? oauth.generateRandomNonce() : undefined;
  const authorizationUrl = new URL(server.authorization_endpoint);
  const parameters = {
    client_id: config.client_id,
    redirect_uri: config.redirect_uri,
    response_type: 'code',
    scope: config.scope,
    code_challenge: await oauth.calculatePKCECodeChallenge(codeVerifier),
    code_challenge_method: 'S256',
    state,
    ...(openid ? { nonce } : {}),
    ...(config.resource ? { resource: config.resource } : {}),
  };
  for (const [name, value] of Object.entries(parameters)) authorizationUrl.searchParams.set(name, value);

  // Checks `state`, and `iss` where the metadata promises it (RFC 9207).
  const callback = oauth.validateAuthResponse(server, client, await askBrowser(authorizationUrl), state);
  const answer = await oauth.authorizationCodeGrantRequest(
    server,
    client,
    authenticate,
    callback,
    config.redirect_uri,
    codeVerifier,
    { additionalParameters: config.resource ? { resource: config.resource } : {}, ...options },
  );
  const tokens = await oauth.processAuthorizationCodeResponse(server, client, answer, {
    expectedNonce: nonce,
    requireIdToken: openid,
  });

  const claims = oauth.getValidatedIdTokenClaims(tokens);
  let userinfo;
  if (openid) {
    await oauth.validateApplicationLevelSignature(server, answer, options);
    if (!config.resource) {
      const described = await oauth.userInfoRequest(server, client, tokens.access_token, options);
      userinfo = await oauth.processUserInfoResponse(server, client, claims.sub, described);
    }
  }
  print({
    access_token: tokens.access_token,
    token_type: tokens.token_type,
    expires_in: tokens.expires_in,
    scope: tokens.scope,
    iss_parameter_promised: server.authorization_response_iss_parameter_supported === true,
    id_token: tokens.id_token ?? null,
    id_token_claims: claims ?? null,
    userinfo: userinfo ?? null,
  });
});
