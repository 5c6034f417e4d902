"""OpenID Connect Core 1.0, section 5.5 - the `claims` parameter: single claims, asked for by name.

Read strictly, and normalised: what is asked of the protocol (`sub`, `acr`, `auth_time`) is apart from what is asked
about the person. Claims that are not known are dropped, as section 5.5 wants them ignored; a name that could be a
sentence, which the consent page would show, is not one. Aggregated and distributed claims are **not** implemented.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from .oidc_core import SCOPE_CLAIMS
from .protocol_error import InvalidRequest
from .strict_json import StrictJsonError, parse_json_object

MAX_BYTES: Final = 8192
MAX_DEPTH: Final = 8
MAX_CLAIMS: Final = 100
MAX_LOCALES: Final = 20

PLACES: Final = ("userinfo", "id_token")

STANDARD_CLAIMS: Final = tuple(name for names in SCOPE_CLAIMS.values() for name in names)
"""Section 5.1, without `sub`."""
# What the ID token says of itself and of the login: it is there or it is not, whoever asks.
_PROTOCOL_CLAIMS: Final = frozenset(
    {"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "auth_time", "nonce", "acr", "amr", "azp", "sid"}
    | {"at_hash", "c_hash", "s_hash", "cnf", "act", "may_act", "client_id", "scope", "typ"}
)
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.:/-]{0,99}(?:#[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,7})?")
_LOCALE: Final = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,7}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimWish:
    """One claim that is asked for. `values`: those that are wanted, in order of preference; None is whatever it is."""

    essential: bool = False
    values: tuple[Any, ...] | None = None

    def accepts(self, value: Any) -> bool:
        """Whether the value is one that is wanted."""
        return self.values is None or any(_is_same(value, wanted) for wanted in self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimsRequest:
    """What the parameter asks for. `userinfo` and `id_token` hold claims about the person, language tags included.

    `sub`: the one person who may answer. `acr`: of the ID token, where values are asked for. All of them are what a
    client sent, and none is true for that.
    """

    userinfo: Mapping[str, ClaimWish]
    id_token: Mapping[str, ClaimWish]
    sub: str | None = None
    acr: ClaimWish | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The claims about the person, each once and without language tags."""
        return tuple(dict.fromkeys(base_name(name) for name in (*self.userinfo, *self.id_token)))

    def to_document(self) -> dict[str, Any]:
        """The JSON document that `from_document` reads."""
        return {
            "userinfo": {name: _to_json(wish) for name, wish in self.userinfo.items()},
            "id_token": {name: _to_json(wish) for name, wish in self.id_token.items()},
            "sub": self.sub,
            "acr": None if self.acr is None else _to_json(self.acr),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The request that was stored."""
        acr = document["acr"]
        return cls(
            userinfo={name: _from_json(wish) for name, wish in document["userinfo"].items()},
            id_token={name: _from_json(wish) for name, wish in document["id_token"].items()},
            sub=document["sub"],
            acr=None if acr is None else _from_json(acr),
        )


NO_CLAIMS: Final = ClaimsRequest(userinfo={}, id_token={})


def parse_claims_request(value: str | None) -> ClaimsRequest:
    """The claims that are asked for; none for None. Raises InvalidRequest."""
    if not value:
        return NO_CLAIMS
    try:
        document = parse_json_object(value, max_bytes=MAX_BYTES, max_depth=MAX_DEPTH)
    except StrictJsonError as error:
        raise InvalidRequest("claims is not a JSON object that can be read in one way", detail=str(error)) from error
    members = {place: _parse_place(place, document.get(place)) for place in PLACES}
    if sum(map(len, members.values())) > MAX_CLAIMS:
        raise InvalidRequest(f"claims asks for more than {MAX_CLAIMS} claims")
    acr = members["id_token"].get("acr")
    about_person = {
        place: {name: wish for name, wish in wishes.items() if _is_about_person(name)}
        for place, wishes in members.items()
    }
    return ClaimsRequest(
        userinfo=about_person["userinfo"],
        id_token=about_person["id_token"],
        sub=_find_sub(members.values()),
        acr=acr if acr is not None and acr.values is not None else None,
    )


def parse_claims_locales(value: str | None) -> tuple[str, ...]:
    """Section 5.2: the preferred languages, the best first. What is no language tag is passed over: it is a hint."""
    locales = (value or "").split(" ")[:MAX_LOCALES]
    return tuple(dict.fromkeys(locale for locale in locales if _LOCALE.fullmatch(locale)))


def base_name(name: str) -> str:
    """A claim's name without its language tag."""
    return name.partition("#")[0]


def covering_scope(name: str) -> str | None:
    """The scope whose claims the claim is one of; None for one that no scope gives."""
    return next((scope for scope, names in SCOPE_CLAIMS.items() if base_name(name) in names), None)


def select_requested(
    user_claims: Mapping[str, Any], wishes: Mapping[str, ClaimWish], *, locales: Iterable[str] = ()
) -> dict[str, Any]:
    """The claims of a person that are asked for and that the person has, with a value that is wanted.

    A claim that is asked for without a language comes as it is, and in the first of `locales` that there is. Does
    **not** judge whether the person agreed.
    """
    chosen = {}
    for name, wish in wishes.items():
        for variant in _variants(user_claims, name, locales):
            value = user_claims[variant]
            # Section 5.3.2: a claim without a value is left out.
            if value is not None and value != "" and wish.accepts(value):
                chosen[variant] = value
    return chosen


def _variants(user_claims: Mapping[str, Any], name: str, locales: Iterable[str]) -> list[str]:
    # BCP 47: tags are compared without case.
    by_folded = {stored.lower(): stored for stored in user_claims if base_name(stored) == base_name(name)}
    found = [by_folded.get(name.lower())]
    if "#" not in name:
        translated = (by_folded.get(f"{name}#{locale}".lower()) for locale in locales)
        found.append(next((variant for variant in translated if variant is not None), None))
    return [variant for variant in found if variant is not None]


def _parse_place(place: str, members: Any) -> dict[str, ClaimWish]:
    if members is None:
        return {}
    if not isinstance(members, dict):
        raise InvalidRequest(f"claims.{place} must be an object")
    return {name: _parse_wish(place, wish) for name, wish in members.items()}


def _parse_wish(place: str, member: Any) -> ClaimWish:
    # Section 5.5.1: null asks "in the default manner", as a voluntary claim.
    if member is None:
        return ClaimWish()
    if not isinstance(member, dict):
        raise InvalidRequest(f"a claim in claims.{place} must be null or an object")
    essential, values = member.get("essential", False), member.get("values")
    if not isinstance(essential, bool):
        raise InvalidRequest(f"essential in claims.{place} must be true or false")
    if values is not None and not isinstance(values, list):
        raise InvalidRequest(f"values in claims.{place} must be an array")
    if values is not None and "value" in member:
        raise InvalidRequest(f"a claim in claims.{place} has both value and values")
    if values is None and member.get("value") is not None:
        values = [member["value"]]
    return ClaimWish(essential=essential, values=None if values is None else tuple(values))


def _find_sub(places: Iterable[Mapping[str, ClaimWish]]) -> str | None:
    wanted = {repr(value): value for wishes in places for value in (wishes.get("sub") or ClaimWish()).values or ()}
    if not wanted:
        return None
    # One person answers; a request for two could be answered by neither.
    (*others, sub) = wanted.values()
    if others or not isinstance(sub, str) or not 0 < len(sub) <= 255:
        raise InvalidRequest("claims asks for a sub that is not one text")
    return sub


def _is_about_person(name: str) -> bool:
    base = base_name(name)
    return _NAME.fullmatch(name) is not None and base not in _PROTOCOL_CLAIMS and not base.startswith("th_")


def _is_same(value: Any, wanted: Any) -> bool:
    # True is 1 in Python, and not in JSON.
    return type(value) is type(wanted) and bool(value == wanted)


def _to_json(wish: ClaimWish) -> dict[str, Any]:
    return {"essential": wish.essential, "values": None if wish.values is None else list(wish.values)}


def _from_json(document: Mapping[str, Any]) -> ClaimWish:
    values = document["values"]
    return ClaimWish(essential=document["essential"], values=None if values is None else tuple(values))
