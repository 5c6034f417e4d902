// A single-page application as the documentation of oidc-client-ts has it: every page of it is this one.
const { authority, client_id, scope } = await (await fetch("/config.json")).json();
const manager = new oidc.UserManager({
  authority,
  client_id,
  scope,
  redirect_uri: `${location.origin}/callback`,
  silent_redirect_uri: `${location.origin}/silent`,
  post_logout_redirect_uri: `${location.origin}/goodbye`,
  loadUserInfo: true,
  monitorSession: true,
  checkSessionIntervalInSeconds: 1,
  automaticSilentRenew: false,
});
window.manager = manager;
window.seen = [];
manager.events.addUserSessionChanged(() => window.seen.push("changed"));
manager.events.addUserSignedOut(() => window.seen.push("signed out"));

if (location.pathname === "/callback") {
  await manager.signinRedirectCallback();
} else if (location.pathname === "/silent") {
  await manager.signinSilentCallback();
} else if (location.pathname === "/goodbye") {
  await manager.signoutRedirectCallback();
}
document.documentElement.dataset.at = location.pathname;
