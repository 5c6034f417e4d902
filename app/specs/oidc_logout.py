"""OpenID Connect RP-Initiated Logout 1.0, Back-Channel Logout 1.0 and Front-Channel Logout 1.0 - what is on the wire.

Who is logged out, and who is told, is `services.end_session`; keys and signatures are `rfc7515_jose`'s.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from .protocol_error import InvalidRequest
from .rfc6749_oauth import build_redirect
from .rfc7515_jose import UnverifiedHeader
from .strict_request import Parameters

LOGOUT_TOKEN_TYP: Final = "logout+jwt"  # noqa: S105 - a media type
BACKCHANNEL_LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
# Back-Channel Logout 2.4: the time "SHOULD be short ... preferably at most two minutes in the future".
LOGOUT_TOKEN_LIFETIME_S: Final = 120
# Of a token that comes to us: it is delivered again after failures, but each time signed anew.
MAX_LOGOUT_TOKEN_AGE_S: Final = 300
MAX_LOGOUT_TOKEN_SKEW_S: Final = 60
ID_TOKEN_TYP: Final = "JWT"  # noqa: S105 - a media type

MAX_STATE_CHARACTERS: Final = 4096


# ----- RP-Initiated Logout -----


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutRequest:
    """What a client asks at the end session endpoint (section 2), nothing of it checked yet.

    `logout_hint` and `ui_locales` are accepted and decide nothing: anybody can write them.
    """

    unverified_id_token_hint: str | None
    client_id: str | None
    post_logout_redirect_uri: str | None
    state: str | None

    def __repr__(self) -> str:
        return f"LogoutRequest(client_id={self.client_id!r:.100})"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdTokenHint:
    """An ID token of ours, verified, whenever it was issued: to whom, about whom, and in which session."""

    client_id: str
    subject: str
    sid: str | None


def parse_logout_request(parameters: Parameters) -> LogoutRequest:
    """The parameters of section 2. Raises InvalidRequest for a state that nobody can be asked to keep."""
    state = parameters.get("state")
    if state is not None and len(state) > MAX_STATE_CHARACTERS:
        raise InvalidRequest(f"state has more than {MAX_STATE_CHARACTERS} characters")
    return LogoutRequest(
        unverified_id_token_hint=parameters.get("id_token_hint"),
        client_id=parameters.get("client_id"),
        post_logout_redirect_uri=parameters.get("post_logout_redirect_uri"),
        state=state,
    )


def check_id_token_hint(claims: Mapping[str, Any], *, issuer: str) -> IdTokenHint:
    """What a hint says, from claims whose signature holds. Raises InvalidRequest.

    Section 2: "The OP SHOULD accept ID Tokens when the RP identified by the ID Token's aud claim and/or sid claim has a
    current session or had a recent session at the OP, even when the exp time has passed." So `exp` is not looked at.
    """
    client_id, subject, sid = claims.get("aud"), claims.get("sub"), claims.get("sid")
    if isinstance(client_id, list) and len(client_id) == 1:
        client_id = client_id[0]
    # "the OP MUST validate that it was the issuer of the ID Token"
    if claims.get("iss") != issuer or not isinstance(client_id, str) or not isinstance(subject, str):
        raise InvalidRequest("id_token_hint is not an ID token of this server")
    # Nor is it a logout token (`events`), or a userinfo response, which has the same `typ` and neither of these times.
    if not all(isinstance(claims.get(name), int) for name in ("iat", "exp")):
        raise InvalidRequest("id_token_hint is not an ID token of this server")
    if "events" in claims or not (sid is None or isinstance(sid, str)):
        raise InvalidRequest("id_token_hint is not an ID token of this server")
    return IdTokenHint(client_id=client_id, subject=subject, sid=sid)


def build_post_logout_redirect(uri: str, *, state: str | None) -> str:
    """Section 3: where the browser goes afterwards, with `state` where it was sent, and nothing else."""
    return uri if state is None else build_redirect(uri, {"state": state})


# ----- Back-Channel Logout -----


def build_logout_token_claims(
    *, issuer: str, client_id: str, subject: str, sid: str, jti: str, issued_at_s: int
) -> dict[str, Any]:
    """The claims of section 2.4: both `sub` and `sid`, one event without content, and never a `nonce`."""
    return {
        "iss": issuer,
        "sub": subject,
        "aud": client_id,
        "iat": issued_at_s,
        "exp": issued_at_s + LOGOUT_TOKEN_LIFETIME_S,
        "jti": jti,
        "events": {BACKCHANNEL_LOGOUT_EVENT: {}},
        "sid": sid,
    }


def build_backchannel_body(logout_token: str) -> bytes:
    """The form of section 2.5."""
    return urlencode({"logout_token": logout_token}).encode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutToken:
    """What another provider says: that a person, or one session, has logged out there."""

    subject: str | None
    sid: str | None
    jti: str
    expires_at_s: float

    def replay_key(self, issuer: str) -> bytes:
        """32 bytes that are the same for the same issuer and `jti` only."""
        parts = b"".join(len(raw).to_bytes(4, "big") + raw for raw in (issuer.encode(), self.jti.encode()))
        return hashlib.sha256(b"logout_token\0" + parts).digest()


def check_logout_token(
    header: UnverifiedHeader, claims: Mapping[str, Any], *, issuer: str, client_id: str, now_s: float
) -> LogoutToken:
    """Section 2.6, for a token whose signature holds. Raises InvalidRequest. The record of `jti` is the caller's."""
    # Section 2.4 RECOMMENDS logout+jwt; an ID token, which also says JWT, falls by its claims.
    if header.media_type not in (None, "application/jwt", f"application/{LOGOUT_TOKEN_TYP}"):
        raise InvalidRequest("logout_token is another kind of token", detail=f"typ {header.typ!r:.100}")
    audience = claims.get("aud")
    if claims.get("iss") != issuer or client_id not in (audience if isinstance(audience, list) else [audience]):
        raise InvalidRequest("logout_token is not for this client, or of another issuer")
    # "Verify that the Logout Token does not contain a nonce Claim."
    if "nonce" in claims:
        raise InvalidRequest("logout_token holds a nonce: it is an ID token")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(BACKCHANNEL_LOGOUT_EVENT), dict):
        raise InvalidRequest("logout_token names no logout event")
    issued_at_s = _time(claims, "iat")
    if not now_s - MAX_LOGOUT_TOKEN_AGE_S <= issued_at_s <= now_s + MAX_LOGOUT_TOKEN_SKEW_S:
        raise InvalidRequest("logout_token is too old, or of the future")
    if "exp" in claims and _time(claims, "exp") <= now_s - MAX_LOGOUT_TOKEN_SKEW_S:
        raise InvalidRequest("logout_token has expired")
    jti, subject, sid = claims.get("jti"), claims.get("sub"), claims.get("sid")
    if not isinstance(jti, str) or not 0 < len(jti) <= 500:
        raise InvalidRequest("logout_token has no jti")
    if not all(part is None or (isinstance(part, str) and 0 < len(part) <= 500) for part in (subject, sid)):
        raise InvalidRequest("logout_token has a sub or sid that is no text")
    # "Verify that the Logout Token contains a sub Claim, a sid Claim, or both."
    if subject is None and sid is None:
        raise InvalidRequest("logout_token names neither a person nor a session")
    forgotten_at_s = issued_at_s + MAX_LOGOUT_TOKEN_AGE_S + MAX_LOGOUT_TOKEN_SKEW_S
    return LogoutToken(subject=subject, sid=sid, jti=jti, expires_at_s=forgotten_at_s)


def _time(claims: Mapping[str, Any], name: str) -> float:
    wire = claims.get(name)
    if not (type(wire) is int or type(wire) is float):
        raise InvalidRequest(f"logout_token has no {name}, or one that is no time")
    return wire


# ----- Front-Channel Logout -----


def build_frontchannel_uri(uri: str, *, issuer: str, sid: str) -> str:
    """Section 3: the client's URI with `iss` and `sid`, its own query retained.

    Both go to every client: one that registered `frontchannel_logout_session_required` must have them, and one that did
    not passes over them.
    """
    return build_redirect(uri, {"iss": issuer, "sid": sid})


def origin_of(uri: str) -> str:
    """The origin of a registered web URI, as a Content-Security-Policy names it."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"
