"""An OpenID Connect client as a certification plays it: registered by itself, without PKCE, strict about answers."""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from tests.actors.browser import Browser
from tests.actors.http import Reply, send
from tests.actors.relying_party import basic, read_response
from tests.deployments import Account
from tests.services.other_host import CertificateAuthority, OtherHost, answer
from tests.world import World

ALL_CLAIMS: dict[str, Any] = {
    "name": "Ada Lovelace",
    "given_name": "Ada",
    "family_name": "Lovelace",
    "middle_name": "King",
    "nickname": "ada",
    "preferred_username": "ada",
    "profile": "https://ada.example/",
    "picture": "https://ada.example/ada.png",
    "website": "https://ada.example/",
    "gender": "female",
    "birthdate": "1815-12-10",
    "zoneinfo": "Europe/London",
    "locale": "en-GB",
    "phone_number": "+44 20 7946 0000",
    "address": {"formatted": "12 St James's Square, London", "country": "United Kingdom"},
}
STATE = "-._~" + "s" * 124


@dataclass
class Party:
    """One client that registered itself, and its key."""

    world: World
    document: dict[str, Any]
    key: RSAKey
    response_mode: str | None = None
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def redirect_uri(self) -> str:
        """The first that was registered."""
        return str(self.document["redirect_uris"][0])

    def request(self, **changes: Any) -> dict[str, Any]:
        """The parameters of a plain request: no PKCE, a state that is hard to carry, a nonce."""
        parameters = {
            "client_id": self.document["client_id"],
            "response_type": "code",
            "redirect_uri": self.redirect_uri,
            "scope": "openid",
            "state": STATE,
            "nonce": secrets.token_urlsafe(16),
            "response_mode": self.response_mode,
            **self.extra,
            **changes,
        }
        return {name: value for name, value in parameters.items() if value is not None}

    def url(self, **changes: Any) -> str:
        """Where the browser is sent."""
        return f"{self.world.issuer}/authorize?{urlencode(self.request(**changes))}"

    def authorize(self, browser: Browser, account: Account, **changes: Any) -> dict[str, str]:
        """The whole visit; what comes back to the redirect URI, after the checks that hold for every answer."""
        return self.read(self.visit(browser, browser.get(self.url(**changes)), account), **changes)

    def visit(self, browser: Browser, page: Reply, account: Account) -> Reply:
        """Log in and consent as far as the pages ask."""
        if 'id="login-form"' in page.text:
            page = browser.log_in(page, account.username, account.password)
        if 'id="consent-form"' in page.text:
            page = browser.consent(page)
        return page

    def read(self, reply: Reply, **changes: Any) -> dict[str, str]:
        """The answer's parameters: nothing in them that a client does not know."""
        mode, action, parameters = read_response(reply)
        assert mode == (self.response_mode or "query")
        assert action.startswith(self.redirect_uri)
        if mode == "query" and "?" in self.redirect_uri:
            parameters = {name: value for name, value in parameters.items() if name not in self.redirect_uri}
        known = {"error", "error_description", "error_uri", "state", "session_state", "iss"}
        assert set(parameters) <= ({"code", "state", "session_state", "iss"} if "code" in parameters else known)
        assert parameters["state"] == changes.get("state", STATE)
        assert parameters["iss"] == self.world.issuer
        return parameters

    def exchange(self, code: str, **changes: Any) -> Reply:
        """A token request for a code."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri, **changes}
        return self.ask_for_tokens(form)

    def refresh(self, refresh_token: str, **changes: Any) -> Reply:
        """A token request with a refresh token."""
        return self.ask_for_tokens({"grant_type": "refresh_token", "refresh_token": refresh_token, **changes})

    def ask_for_tokens(self, form: Mapping[str, Any], *, audience: str | None = None) -> Reply:
        """A token request, authenticated as registered; an assertion is made for the token endpoint's URL."""
        url, headers, form = f"{self.world.issuer}/token", {}, dict(form)
        method = self.document["token_endpoint_auth_method"]
        if method == "client_secret_basic":
            headers = {"Authorization": basic(self.document["client_id"], self.document["client_secret"])}
        elif method == "client_secret_post":
            form |= {"client_id": self.document["client_id"], "client_secret": self.document["client_secret"]}
        else:
            form |= {
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": self.sign_assertion(audience or url),
            }
        return send(url, method="POST", headers=headers, form=form)

    def sign_assertion(self, audience: str) -> str:
        """RFC 7523, without a kid, as the registered key has none."""
        now_s = self.world.clock() // 1000
        claims = {
            "iss": self.document["client_id"],
            "sub": self.document["client_id"],
            "aud": audience,
            "jti": secrets.token_urlsafe(16),
            "iat": now_s,
            "exp": now_s + 60,
        }
        return jwt.encode({"alg": "RS256"}, claims, self.key)

    def tokens(self, browser: Browser, account: Account, **changes: Any) -> dict[str, Any]:
        """Log in and exchange: a good token response, and its ID token checked against the published keys."""
        changes.setdefault("nonce", secrets.token_urlsafe(16))
        answered = self.authorize(browser, account, **changes)
        reply = self.exchange(answered["code"])
        assert reply.status == 200, reply.text
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["content-type"] == "application/json"
        response: dict[str, Any] = reply.json()
        assert response["token_type"] == "Bearer"
        assert response["expires_in"] > 0
        claims = self.check_id_token(response["id_token"])
        assert claims.get("nonce") == changes["nonce"]
        return response

    def check_id_token(self, id_token: str) -> dict[str, Any]:
        """The verified claims: RS256 with a kid that is published, our issuer, this client."""
        keys = KeySet.import_key_set(send(f"{self.world.issuer}/jwks").json())
        token = jwt.decode(id_token, keys, algorithms=["RS256"])
        assert token.header["kid"]
        claims = dict(token.claims)
        assert claims["iss"] == self.world.issuer
        assert claims["aud"] == self.document["client_id"]
        assert abs(claims["iat"] - self.world.clock() / 1000) < 300
        return claims

    def userinfo(self, access_token: str) -> Reply:
        """A bearer token in the header of a GET."""
        return send(f"{self.world.issuer}/userinfo", headers={"Authorization": f"Bearer {access_token}"})


