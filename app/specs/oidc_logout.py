"""OpenID Connect RP-Initiated Logout 1.0, Back-Channel Logout 1.0 and Front-Channel Logout 1.0 - what is on the wire.

Who is logged out, and who is told, is `services.end_session`; keys and signatures are `rfc7515_jose`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from .protocol_error import InvalidRequest
from .rfc6749_oauth import build_redirect
from .strict_request import Parameters

LOGOUT_TOKEN_TYP: Final = "logout+jwt"  # noqa: S105 - a media type
BACKCHANNEL_LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
# Back-Channel Logout 2.4: the time "SHOULD be short ... preferably at most two minutes in the future".
LOGOUT_TOKEN_LIFETIME_S: Final = 120
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
