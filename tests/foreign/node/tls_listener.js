// A web application over TLS, as its users run it behind a name of its own: prints {"port": …} when it listens.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

import { config, print } from './conversation.js';

export function listenOverTls(application) {
  const files = { cert: readFileSync(config.tls.certificate), key: readFileSync(config.tls.key) };
  const server = createServer(files, application);
  server.listen(Number(new URL(config.app_url).port), '127.0.0.1', () => print({ port: server.address().port }));
  process.stdin.on('end', () => process.exit(0)).resume();
}

/** The server's metadata, for libraries that do not look for it themselves. */
export async function discover() {
  return (await fetch(`${config.issuer}/.well-known/openid-configuration`)).json();
}

/** Where a person is sent to be logged out at the server too (OpenID Connect RP-Initiated Logout). */
export function endSessionUrl(metadata, { idToken, state }) {
  const url = new URL(metadata.end_session_endpoint);
  url.searchParams.set('id_token_hint', idToken);
  url.searchParams.set('post_logout_redirect_uri', config.post_logout_redirect_uri);
  url.searchParams.set('state', state);
  return url.href;
}
