"""What a view asks of a token beyond being valid: scopes, details, and how its person logged in."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ..specs.protocol_error import InsufficientScope
from ..specs.rfc9068_access_token import AccessTokenClaims
from ..specs.rfc9396_authorization_details import is_subset, parse_authorization_details_list, parse_member_orders
from ..specs.rfc9470_step_up import check_authentication


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """Made once per view with `require`, used for every request."""

    scope: tuple[str, ...] = ()
    # Types of which the token has at least one detail (RFC 9396).
    detail_types: tuple[str, ...] = ()
    # RFC 9470: any of these values of `acr`, and a login at most so old.
    acr_values: tuple[str, ...] = ()
    max_age_s: int | None = None


VALID_TOKEN = Requirement()


def require(
    scope: str | Collection[str] = (),
    *,
    authorization_details: str | Collection[str] = (),
    acr_values: str | Collection[str] = (),
    max_age_s: int | None = None,
) -> Requirement:
    """Returns the requirement. Texts are lists with spaces, as on the wire (a type with a space needs a list)."""
    if max_age_s is not None and (type(max_age_s) is not int or max_age_s < 0):
        raise ValueError("max_age_s is a whole number of seconds")
    return Requirement(
        scope=_words(scope),
        detail_types=_words(authorization_details),
        acr_values=_words(acr_values),
        max_age_s=max_age_s,
    )


def check_requirement(requirement: Requirement, claims: AccessTokenClaims, *, now_s: float, leeway_s: float) -> None:
    """Raises InsufficientScope (403) for scopes and details, InsufficientUserAuthentication (401) for the login."""
    for name in requirement.scope:
        if name not in claims.scope:
            missing = sorted(set(requirement.scope) - claims.scope)
            raise InsufficientScope("the token lacks the scope " + " ".join(missing))
    if requirement.detail_types:
        carried = {detail.type for detail in claims.authorization_details}
        for type_ in requirement.detail_types:
            if type_ not in carried:
                raise InsufficientScope(f"the token lacks authorization_details of the type {type_}")
    if requirement.acr_values or requirement.max_age_s is not None:
        check_authentication(
            acr=claims.acr,
            auth_time_s=claims.auth_time_s,
            acr_values=requirement.acr_values,
            max_age_s=requirement.max_age_s,
            now_s=now_s,
            leeway_s=leeway_s,
        )


def allows(claims: AccessTokenClaims, wanted: Mapping[str, Any], *, orders: Mapping[str, Any] | None = None) -> bool:
    """Returns whether one of the token's authorization_details covers `wanted`, a detail with its `type`.

    `orders` says how the members of that type compare (`set`, `max`, `prefix`; RFC 9396 leaves it to the API); a member
    of which it says nothing must be equal, and one that `wanted` leaves out asks for all of it. Raises ValueError for
    an order that does not exist, InvalidAuthorizationDetails for a `wanted` that is no detail.
    """
    details = parse_authorization_details_list([dict(wanted)])
    return is_subset(details, claims.authorization_details, {details[0].type: parse_member_orders(dict(orders or {}))})


def _words(value: str | Collection[str]) -> tuple[str, ...]:
    return tuple(value.split()) if isinstance(value, str) else tuple(value)
