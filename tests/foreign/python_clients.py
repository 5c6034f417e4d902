"""Python clients of others, used as documented: Authlib, requests-oauthlib, requests_oauth2client, PyJWT.

All functions take any issuer (`ForeignConfig`) and whatever logs a person in (`Drive`), and return what the client
got in the same members as the scripts for Node do.
"""

import contextlib
import os
import secrets
import ssl
from collections.abc import Iterator
from typing import Any

import jwt
import requests
from authlib.integrations.flask_client import OAuth
from flask import Flask, jsonify
from flask.typing import ResponseReturnValue
from requests.auth import HTTPBasicAuth
from requests_oauth2client import ClientSecretBasic, OAuth2Client, PublicApp
from requests_oauthlib import OAuth2Session  # type: ignore[import-untyped]

from tests.foreign.loopback_names import resolving_to_loopback
from tests.foreign.node_clients import Drive, ForeignConfig, ForeignRefusal

REQUEST_TIMEOUT_S = 20


def run_authlib_flow(config: ForeignConfig, drive: Drive) -> dict[str, Any]:
    """A Flask application that logs people in with Authlib's client; driven through Flask's own test client."""
    application = _authlib_application(config)
    application.testing = True  # an exception of the client library reaches the test instead of a page
    browser = application.test_client()
    with reaching(config):
        authorization_url = browser.get("/login").headers["Location"]
    callback_url = drive(authorization_url)
    with reaching(config):
        answer = browser.get("/callback?" + callback_url.partition("?")[2])
    if answer.status_code != 200:
        raise ForeignRefusal(f"Authlib: {answer.get_data(as_text=True)[:1000]}")
    document: dict[str, Any] = answer.get_json()
    return document


def run_requests_oauthlib_flow(config: ForeignConfig, drive: Drive) -> dict[str, Any]:
    """requests-oauthlib with PKCE. It is an OAuth library: it does not read ID tokens, PyJWT does that here."""
    nonce = secrets.token_urlsafe(16)
    extra = {"resource": config.resource} if config.resource else {}
    openid = {"nonce": nonce} if "openid" in config.scope.split(" ") else {}
    with reaching(config):
        metadata = _metadata(config)
        session = OAuth2Session(
            config.client_id, redirect_uri=config.redirect_uri, scope=config.scope.split(" "), pkce="S256"
        )
        authorization_url, _state = session.authorization_url(metadata["authorization_endpoint"], **openid, **extra)
    callback_url = drive(authorization_url)
    with reaching(config):
        tokens = session.fetch_token(
            metadata["token_endpoint"],
            authorization_response=callback_url,
            timeout=REQUEST_TIMEOUT_S,
            **_oauthlib_authentication(config),
            **extra,
        )
        claims = _id_token_claims(tokens, config, metadata, nonce)
        userinfo = None
        if claims is not None and config.resource is None:
            answer = session.get(metadata["userinfo_endpoint"], timeout=REQUEST_TIMEOUT_S)
            answer.raise_for_status()
            userinfo = answer.json()
    return {
        "access_token": tokens["access_token"],
        "token_type": tokens["token_type"],
        "expires_in": tokens["expires_in"],
        "scope": " ".join(tokens["scope"]),
        "id_token": tokens.get("id_token"),
        "id_token_claims": claims,
        "userinfo": userinfo,
    }


def run_requests_oauth2client_flow(config: ForeignConfig, drive: Drive) -> dict[str, Any]:
    """requests_oauth2client with DPoP, and with a refresh where it gets the token for one.

    Its own check of ID tokens fails on its own class of DPoP tokens (1.8.0), so that PyJWT does it here.
    """
    auth: Any = PublicApp(config.client_id)
    if config.client_secret is not None:
        auth = ClientSecretBasic(config.client_id, config.client_secret)
    resource = {"resource": config.resource} if config.resource else {}
    with reaching(config):
        client = OAuth2Client.from_discovery_endpoint(
            issuer=config.issuer,
            auth=auth,
            redirect_uri=config.redirect_uri,
            id_token_signed_response_alg=config.id_token_signed_response_alg,
            dpop_bound_access_tokens=config.dpop,
        )
        request = client.authorization_request(scope=config.scope, **resource)
    callback_url = drive(request.uri)
    with reaching(config):
        tokens = client.authorization_code(request.validate_callback(callback_url), validate=False, **resource)
        claims = userinfo = None
        if tokens.id_token is not None:
            claims = _id_token_claims({"id_token": str(tokens.id_token)}, config, _metadata(config), str(request.nonce))
        if tokens.refresh_token is not None:
            tokens = client.refresh_token(tokens)
        if claims is not None and config.resource is None:
            answer = requests.get(f"{config.issuer}/userinfo", auth=tokens, timeout=REQUEST_TIMEOUT_S)
            answer.raise_for_status()
            userinfo = answer.json()
        later = _live_and_end(client, tokens, config.exchange_for) if config.exchange_for else {}
    return {
        "access_token": tokens.access_token,
        "token_type": tokens.token_type,
        "id_token_claims": claims,
        "userinfo": userinfo,
        **later,
    }


