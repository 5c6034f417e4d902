"""A third-party application: asks for authorization, reads the answer, exchanges the code."""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit

from app.services.manage_clients import RegisteredClient
from tests.actors.browser import find_form
from tests.actors.http import Reply, send


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A request that is under way: what the application keeps to finish it."""

    url: str
    parameters: dict[str, Any]
    state: str
    nonce: str
    code_verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """A good token response."""

    access_token: str = field(repr=False)
    id_token: str | None = field(repr=False)
    expires_in: int
    scope: str
    refresh_token: str | None = field(default=None, repr=False)
    authorization_details: list[dict[str, Any]] | None = None

    @property
    def claims(self) -> dict[str, Any]:
        """The access token's claims, unverified."""
        return read_jwt(self.access_token)

    @property
    def id_claims(self) -> dict[str, Any]:
        """The ID token's claims, unverified."""
        assert self.id_token is not None
        return read_jwt(self.id_token)


class RelyingParty:
    """One registered client; `server_url` is where its requests go, by default the issuer."""

    def __init__(self, issuer: str, client: RegisteredClient, *, server_url: str | None = None) -> None:
        self.issuer = issuer
        self.server_url = server_url or issuer
        self.client_id = client.client_id
        self.client_secret = client.client_secret
        self.redirect_uri: str = client.metadata["redirect_uris"][0]
        self.method: str = client.metadata.get("token_endpoint_auth_method", "client_secret_basic")

    def begin(self, *, scope: str = "openid", **changes: Any) -> Pending:
        """An authorization request, complete; a change of None leaves a parameter out."""
        state, nonce, code_verifier = (secrets.token_urlsafe(32) for _ in range(3))
        parameters: dict[str, Any] = {
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "scope": scope,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge_of(code_verifier),
            "code_challenge_method": "S256",
            **changes,
        }
        parameters = {name: value for name, value in parameters.items() if value is not None}
        url = f"{self.issuer}/authorize?{urlencode(parameters, doseq=True)}"
        return Pending(url=url, parameters=parameters, state=state, nonce=nonce, code_verifier=code_verifier)

    def read_callback(self, reply: Reply, pending: Pending) -> str:
        """The code of a good authorization response, after the checks that a client owes (state, iss)."""
        answer = self.read_answer(reply)
        assert "error" not in answer, answer
        assert answer["state"] == pending.parameters.get("state", pending.state)
        return answer["code"]

    def read_answer(self, reply: Reply, *, mode: str | None = None) -> dict[str, str]:
        """Whatever came back to the redirect URI, by query, fragment or form; by `mode` where that is given."""
        came_by, action, answer = read_response(reply)
        assert mode in (None, came_by), came_by
        assert action.startswith(self.redirect_uri), action
        assert answer["iss"] == self.issuer
        return answer

    def exchange(self, code: str, pending: Pending, **changes: Any) -> Tokens:
        """Exchange a code that must be good."""
        return read_tokens(self.try_exchange(code, pending, **changes))

    def try_exchange(
        self, code: str, pending: Pending, *, headers: Mapping[str, str] | None = None, **changes: Any
    ) -> Reply:
        """Exchange a code; a change of None leaves a parameter out."""
        form: dict[str, Any] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": pending.parameters.get("redirect_uri", self.redirect_uri),
            "code_verifier": pending.code_verifier,
        }
        return self.ask_for_tokens(form, headers=headers, **changes)

    def refresh(self, refresh_token: str | None, **changes: Any) -> Tokens:
        """Refresh with a token that must be good."""
        return read_tokens(self.try_refresh(refresh_token, **changes))

    def try_refresh(
        self, refresh_token: str | None, *, headers: Mapping[str, str] | None = None, **changes: Any
    ) -> Reply:
        """Present a refresh token; a change of None leaves a parameter out."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return self.ask_for_tokens(form, headers=headers, **changes)

    def ask_for_tokens(
        self, form: Mapping[str, Any], *, headers: Mapping[str, str] | None = None, **changes: Any
    ) -> Reply:
        """A token request, authenticated as the client is registered; with `headers` those stand for the client's."""
        form = dict(form)
        sent_headers = dict(headers or {})
        if self.method == "client_secret_basic" and headers is None:
            sent_headers["Authorization"] = basic(self.client_id, self.client_secret or "")
        else:
            form["client_id"] = self.client_id
            if self.method == "client_secret_post":
                form["client_secret"] = self.client_secret
        form |= changes
        form = {name: value for name, value in form.items() if value is not None}
        return send(f"{self.server_url}/token", method="POST", headers=sent_headers, form=form)

    def userinfo(self, access_token: str) -> Reply:
        """Call userinfo with a bearer token."""
        return send(f"{self.server_url}/userinfo", headers={"Authorization": f"Bearer {access_token}"})


def read_response(reply: Reply) -> tuple[str, str, dict[str, str]]:
    """An authorization response: its mode, the URI that it is for, and its parameters."""
    if reply.status == 200 and 'id="form-post"' in reply.text:
        form = find_form(reply, "form-post")
        return "form_post", form.action, dict(form.fields)
    assert reply.status == 303, f"no redirect but {reply.status}:\n{reply.text[:1500]}"
    parts = urlsplit(reply.location)
    mode = "fragment" if parts.fragment else "query"
    return mode, reply.location, dict(parse_qsl(parts.fragment or parts.query, keep_blank_values=True))


def read_tokens(reply: Reply) -> Tokens:
    """A token response that must be good."""
    assert reply.status == 200, reply.text
    answer = reply.json()
    assert answer["token_type"] == "Bearer"
    return Tokens(
        access_token=answer["access_token"],
        id_token=answer.get("id_token"),
        expires_in=answer["expires_in"],
        scope=answer["scope"],
        refresh_token=answer.get("refresh_token"),
        authorization_details=answer.get("authorization_details"),
    )


def challenge_of(code_verifier: str) -> str:
    """RFC 7636 4.2, S256."""
    return base64.urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).rstrip(b"=").decode()


def basic(client_id: str, client_secret: str) -> str:
    """An Authorization header (RFC 6749 2.3.1)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def read_jwt(token: str) -> dict[str, Any]:
    """The claims of a JWT, unverified."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims
