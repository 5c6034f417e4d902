"""How strongly somebody logged in, in the words of the wire (`acr`): what is asked, what is met, what is answered.

Levels are ordered, `pwd` < `mfa` < `phr`; their names on the wire are the deployment's.
"""

from collections.abc import Sequence
from typing import Final

from app.services.authorization_request import AuthorizationRequest
from app.services.client_registry import Client
from app.services.deployment import AcrNames

LEVELS: Final = ("pwd", "mfa", "phr")


def requested_acr_values(request: AuthorizationRequest, client: Client) -> tuple[str, ...]:
    """What the client would like: asked for now by either parameter, or else registered (`default_acr_values`)."""
    claimed = () if request.claims.acr is None else request.claims.acr.values or ()
    asked = [value for value in (*claimed, *request.acr_values) if isinstance(value, str)]
    return tuple(asked) or client.metadata.default_acr_values


def choose_acr(names: AcrNames, level: str, requested: Sequence[str]) -> str:
    """The answer: the highest requested value that the login meets; where it meets none, what the login was."""
    met = [name for name in _names_met(names, level) if name in requested]
    return met[-1] if met else str(getattr(names, level))


def missing_level(names: AcrNames, level: str, requested: Sequence[str]) -> str | None:
    """The lowest level above `level` that would meet a requested value, where `level` meets none of those that we
    know; None where it does, and where nothing that we know was requested.
    """
    known = [name for name in LEVELS if getattr(names, name) in requested]
    if not known or any(LEVELS.index(name) <= LEVELS.index(level) for name in known):
        return None
    return known[0]


def lacks_essential_acr(names: AcrNames, level: str, request: AuthorizationRequest) -> bool:
    """OpenID Connect Core 5.5.1.1: an essential `acr` with values, of which the login meets none."""
    wish = request.claims.acr
    if wish is None or not wish.essential:
        return False
    return not any(wish.accepts(name) for name in _names_met(names, level))


def missing_essential_level(names: AcrNames, level: str, request: AuthorizationRequest) -> str | None:
    """The lowest level that an essential `acr` would accept, where the login's is not one of them and a higher is."""
    if not lacks_essential_acr(names, level, request) or request.claims.acr is None:
        return None
    higher = LEVELS[LEVELS.index(level) + 1 :]
    return next((name for name in higher if request.claims.acr.accepts(getattr(names, name))), None)


def _names_met(names: AcrNames, level: str) -> list[str]:
    """The wire names of the level and of those below it, the lowest first."""
    return [getattr(names, name) for name in LEVELS[: LEVELS.index(level) + 1]]
