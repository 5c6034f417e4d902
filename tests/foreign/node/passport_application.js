// An Express application that logs people in with passport-openidconnect and renews tokens with passport-oauth2-refresh.
//
// The library knows no PKCE; its nonce is what binds the answer to the browser.

import { randomBytes } from 'node:crypto';

import express from 'express';
import session from 'express-session';
import passport from 'passport';
import refresh from 'passport-oauth2-refresh';
import OpenIDConnectStrategy from 'passport-openidconnect';

import { config } from './conversation.js';
import { discover, endSessionUrl, listenOverTls } from './tls_listener.js';

const metadata = await discover();
const strategy = new OpenIDConnectStrategy(
  {
    issuer: config.issuer,
    authorizationURL: metadata.authorization_endpoint,
    tokenURL: metadata.token_endpoint,
    userInfoURL: metadata.userinfo_endpoint,
    clientID: config.client_id,
    clientSecret: config.client_secret,
    callbackURL: config.redirect_uri,
    scope: config.scope.split(' ').filter((name) => name !== 'openid'),
    nonce: true,
  },
  (issuer, uiProfile, idProfile, context, idToken, accessToken, refreshToken, parameters, done) =>
    done(null, { issuer, userinfo: uiProfile._json, sub: idProfile.id, idToken, refreshToken }),
);
passport.use(strategy);
refresh.use(strategy);
passport.serializeUser((user, done) => done(null, user));
passport.deserializeUser((user, done) => done(null, user));

const application = express();
application.use(
  session({
    secret: randomBytes(32).toString('hex'),
    resave: false,
    saveUninitialized: false,
    cookie: { secure: true, sameSite: 'lax' },
  }),
);
application.use(passport.session());

application.get('/login', passport.authenticate('openidconnect'));
application.get('/silent', passport.authenticate('openidconnect', { prompt: 'none' }));
application.get('/callback', passport.authenticate('openidconnect', { successRedirect: '/' }));
application.get('/', (request, response) => {
  const { issuer, sub, userinfo } = request.user;
  response.json({ id_token_claims: { iss: issuer, sub }, userinfo });
});
application.get('/renewed', (request, response, next) => {
  refresh.requestNewAccessToken('openidconnect', request.user.refreshToken, (error, accessToken, refreshToken) => {
    if (error) return response.json({ error: JSON.parse(error.data).error });
    const rotated = Boolean(accessToken) && refreshToken !== undefined && refreshToken !== request.user.refreshToken;
    request.session.passport.user.refreshToken = refreshToken;
    return request.session.save(() => response.json({ refresh_token_rotated: rotated }));
  });
});
application.get('/logout', (request, response) => {
  request.session.state = randomBytes(16).toString('hex');
  // The person stays known here, so that the test can see what their refresh token is worth afterwards.
  response.redirect(endSessionUrl(metadata, { idToken: request.user.idToken, state: request.session.state }));
});
application.get('/goodbye', (request, response) => {
  response.json({
    goodbye: config.app_url + request.originalUrl,
    goodbye_state_is_ours: request.query.state === request.session.state,
  });
});
application.use((error, _request, response, _next) => {
  response.json({ error: error.code ?? error.message });
});
listenOverTls(application);
