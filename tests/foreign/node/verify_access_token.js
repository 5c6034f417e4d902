// jose 6: an access token verified against the issuer's remote key set, as an API in JavaScript does it.

import { createRemoteJWKSet, jwtVerify } from 'jose';

import { config, print, run } from './conversation.js';

await run(async () => {
  const metadata = await (await fetch(`${config.issuer}/.well-known/openid-configuration`)).json();
  const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
  const { payload, protectedHeader } = await jwtVerify(config.access_token, keys, {
    issuer: config.issuer,
    audience: config.resource,
    typ: 'at+jwt',
    algorithms: ['ES256', 'RS256'],
    requiredClaims: ['sub', 'client_id', 'iat', 'exp', 'jti'],
  });
  print({ claims: payload, header: protectedHeader });
});
