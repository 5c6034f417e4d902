"""RFC 9396 - Rich Authorization Requests: `authorization_details`, parsed, compared, carried in tokens.

A type's members are the API's business. What this module knows of them is an *order* per member, by which it says
whether one detail asks for no more than another. JSON Schemas are the caller's (the server validates types with them).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, Literal

from .protocol_error import InvalidAuthorizationDetails, InvalidToken
from .shared_object import SharedObject
from .strict_json import StrictJsonError, parse_json

CLAIM: Final = "authorization_details"

MAX_BYTES: Final = 16384
MAX_DETAILS: Final = 16
MAX_DEPTH: Final = 8
MAX_TYPE_CHARACTERS: Final = 256

# Section 2.2: the members that have a meaning of their own in every type.
_COMMON_LISTS: Final = ("locations", "actions", "datatypes", "privileges")

# How the values of a member compare, from narrow to wide:
#   equal    not at all: only the same value is no wider; so is every member of which nothing is declared
#   set      lists, by what they hold
#   max      numbers, or texts that are decimal numbers, by size
#   prefix   texts, as paths: `/a/b` lies in `/a`
Order = Literal["equal", "set", "max", "prefix"]
_ORDERS: Final[Mapping[str, Order]] = MappingProxyType(
    {"equal": "equal", "set": "set", "max": "max", "prefix": "prefix"}
)
# A member that is an object has orders of its own.
MemberOrders = Mapping[str, "Order | MemberOrders"]
# By type; a type that is missing has none.
TypeOrders = Mapping[str, MemberOrders]

_DECIMAL: Final = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?")
# A path that some reader would shorten, decode or turn around does not say where it leads.
_UNCLEAR_PATH: Final = re.compile(r"%|\\|//|(?:^|/)\.{1,2}(?:/|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationDetail:
    """One detail. `members` is the whole object as it came, `type` included, read-only."""

    type: str
    members: Mapping[str, Any]


Details = tuple[AuthorizationDetail, ...]


# ----- Reading and writing -----


def parse_authorization_details(text: str | None) -> Details:
    """Returns the details of the request parameter (section 2), none for None; raises InvalidAuthorizationDetails.

    Does **not** know which types there are, and checks of their members only those that section 2.2 defines.
    """
    if not text:
        return ()
    try:
        value = parse_json(text, max_bytes=MAX_BYTES, max_depth=MAX_DEPTH)
    except StrictJsonError as error:
        raise InvalidAuthorizationDetails(f"authorization_details cannot be read: {error}") from error
    return parse_authorization_details_list(value)


def parse_details_claim(claims: Mapping[str, Any]) -> Details:
    """Returns the details that a token carries (section 9.1), none where it has no such claim; raises InvalidToken."""
    if CLAIM not in claims:
        return ()
    try:
        return parse_authorization_details_list(claims[CLAIM])
    except InvalidAuthorizationDetails as error:
        raise InvalidToken(f"the token's {error.description}") from error


def details_claim(details: Details) -> list[dict[str, Any]]:
    """Returns the claim's value, which is also the token response's (section 7)."""
    return [dict(detail.members) for detail in details]


def canonical_text(details: Details) -> str:
    """Returns one text for the same details, whatever the order of members and details: to be compared or digested."""
    return "[" + ",".join(sorted(_canonical(detail.members) for detail in details)) + "]"


def parse_authorization_details_list(value: object) -> Details:
    """Returns the details of decoded JSON; raises InvalidAuthorizationDetails. For callers that read the JSON."""
    # Section 2: "an array of JSON objects".
    if not isinstance(value, list) or not value:
        raise InvalidAuthorizationDetails("authorization_details is not a list of objects")
    if len(value) > MAX_DETAILS:
        raise InvalidAuthorizationDetails(f"authorization_details has more than {MAX_DETAILS} entries")
    return tuple(_parse_detail(entry) for entry in value)


def _parse_detail(entry: object) -> AuthorizationDetail:
    if not isinstance(entry, dict):
        raise InvalidAuthorizationDetails("authorization_details is not a list of objects")
    type_ = entry.get("type")
    if not isinstance(type_, str) or not 0 < len(type_) <= MAX_TYPE_CHARACTERS:
        raise InvalidAuthorizationDetails("authorization_details has an entry without type")
    for name in _COMMON_LISTS:
        member = entry.get(name, [])
        if not isinstance(member, list) or not all(isinstance(one, str) for one in member):
            raise InvalidAuthorizationDetails(f"authorization_details has {name} that are not a list of texts")
    if not isinstance(entry.get("identifier", ""), str):
        raise InvalidAuthorizationDetails("authorization_details has an identifier that is not a text")
    return AuthorizationDetail(type=type_, members=SharedObject(entry))


# ----- Orders -----


def parse_member_orders(document: object) -> MemberOrders:
    """Returns the orders of one type as an operator declares them: member -> order, or an object of such.

    Raises ValueError. `type` cannot have one: details of two types never compare.
    """
    if not isinstance(document, dict):
        raise ValueError("must be an object of members and their orders")
    orders: dict[str, Order | MemberOrders] = {}
    for name, order in document.items():
        if name == "type":
            raise ValueError("must not give `type` an order")
        if isinstance(order, dict):
            orders[name] = parse_member_orders(order)
        elif isinstance(order, str) and order in _ORDERS:
            orders[name] = _ORDERS[order]
        else:
            raise ValueError(f"must give {name[:60]!r} one of the orders {', '.join(_ORDERS)}, or an object of such")
    return MappingProxyType(orders)


def is_subset(requested: Details, granted: Details, orders: TypeOrders) -> bool:
    """Returns whether what is requested is no wider than what was granted (section 7: "equal or lesser").

    Every requested detail needs a granted one of its own: two payments of fifty do not fit into one of at most fifty.
    """
    covers: list[list[int]] = []
    for detail in requested:
        fitting = [
            position
            for position, whole in enumerate(granted)
            if detail.type == whole.type
            and _are_members_narrower(detail.members, whole.members, orders.get(detail.type, {}))
        ]
        covers.append(fitting)
    return _can_all_be_matched(covers)


def _can_all_be_matched(covers: Sequence[Sequence[int]]) -> bool:
    """Whether each can have one of its choices to itself (augmenting paths; there are at most 16)."""
    taken_by: dict[int, int] = {}

    def find_place(seeker: int, seen: set[int]) -> bool:
        for position in covers[seeker]:
            if position in seen:
                continue
            seen.add(position)
            if position not in taken_by or find_place(taken_by[position], seen):
                taken_by[position] = seeker
                return True
        return False

    return all(find_place(seeker, set()) for seeker in range(len(covers)))


def _are_members_narrower(requested: Mapping[str, Any], granted: Mapping[str, Any], orders: MemberOrders) -> bool:
    for name in requested.keys() | granted.keys():
        order = orders.get(name, "equal")
        if name not in requested:
            # A missing member limits nothing: leaving `locations` out asks for all of them.
            return False
        if name not in granted:
            # A further limit, where the member is known to limit. Of others nobody knows: it may be one more wish.
            if order == "equal":
                return False
        elif not _is_value_narrower(requested[name], granted[name], order):
            return False
    return True


def _is_value_narrower(requested: Any, granted: Any, order: Order | MemberOrders) -> bool:
    if _canonical(requested) == _canonical(granted):
        return True
    if isinstance(order, Mapping):
        return (
            isinstance(requested, dict)
            and isinstance(granted, dict)
            and _are_members_narrower(requested, granted, order)
        )
    if order == "set":
        return _is_part_of(requested, granted)
    if order == "max":
        return _is_at_most(requested, granted)
    return order == "prefix" and _is_beneath(requested, granted)


def _is_part_of(requested: Any, granted: Any) -> bool:
    # An empty list is what some APIs read as "no limit".
    if not isinstance(requested, list) or not isinstance(granted, list) or not requested:
        return False
    return {_canonical(one) for one in requested} <= {_canonical(one) for one in granted}


def _is_at_most(requested: Any, granted: Any) -> bool:
    if isinstance(requested, str) and isinstance(granted, str):
        if _DECIMAL.fullmatch(requested) is None or _DECIMAL.fullmatch(granted) is None:
            return False
        return Decimal(requested) <= Decimal(granted)
    if type(requested) in (int, float) and type(granted) in (int, float):
        return bool(requested <= granted)
    return False


def _is_beneath(requested: Any, granted: Any) -> bool:
    if not isinstance(requested, str) or not isinstance(granted, str) or not granted:
        return False
    if _UNCLEAR_PATH.search(requested.partition("://")[2] or requested) is not None:
        return False
    return requested.startswith(granted if granted.endswith("/") else granted + "/")


def _canonical(value: Any) -> str:
    # By the text, because Python takes 1, 1.0 and True for the same.
    return json.dumps(dict(value) if isinstance(value, Mapping) else value, sort_keys=True, separators=(",", ":"))
