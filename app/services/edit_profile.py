"""A person says of themselves what the operator lets them say; whatever is proven or the operator's stays untouched."""

from collections.abc import Mapping
from typing import Final

from app.services.deployment import Deployment
from app.services.own_account import Person
from app.services.preferences import parse_zone
from app.services.record_event import Event
from app.services.refusal import Refusal
from app.services.user_claims import check_claims
from app.storage.database import Connection
from app.storage.users import lock_user, set_claims

_URLS: Final = frozenset({"picture", "profile", "website"})


class UnusableClaim(Exception):
    """What was entered cannot be kept. `name` says which; the message is for developers."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


def edit_profile(deployment: Deployment, person: Person, entered: Mapping[str, str]) -> bool:
    """Keep what was entered of what people may say here; an empty text takes a claim out. Whether anything changed.

    Raises `UnusableClaim`. What may not be said here is passed over.
    """
    allowed = deployment.settings.self_service_claims
    wished = {name: entered[name].strip() for name in allowed if name in entered}
    for name, text in wished.items():
        _check(name, text)

    def work(connection: Connection) -> bool:
        row = lock_user(connection, person.sub)
        if row is None:
            # Deleted in another tab: nothing of them is kept any more.
            return False
        claims = {name: value for name, value in row.claims.items() if name not in wished}
        claims |= {name: text for name, text in wished.items() if text}
        changed = sorted(name for name in wished if claims.get(name) != row.claims.get(name))
        if not changed:
            return False
        claims["updated_at"] = deployment.clock() // 1000
        try:
            check_claims(claims)
        except Refusal as refusal:
            # Each by itself is good, so it is all of them together that is too much.
            raise UnusableClaim(changed[0], str(refusal)) from refusal
        set_claims(connection, row.id, claims)
        event = Event(type="profile.changed", actor="user", sub=person.sub, body={"changed": changed})
        deployment.recorder.record(connection, event)
        return True

    return deployment.database.transact(work)


def _check(name: str, text: str) -> None:
    if not text:
        return
    try:
        check_claims({name: text})
    except Refusal as refusal:
        raise UnusableClaim(name, str(refusal)) from refusal
    # Applications show it in pages of theirs, which are not to load anything that the network can change.
    if name in _URLS and not text.startswith("https://"):
        raise UnusableClaim(name, "must be an https URL")
    if name == "zoneinfo" and parse_zone(text) is None:
        raise UnusableClaim(name, "must be a time zone")