def _live_and_end(client: OAuth2Client, tokens: Any, resource: str) -> dict[str, Any]:
    """What happens to a token later: it is exchanged, looked into and revoked, and what it was exchanged for ends."""
    exchanged: Any = client.token_exchange(
        subject_token=tokens.access_token,
        subject_token_type="access_token",
        dpop_key=tokens.dpop_key,
        resource=resource,
    )
    introspected = client.introspect_token(exchanged.access_token)
    client.revoke_access_token(tokens.access_token)
    return {
        "exchanged": exchanged.as_dict(),
        "introspected": introspected,
        "introspected_afterwards": [
            client.introspect_token(token) for token in (tokens.access_token, exchanged.access_token)
        ],
    }


def verify_with_pyjwt(access_token: str, config: ForeignConfig) -> dict[str, Any]:
    """The claims of an access token, verified with PyJWT and its `PyJWKClient` (the remote key set)."""
    with reaching(config):
        signing_key = _jwk_client(config, _metadata(config)).get_signing_key_from_jwt(access_token)
    claims: dict[str, Any] = jwt.decode(
        access_token,
        signing_key,
        algorithms=["ES256", "RS256"],
        audience=config.resource,
        issuer=config.issuer,
        options={"require": ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"]},
    )
    if jwt.get_unverified_header(access_token).get("typ") != "at+jwt":
        raise ForeignRefusal("the token is not typed as an access token (RFC 9068)")
    return claims


def _authlib_application(config: ForeignConfig) -> Flask:
    application = Flask("authlib_client")
    application.secret_key = secrets.token_bytes(32)
    oauth: Any = OAuth(application)
    oauth.register(
        "server",
        client_id=config.client_id,
        client_secret=config.client_secret,
        server_metadata_url=f"{config.issuer}/.well-known/openid-configuration",
        client_kwargs={
            "scope": config.scope,
            "code_challenge_method": "S256",
            "token_endpoint_auth_method": config.token_endpoint_auth_method,
            "timeout": REQUEST_TIMEOUT_S,
        },
    )
    extra = {"resource": config.resource} if config.resource else {}

    @application.get("/login")
    def login() -> ResponseReturnValue:
        answer: ResponseReturnValue = oauth.server.authorize_redirect(config.redirect_uri, **extra)
        return answer

    @application.get("/callback")
    def callback() -> ResponseReturnValue:
        tokens = oauth.server.authorize_access_token(**extra)
        userinfo = None
        if "openid" in config.scope.split(" ") and config.resource is None:
            userinfo = oauth.server.userinfo(token=tokens)
        return jsonify(
            access_token=tokens["access_token"],
            token_type=tokens["token_type"],
            expires_in=tokens["expires_in"],
            scope=tokens.get("scope"),
            id_token=tokens.get("id_token"),
            id_token_claims=tokens.get("userinfo"),  # Authlib's name for the verified claims of the ID token
            userinfo=userinfo,
        )

    return application


def _metadata(config: ForeignConfig) -> dict[str, Any]:
    answer = requests.get(f"{config.issuer}/.well-known/openid-configuration", timeout=REQUEST_TIMEOUT_S)
    answer.raise_for_status()
    document: dict[str, Any] = answer.json()
    return document


def _oauthlib_authentication(config: ForeignConfig) -> dict[str, Any]:
    """The arguments of `fetch_token` that make it use the client's one method."""
    if config.client_secret is None:
        return {"include_client_id": True}
    if config.token_endpoint_auth_method == "client_secret_post":
        return {"include_client_id": True, "client_secret": config.client_secret}
    return {"auth": HTTPBasicAuth(config.client_id, config.client_secret)}


def _id_token_claims(
    tokens: dict[str, Any], config: ForeignConfig, metadata: dict[str, Any], nonce: str
) -> dict[str, Any] | None:
    if "id_token" not in tokens:
        return None
    claims: dict[str, Any] = jwt.decode(
        tokens["id_token"],
        _jwk_client(config, metadata).get_signing_key_from_jwt(tokens["id_token"]),
        algorithms=[config.id_token_signed_response_alg],
        audience=config.client_id,
        issuer=config.issuer,
        options={"require": ["iss", "sub", "aud", "exp", "iat"]},
    )
    if claims.get("nonce") != nonce:
        raise ForeignRefusal("the ID token carries another nonce")
    return claims


def _jwk_client(config: ForeignConfig, metadata: dict[str, Any]) -> jwt.PyJWKClient:
    context = ssl.create_default_context(cafile=config.ca_file) if config.ca_file else None
    return jwt.PyJWKClient(metadata["jwks_uri"], ssl_context=context, timeout=REQUEST_TIMEOUT_S)


@contextlib.contextmanager
def reaching(config: ForeignConfig) -> Iterator[None]:
    """The server's names and certificate, given to the libraries from outside: none of their own code is touched.

    The certificate comes by the environment because `requests` lets that overrule a session's `verify`.
    """
    variables = {}
    if config.ca_file is not None:
        variables["REQUESTS_CA_BUNDLE"] = config.ca_file
    if config.issuer.startswith("http://127.0.0.1:"):
        # oauthlib refuses to talk http otherwise.
        variables["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        with resolving_to_loopback(config.loopback_names):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