@dataclass
class Certifier:
    """Registers parties at the server under examination, and is the host of their documents."""

    world: World
    authority: CertificateAuthority

    def person(self) -> Account:
        """Somebody with every standard claim."""
        return self.world.operator.add_user(**ALL_CLAIMS)

    def register(self, *, response_mode: str | None = None, key: RSAKey | None = None, **metadata: Any) -> Party:
        """A new party; its key has no kid, and it says neither its scope nor its kind."""
        key = key or _own_key()
        document = {
            "client_name": "conformance",
            "redirect_uris": [f"https://rp-{secrets.token_hex(4)}.example/callback"],
            "response_types": ["code"],
            "grant_types": ["authorization_code"],
            "jwks": {"keys": [public_jwk(key)]},
            "contacts": ["certification@example.com"],
            "token_endpoint_auth_method": "client_secret_basic",
            **metadata,
        }
        reply = self.try_register({name: value for name, value in document.items() if value is not None})
        assert reply.status == 201, reply.text
        registered = reply.json()
        has_secret = "client_secret" in registered
        assert ("client_secret_expires_at" in registered) is has_secret
        assert ("registration_access_token" in registered) is ("registration_client_uri" in registered)
        return Party(world=self.world, document=registered, key=key, response_mode=response_mode)

    def try_register(self, document: Mapping[str, Any]) -> Reply:
        """Registration as it is answered."""
        return send(
            f"{self.world.issuer}/register",
            method="POST",
            headers={"Content-Type": "application/json"},
            body=json.dumps(document).encode(),
        )

    @contextmanager
    def hosting(self, body: bytes | str, media_type: str = "application/json") -> Iterator["Hosted"]:
        """A document of the suite's own, over TLS on this machine."""
        with OtherHost(tls=self.authority.serve("127.0.0.1")) as host:
            hosted = Hosted(host=host, media_type=media_type)
            hosted.publish(body)
            yield hosted


@dataclass
class Hosted:
    """A document at an address that changes its mind."""

    host: OtherHost
    media_type: str

    @property
    def url(self) -> str:
        """Where it is."""
        return self.host.url("/document", host="127.0.0.1")

    def publish(self, body: bytes | str) -> None:
        """From now on it says this."""
        content = body.encode() if isinstance(body, str) else body
        self.host.behaviour = answer(f"Content-Type: {self.media_type}", body=content)


def make_key(kid: str | None = None) -> RSAKey:
    """An RSA key, by default without a kid."""
    key = RSAKey.generate_key(2048, private=True, auto_kid=False)
    return key if kid is None else RSAKey.import_key({**key.as_dict(private=True), "kid": kid})


@cache
def _own_key() -> RSAKey:
    return make_key()


def public_jwk(key: RSAKey) -> dict[str, Any]:
    """What is registered of it."""
    return {**key.as_dict(private=False), "use": "sig", "alg": "RS256"}
