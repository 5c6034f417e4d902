"""`tokenhouse explain`: the exact difference behind a refusal, told to the operator who has its code.

Callers learn a code and nothing secret; what was compared is in the audit trail. Nothing is guessed here: what stands
in the event is shown, the place where two texts part is pointed at, and a known cure is named.
"""

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from app.services.deployment import Deployment
from app.services.list_audit import AuditEvent, list_audit
from app.services.refusal import Refusal
from app.specs.protocol_error import Difference

_CODE: Final = re.compile(r"[2-9A-HJ-NP-Z]{8}")
_TIMES: Final = frozenset({"exp", "iat", "nbf"})
_SHOWN_AROUND: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedDifference:
    """What was compared: the values that would have been right, the one that came, and how they differ."""

    what: str
    expected: tuple[str, ...]
    received: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A refusal with everything that the operator may know of it. `at`: milliseconds."""

    incident: str
    at: int
    where: str
    client_id: str | None
    error: str
    description: str
    detail: str
    differences: tuple[ExplainedDifference, ...]
    advice: tuple[str, ...]
    address: str | None


def explain_incident(deployment: Deployment, code: str, *, with_personal: bool = False) -> Explanation:
    """The refusal of a code, as people copy it. Raises `Refusal` for what is no code, or is not known (any more)."""
    incident = code.strip().strip("[]").upper()
    if _CODE.fullmatch(incident) is None:
        raise Refusal("invalid_code", "a code has eight letters and digits, as at the end of error_description")
    events = list_audit(deployment, limit=1, incident=incident, with_personal=with_personal)
    if not events:
        raise Refusal(
            "unknown_incident",
            f"nothing is known of {incident}: refusals are written within a few seconds and leave with the audit "
            "trail's retention, under a flood they are only counted, and the server's own faults are in its log alone",
        )
    return _explain(events[0], incident)


def _explain(event: AuditEvent, incident: str) -> Explanation:
    body = event.body
    differences = tuple(_read_difference(one) for one in body.get("differences", ()))
    error = str(body.get("error", event.type))
    return Explanation(
        incident=incident,
        at=event.at,
        where=str(body.get("where", "")),
        client_id=event.client_id,
        error=error,
        description=str(body.get("description", "")),
        detail=str(body.get("detail", "")),
        differences=differences,
        advice=_advise(error, differences),
        address=event.personal.get("address"),
    )


def _read_difference(document: Mapping[str, Any]) -> ExplainedDifference:
    found = Difference(**{name: str(document.get(name, "")) for name in ("what", "expected", "received")})
    expected = tuple(value for value in found.expected.split("\n") if value)
    return ExplainedDifference(
        what=found.what,
        expected=expected,
        received=found.received,
        sentence=point_out(found.what, expected, found.received),
    )


# ----- How two values differ -----


def point_out(what: str, expected: Sequence[str], received: str) -> str:
    """How the received value differs from the closest expected one, in a sentence."""
    if what in _TIMES:
        return _compare_times(what, expected, received)
    if not received:
        return "nothing was sent"
    if not expected:
        return "nothing would have been right"
    closest = max(expected, key=lambda candidate: _common_length(candidate, received))
    return _name_known_difference(closest, received) or _point_at_place(closest, received)


def _name_known_difference(expected: str, received: str) -> str | None:
    if received.strip() != received and received.strip() == expected:
        return "white space stands around it"
    if received.rstrip("/") == expected.rstrip("/"):
        return "only a slash at the end differs"
    if received.lower() == expected.lower():
        return "only upper and lower case differ"
    if unquote(received) == unquote(expected):
        return "only the percent-encoding differs"
    if received.split("://", maxsplit=1)[-1] == expected.split("://", maxsplit=1)[-1]:
        return "only the scheme differs"
    for separator, name in (("?", "query"), ("#", "fragment")):
        if received.split(separator, maxsplit=1)[0] == expected.split(separator, maxsplit=1)[0]:
            return f"only the {name} differs"
    return None


def _point_at_place(expected: str, received: str) -> str:
    place = _common_length(expected, received)
    if place == 0:
        return "they differ from the first character on"
    before = received[max(0, place - _SHOWN_AROUND) : place]
    wanted = expected[place : place + _SHOWN_AROUND] or "the end"
    came = received[place : place + _SHOWN_AROUND] or "the end"
    return f"they part after character {place}, after {before!r}: {wanted!r} was expected, {came!r} came"


def _common_length(one: str, other: str) -> int:
    length = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        length += 1
    return length


def _compare_times(what: str, expected: Sequence[str], received: str) -> str:
    try:
        now_s, wire_s = int(expected[0]), int(received)
        wire = datetime.datetime.fromtimestamp(wire_s, datetime.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (IndexError, ValueError, OverflowError, OSError):
        return f"{what} is no time that can be compared"
    side = "before" if wire_s <= now_s else "after"
    return f"{what} is {wire}, {abs(now_s - wire_s)} s {side} the server's clock"


# ----- What to do -----

_BY_MEMBER: Final[Mapping[str, str]] = {
    "redirect_uri": "Redirect URIs are compared character by character (RFC 9700 2.1): let the application send one "
    "that is registered, or register the one that it sends.",
    "aud": "The token was made for another audience: let the client ask for it with resource=, set to the identifier "
    "that the resource is registered by.",
    "resource": "Resources are compared exactly: see `tokenhouse resource list`, and policy.resources of the client.",
    "scope": "See which scopes the resource has (`tokenhouse resource show`), which the client is registered for, and "
    "what was granted (`tokenhouse grants list`).",
    "code_challenge": "The verifier does not belong to the challenge: the client mixed up two sign-ins, lost the "
    "verifier between them, or hashes it differently (S256 is BASE64URL(SHA256(ASCII(code_verifier)))).",
    "kid": "The key is not published (any more): the token is from before a key was revoked, or from another server.",
    "iss": "The issuer is another one: one of both sides is configured for another environment.",
    "exp": "It came too late, or a clock is wrong: compare the clocks of both machines.",
    "iat": "Compare the clocks of both machines; an answer that is kept too long before it is used looks the same.",
    "nbf": "Compare the clocks of both machines.",
    "htu": "The proof names another address than the one that the server is reached by: a proxy or a wrong issuer.",
    "dpop_jkt": "The client came with another key than the one that it began with.",
}
_OF_AN_ASSERTION: Final[Mapping[str, str]] = {
    "aud": "The audience of an assertion is the issuer, as one string; a client whose security_profile is openid, "
    "at a server of that profile, may name the token endpoint instead.",
    "exp": "Assertions live for five minutes at most, and clocks differ: compare those of both machines.",
    "iss": "iss and sub of a client assertion are both the client_id.",
}
_BY_ERROR: Final[Mapping[str, str]] = {
    "invalid_client": "Compare the client's method and credentials with `tokenhouse client show`; a lost secret is "
    "replaced by `tokenhouse client rotate-secret`.",
    "unauthorized_client": "The client is disabled, or not registered for what it asks: `tokenhouse client show`.",
    "login_required": "Nobody, or somebody else, is logged in in this browser: an answer to prompt=none, not a fault.",
    "consent_required": "The person has not agreed to this yet: an answer to prompt=none, not a fault.",
    "access_denied": "The person said no, or nothing that was asked for could be granted.",
    "temporarily_unavailable": "The server could not answer at that moment: see its log, and `tokenhouse doctor`.",
}


def _advise(error: str, differences: Sequence[ExplainedDifference]) -> tuple[str, ...]:
    by_member = {**_BY_MEMBER, **_OF_AN_ASSERTION} if error == "invalid_client" else _BY_MEMBER
    found = [by_member[each.what] for each in differences if each.what in by_member]
    if not found and error in _BY_ERROR:
        found = [_BY_ERROR[error]]
    return tuple(dict.fromkeys(found))
