// An Express application that logs people in with Auth.js (@auth/express), as its documentation shows it: the provider is
// given by its issuer, tokens are renewed in the `jwt` callback, and logging out at the server is a route of our own.

import { randomBytes } from 'node:crypto';

import { ExpressAuth } from '@auth/express';
import { getToken } from '@auth/core/jwt';
import express from 'express';

import { config } from './conversation.js';
import { discover, endSessionUrl, listenOverTls } from './tls_listener.js';

const metadata = await discover();
const secret = randomBytes(32).toString('hex');
const refusals = [];

/** "Refresh token rotation" of Auth.js's guides; here every look at the session renews, as if its time were over. */
async function renew(token) {
  const answer = await fetch(metadata.token_endpoint, {
    method: 'POST',
    body: new URLSearchParams({
      client_id: config.client_id,
      client_secret: config.client_secret,
      grant_type: 'refresh_token',
      refresh_token: token.refresh_token,
    }),
  });
  const tokens = await answer.json();
  if (!answer.ok) return { ...token, error: tokens.error };
  const rotated = tokens.refresh_token !== undefined && tokens.refresh_token !== token.refresh_token;
  return { ...token, ...tokens, rotated };
}

const settings = {
  secret,
  trustHost: true,
  providers: [
    {
      id: 'tokenhouse',
      name: 'Tokenhouse',
      type: 'oidc',
      issuer: config.issuer,
      clientId: config.client_id,
      clientSecret: config.client_secret,
      client: { token_endpoint_auth_method: config.token_endpoint_auth_method },
      authorization: { params: { scope: config.scope } },
      checks: ['pkce', 'state', 'nonce'],
      idToken: false, // the person's claims come from UserInfo
    },
  ],
  callbacks: {
    async jwt({ token, account, profile }) {
      if (!account) return renew(token);
      return { userinfo: profile, id_token: account.id_token, refresh_token: account.refresh_token };
    },
    async session({ session, token }) {
      const { userinfo, id_token, rotated, error } = token;
      return { ...session, userinfo, id_token, refresh_token_rotated: rotated, error };
    },
  },
  // The library tells a person no reason; the server's error code goes to the application's log.
  debug: true,
  logger: {
    debug: (message, details) => message === 'OAuthCallbackError' && refusals.push(details.error),
    warn: () => {},
    error: () => {},
  },
};

const application = express();
application.set('trust proxy', true);
application.get('/', (request, response) => response.redirect('/auth/session'));
application.get('/logout', async (request, response) => {
  const token = await getToken({ req: { headers: request.headers }, secret, secureCookie: true });
  response.redirect(endSessionUrl(metadata, { idToken: token.id_token, state: 'goodbye' }));
});
application.get('/goodbye', (request, response) => {
  response.json({
    goodbye: config.app_url + request.originalUrl,
    goodbye_state_is_ours: request.query.state === 'goodbye',
  });
});
application.use('/auth', ExpressAuth(settings));
application.get('/refusals', (_request, response) => response.json({ refusals }));
listenOverTls(application);
