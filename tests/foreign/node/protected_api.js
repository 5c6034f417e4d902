// An Express API protected by express-oauth2-jwt-bearer in its strict mode (RFC 9068). Prints {"port": …} when it listens
// and ends when its stdin does.
//
// GET /photos asks for config.scope_of_photos; GET /albums for a scope that no token has.

import express from 'express';
import { auth, requiredScopes } from 'express-oauth2-jwt-bearer';

import { config, print } from './conversation.js';

const api = express();
api.use(
  auth({
    issuerBaseURL: config.issuer,
    audience: config.resource,
    tokenSigningAlg: config.access_token_signing_alg ?? 'ES256',
    strict: true,
  }),
);
api.get('/photos', requiredScopes(config.scope_of_photos), (request, response) => {
  response.json({ subject: request.auth.payload.sub, client_id: request.auth.payload.client_id });
});
api.get('/albums', requiredScopes('albums:delete'), (_request, response) => {
  response.json({});
});
// The default handler prints stack traces; the library's errors carry the status and the challenge.
api.use((error, _request, response, _next) => {
  response.status(error.status ?? 500).set(error.headers ?? {}).json({ error: error.code ?? error.name });
});

const server = api.listen(0, '127.0.0.1', () => print({ port: server.address().port }));
process.stdin.on('end', () => process.exit(0)).resume();
