"""Logging people in at an OpenID Connect issuer: the authorization code flow with PKCE, each check in its place.

Every OpenID Connect library does the same (the README shows Authlib's client). It stands here in full because these
hundred lines are the part that an application owes to the people who use it.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode

import urllib3
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

LEEWAY_S = 10


class SignInRefused(Exception):
    """Nobody was logged in. `error` is a code of the specifications, or `untrusted_answer` for our own doubts."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What this application and the issuer agreed on."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingSignIn:
    """A sign-in that is under way: kept on the server, for the browser that began it."""

    url: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """Who it is, and the token that opens the API for them. `expires_at` in seconds since 1970."""

    subject: str
    name: str
    access_token: str = field(repr=False)
    expires_at: float
    scope: frozenset[str]


class Issuer:
    """The issuer, as this application knows it. Safe for threads."""

    def __init__(self, registration: Registration, *, ca_file: str | None = None) -> None:
        self._registration = registration
        # No retries and no redirects: a code works once, and the secret goes to the issuer and to nobody else.
        self._http = urllib3.PoolManager(retries=False, timeout=10, ca_certs=ca_file)
        self._known_metadata: dict[str, Any] | None = None
        self._known_keys: KeySet | None = None

    def begin(self, *, scope: str, resource: str) -> PendingSignIn:
        """Where to send the browser, and what to keep until it comes back."""
        state, nonce, code_verifier = (secrets.token_urlsafe(32) for _ in range(3))
        digest = hashlib.sha256(code_verifier.encode()).digest()
        parameters = {
            "response_type": "code",
            "client_id": self._registration.client_id,
            "redirect_uri": self._registration.redirect_uri,
            "scope": scope,
            "resource": resource,
            "state": state,
            "nonce": nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        url = f"{self._metadata()['authorization_endpoint']}?{urlencode(parameters)}"
        return PendingSignIn(url=url, state=state, nonce=nonce, code_verifier=code_verifier)

    def finish(self, pending: PendingSignIn, answer: Mapping[str, str]) -> SignedIn:
        """Who came back with the parameters of `answer`. Raises `SignInRefused`."""
        check_answer(answer, state=pending.state, issuer=self._registration.issuer)
        tokens = self._exchange(answer["code"], pending.code_verifier)
        claims = self._verify_id_token(tokens.get("id_token"), nonce=pending.nonce)
        return SignedIn(
            subject=claims["sub"],
            name=claims.get("name") or claims.get("preferred_username") or "",
            access_token=tokens["access_token"],
            expires_at=time.time() + tokens["expires_in"],
            scope=frozenset(tokens["scope"].split()),
        )

    def _exchange(self, code: str, code_verifier: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._registration.redirect_uri,
            "code_verifier": code_verifier,
        }
        headers = {
            "Authorization": basic(self._registration.client_id, self._registration.client_secret),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        tokens = self._request("POST", self._metadata()["token_endpoint"], body=urlencode(form), headers=headers)
        if str(tokens.get("token_type", "")).lower() != "bearer":
            raise SignInRefused("untrusted_answer", "the token is of a type that this application cannot use")
        return tokens

    def _verify_id_token(self, id_token: str | None, *, nonce: str) -> dict[str, Any]:
        if id_token is None:
            raise SignInRefused("untrusted_answer", "the issuer did not say who it is")
        try:
            # RS256 is what this client is registered for. Whatever the token's own header says decides nothing.
            claims = jwt.decode(id_token, self._keys_for(id_token), algorithms=["RS256"]).claims
        except (JoseError, ValueError) as error:
            raise SignInRefused("untrusted_answer", "the ID token's signature does not hold") from error
        check_id_token_claims(
            claims, issuer=self._registration.issuer, client_id=self._registration.client_id, nonce=nonce
        )
        return claims

    def _keys_for(self, id_token: str) -> KeySet:
        kid = json.loads(base64.urlsafe_b64decode(id_token.partition(".")[0] + "==")).get("kid")
        if self._known_keys is None or kid not in {key.kid for key in self._known_keys.keys}:
            # Unknown, perhaps because it is new: keys are changed every few months.
            self._known_keys = KeySet.import_key_set(self._request("GET", self._metadata()["jwks_uri"]))
        return self._known_keys

    def _metadata(self) -> dict[str, Any]:
        if self._known_metadata is None:
            metadata = self._request("GET", f"{self._registration.issuer}/.well-known/openid-configuration")
            # OpenID Connect Discovery 4.3: it "MUST exactly match the Issuer URL that was used".
            if metadata.get("issuer") != self._registration.issuer:
                raise SignInRefused("untrusted_answer", "the metadata describe another issuer")
            self._known_metadata = metadata
        return self._known_metadata

    def _request(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, url, redirect=False, **options)
            document = answer.json()
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise SignInRefused("temporarily_unavailable", "the login server does not answer just now") from error
        if answer.status != 200:
            error, description = document.get("error"), document.get("error_description")
            raise SignInRefused(error or "server_error", description or f"the login server answered {answer.status}")
        return dict(document)


def check_answer(answer: Mapping[str, str], *, state: str, issuer: str) -> None:
    """Raises `SignInRefused` unless this is the issuer's answer to the request of this very browser, with a code."""
    # First of all: without the right state somebody else's sign-in could be slipped into this browser.
    if not hmac.compare_digest(answer.get("state", "").encode(), state.encode()):
        raise SignInRefused("untrusted_answer", "this answer belongs to another sign-in")
    # RFC 9207 2.4: an answer of another issuer must not be used, or its code would be taken to the wrong one.
    if answer.get("iss") != issuer:
        raise SignInRefused("untrusted_answer", "this answer comes from another login server")
    if "error" in answer:
        raise SignInRefused(answer["error"], answer.get("error_description", ""))
    if "code" not in answer:
        raise SignInRefused("untrusted_answer", "the answer holds no code")


def check_id_token_claims(claims: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str) -> None:
    """OpenID Connect Core 3.1.3.7. Raises `SignInRefused`. Does **not** check the signature."""
    now = time.time()
    checks = {
        "comes from another issuer": claims.get("iss") == issuer,
        "was made for another application": claims.get("aud") in (client_id, [client_id]),
        "has expired": isinstance(claims.get("exp"), int) and claims["exp"] > now - LEEWAY_S,
        "is from the future": isinstance(claims.get("iat"), int) and claims["iat"] < now + LEEWAY_S,
        # Ties the token to this sign-in: a token of an earlier one has another nonce.
        "belongs to another sign-in": hmac.compare_digest(str(claims.get("nonce")).encode(), nonce.encode()),
        "does not say who it is": isinstance(claims.get("sub"), str),
    }
    for reason, holds in checks.items():
        if not holds:
            raise SignInRefused("untrusted_answer", f"the ID token {reason}")


def basic(client_id: str, client_secret: str) -> str:
    """RFC 6749 2.3.1: both parts are form-encoded before they are joined."""
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
