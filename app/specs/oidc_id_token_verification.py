"""OpenID Connect Core 1.0 - sections 3.1.3.7, 3.1.3.8 and 5.3.2: an ID token of somebody else's, judged by a client.

The signature is verified elsewhere, by a key that was chosen under an explicit list of algorithms; here is what the
claims must say. Encrypted ID tokens are **not** accepted: nobody is told to send us one.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .oidc_core import at_hash

# Clocks differ: so much may a provider's be ahead of ours, or ours of its.
MAX_SKEW_S: Final = 60
# An ID token answers a request of a few minutes ago: what is much older is somebody's copy.
MAX_AGE_S: Final = 3600
# The login that was asked for a moment ago: seconds are cut off, and two clocks in good order differ by little.
MAX_LOGIN_SKEW_S: Final = 10
MAX_SUBJECT_CHARACTERS: Final = 255


class InvalidIdToken(ValueError):
    """The ID token, or what was said beside it, is not what was asked for; the text repeats no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedIdToken:
    """What a client knows when an ID token comes. `max_age_s`: what was asked, so that `auth_time` is due; and when."""

    issuer: str
    client_id: str
    nonce: str = field(repr=False)
    now_s: float
    max_age_s: int | None = None
    asked_at_s: float = 0

    @property
    def oldest_login_s(self) -> float | None:
        """When the login may have been at the earliest: how long somebody took to come back does not make it older."""
        return None if self.max_age_s is None else self.asked_at_s - self.max_age_s - MAX_LOGIN_SKEW_S


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedIdToken:
    """Who logged in, and how, as the provider says."""

    subject: str
    auth_time_s: int | None
    acr: str | None
    amr: tuple[str, ...]
    sid: str | None
    claims: Mapping[str, Any] = field(repr=False)


def check_id_token_claims(claims: Mapping[str, Any], expected: ExpectedIdToken) -> VerifiedIdToken:
    """What an ID token says whose signature holds. Raises InvalidIdToken.

    Does **not** verify the signature, and does not check `at_hash`: see `check_at_hash`.
    """
    if claims.get("iss") != expected.issuer:
        raise InvalidIdToken("iss is not the provider")
    _check_audience(claims, expected.client_id)
    _check_times(claims, expected.now_s)
    nonce = claims.get("nonce")
    # "If a nonce value was sent in the Authentication Request, a nonce Claim MUST be present and its value checked".
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), expected.nonce.encode()):
        raise InvalidIdToken("nonce is not the one that was sent")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_CHARACTERS:
        raise InvalidIdToken("sub is missing, or no text of 1 to 255 characters")
    if "events" in claims:
        raise InvalidIdToken("it is a logout token")
    return VerifiedIdToken(
        subject=subject,
        auth_time_s=_check_auth_time(claims, expected),
        acr=_text(claims, "acr"),
        amr=_words(claims.get("amr")),
        sid=_text(claims, "sid"),
        claims=claims,
    )


def check_at_hash(claims: Mapping[str, Any], *, access_token: str, alg: str) -> None:
    """Section 3.1.3.8: where `at_hash` is there, it is the access token's. Raises InvalidIdToken."""
    sent = claims.get("at_hash")
    if sent is None:
        return
    try:
        own = at_hash(access_token, alg)
    except ValueError as error:
        raise InvalidIdToken("at_hash cannot be computed") from error
    if not isinstance(sent, str) or not hmac.compare_digest(sent.encode(), own.encode()):
        raise InvalidIdToken("at_hash is not the access token's")


def check_userinfo_subject(userinfo: Mapping[str, Any], subject: str) -> None:
    """Section 5.3.2: "The sub Claim in the UserInfo Response MUST be verified to exactly match the sub Claim in the ID
    Token; if they do not match, the UserInfo Response values MUST NOT be used." Raises InvalidIdToken.
    """
    if userinfo.get("sub") != subject:
        raise InvalidIdToken("the sub of the UserInfo response is not the ID token's")


def _check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if client_id not in audiences:
        raise InvalidIdToken("aud is not this client")
    # "The ID Token MUST be rejected if the ID Token does not list the Client as a valid audience, or if it contains
    # additional audiences not trusted by the Client." We trust none.
    if any(other != client_id for other in audiences):
        raise InvalidIdToken("aud holds others beside this client")
    if "azp" in claims and claims["azp"] != client_id:
        raise InvalidIdToken("azp is not this client")


def _check_times(claims: Mapping[str, Any], now_s: float) -> None:
    expires_at_s, issued_at_s = _time(claims, "exp"), _time(claims, "iat")
    if expires_at_s <= now_s - MAX_SKEW_S:
        raise InvalidIdToken("it has expired")
    if issued_at_s > now_s + MAX_SKEW_S:
        raise InvalidIdToken("iat is in the future")
    if issued_at_s < now_s - MAX_AGE_S:
        raise InvalidIdToken("iat is too long ago")
    if "nbf" in claims and _time(claims, "nbf") > now_s + MAX_SKEW_S:
        raise InvalidIdToken("nbf is in the future")


def _check_auth_time(claims: Mapping[str, Any], expected: ExpectedIdToken) -> int | None:
    oldest_s = expected.oldest_login_s
    if oldest_s is None and "auth_time" not in claims:
        return None
    # Section 2: "When a max_age request is made ... then this Claim is REQUIRED".
    auth_time_s = _time(claims, "auth_time")
    if auth_time_s > expected.now_s + MAX_SKEW_S:
        raise InvalidIdToken("auth_time is in the future")
    if oldest_s is not None and auth_time_s < oldest_s:
        raise InvalidIdToken("auth_time is longer ago than was asked for")
    return int(auth_time_s)


def _time(claims: Mapping[str, Any], name: str) -> float:
    wire = claims.get(name)
    if not (type(wire) is int or type(wire) is float):
        raise InvalidIdToken(f"{name} is missing, or not a time")
    return wire


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    return value if isinstance(value, str) and 0 < len(value) <= 500 else None


def _words(value: object) -> tuple[str, ...]:
    words = value if isinstance(value, list) else []
    return tuple(word for word in words if isinstance(word, str) and 0 < len(word) <= 100)[:20]
