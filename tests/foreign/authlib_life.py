"""A Flask application with Authlib's client, as Authlib's documentation shows one that renews tokens and logs out."""

import secrets
from typing import Any

from authlib.integrations.base_client import OAuthError
from authlib.integrations.flask_client import OAuth
from flask import Flask, jsonify, session
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue

from tests.foreign.node_clients import Drive, ForeignConfig, ForeignRefusal
from tests.foreign.python_clients import REQUEST_TIMEOUT_S, reaching


def run_authlib_life(config: ForeignConfig, drive: Drive) -> dict[str, Any]:
    """In, refreshed, described, out, and out for good; in the members of `openid_client_life.js`."""
    application = _application(config)
    application.testing = True  # an exception of the client library reaches the test instead of a page
    browser = application.test_client()

    def send(path: str) -> None:
        """A page of the application that sends the browser to the server, and what the server answers to it."""
        with reaching(config):
            url = browser.get(path).headers["Location"]
        callback_url = drive(url)
        sent_back[path] = callback_url

    sent_back: dict[str, str] = {}
    send("/login")
    claims = _get(browser, config, "/callback", sent_back["/login"])
    renewed = _get(browser, config, "/renewed")
    send("/logout")
    goodbye = _get(browser, config, "/goodbye", sent_back["/logout"])
    send("/silent")
    return {
        "id_token_claims": claims,
        **renewed,
        "goodbye": sent_back["/logout"],
        **goodbye,
        "silent_login_afterwards": _get(browser, config, "/callback", sent_back["/silent"])["error"],
        "refresh_afterwards": _get(browser, config, "/renewed")["error"],
    }


def _get(browser: FlaskClient, config: ForeignConfig, path: str, sent_back: str = "") -> dict[str, Any]:
    with reaching(config):
        answer = browser.get(f"{path}?{sent_back.partition('?')[2]}")
    if answer.status_code != 200:
        raise ForeignRefusal(f"Authlib: {answer.get_data(as_text=True)[:1000]}")
    document: dict[str, Any] = answer.get_json()
    return document


def _application(config: ForeignConfig) -> Flask:
    application = Flask("authlib_life")
    application.secret_key = secrets.token_bytes(32)
    # The tokens of the one person who uses this application, as others keep them in a database.
    kept: dict[str, Any] = {}
    oauth: Any = OAuth(
        application,
        fetch_token=lambda _name: kept,
        update_token=lambda _name, token, **_old: kept.update(token),
    )
    oauth.register(
        "server",
        client_id=config.client_id,
        client_secret=config.client_secret,
        server_metadata_url=f"{config.issuer}/.well-known/openid-configuration",
        client_kwargs={"scope": config.scope, "code_challenge_method": "S256", "timeout": REQUEST_TIMEOUT_S},
    )

    @application.errorhandler(OAuthError)
    def refused(error: OAuthError) -> ResponseReturnValue:
        return jsonify(error=error.error)

    @application.get("/login")
    def login() -> ResponseReturnValue:
        answer: ResponseReturnValue = oauth.server.authorize_redirect(config.redirect_uri)
        return answer

    @application.get("/silent")
    def silent() -> ResponseReturnValue:
        answer: ResponseReturnValue = oauth.server.authorize_redirect(config.redirect_uri, prompt="none")
        return answer

    @application.get("/callback")
    def callback() -> ResponseReturnValue:
        kept.update(oauth.server.authorize_access_token())
        session["id_token"] = kept["id_token"]
        return jsonify(kept["userinfo"])  # Authlib's name for the verified claims of the ID token

    @application.get("/renewed")
    def renewed() -> ResponseReturnValue:
        before = kept["refresh_token"]
        kept["expires_at"] = 1  # as if the access token's time were over: the library renews it by itself
        described = oauth.server.userinfo()
        return jsonify(userinfo=described, refresh_token_rotated=kept["refresh_token"] != before)

    @application.get("/logout")
    def logout() -> ResponseReturnValue:
        answer: ResponseReturnValue = oauth.server.logout_redirect(
            post_logout_redirect_uri=config.post_logout_redirect_uri, id_token_hint=session["id_token"]
        )
        return answer

    @application.get("/goodbye")
    def goodbye() -> ResponseReturnValue:
        state = oauth.server.validate_logout_response()
        return jsonify(goodbye_state_is_ours=state["post_logout_redirect_uri"] == config.post_logout_redirect_uri)

    return application
