"""RFC 8693 - OAuth 2.0 Token Exchange: the kinds of tokens, and who acts for whom.

Not implemented, on purpose: `actor_token` (the actor is the client that authenticates itself), `may_act`, and every
kind of token but access tokens. Who may exchange what for what is the caller's rule.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from .protocol_error import InvalidRequest, InvalidToken

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"

# Section 3.
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a type's name
JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
_OTHER_KINDS: Final = frozenset(
    f"urn:ietf:params:oauth:token-type:{kind}" for kind in ("refresh_token", "id_token", "saml1", "saml2")
)
# A chain that is longer than this was not made by anybody who means well.
MAX_ACTORS: Final = 16


# ----- What the request says of its tokens (section 2.1) -----


def check_subject_token_type(value: str | None) -> None:
    """Raises InvalidRequest unless the subject token is said to be an access token, which is also a JWT here."""
    if value is None:
        raise InvalidRequest("subject_token_type is missing")
    if value in _OTHER_KINDS:
        raise InvalidRequest("only access tokens can be exchanged")
    if value not in (ACCESS_TOKEN, JWT):
        raise InvalidRequest("subject_token_type is not known here")


def check_requested_token_type(value: str | None) -> None:
    """Raises InvalidRequest unless an access token is asked for; left out, "the issued token type is at the discretion
    of the authorization server".
    """
    if value not in (None, ACCESS_TOKEN):
        raise InvalidRequest("only access tokens are given in exchange")


def check_no_actor_token(*, has_actor_token: bool, has_actor_token_type: bool) -> None:
    """Raises InvalidRequest. Section 2.1: actor_token_type "MUST NOT be included otherwise"."""
    if has_actor_token:
        raise InvalidRequest("actor_token is not accepted: who acts is the client that authenticates itself")
    if has_actor_token_type:
        raise InvalidRequest("actor_token_type was sent without actor_token")


# ----- Who acts (section 4.1) -----


def parse_actors(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """The `sub` of everybody who acts by the token, the present actor first; none where nobody acts for another.

    Raises InvalidToken for a chain that cannot be read: whoever decides by it must not see half of it.
    """
    actors: list[str] = []
    holder: Mapping[str, Any] = claims
    while "act" in holder:
        act = holder["act"]
        if not isinstance(act, dict):
            raise InvalidToken("the token's act is not an object")
        sub = act.get("sub")
        if not isinstance(sub, str) or not sub:
            raise InvalidToken("the token's act names nobody")
        actors.append(sub)
        if len(actors) > MAX_ACTORS:
            raise InvalidToken("the token's act is nested too deeply")
        holder = act
    return tuple(actors)


def build_act(actors: Sequence[str]) -> dict[str, Any]:
    """The `act` claim: "the outermost "act" claim represents the current actor while nested "act" claims represent
    prior actors". Raises ValueError without an actor.
    """
    if not actors:
        raise ValueError("somebody must act")
    act: dict[str, Any] = {"sub": actors[-1]}
    for sub in reversed(actors[:-1]):
        act = {"sub": sub, "act": act}
    return act
