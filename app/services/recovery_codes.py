"""Recovery codes: ten long random codes that stand in for a lost second factor, each of them once.

120 random bits each, kept as keyed digests only: they are shown when they are made and never again.
"""

import re
import secrets
from typing import Final

from app.services.deployment import Deployment
from app.services.notify_person import notify_person
from app.services.own_account import lock_own_row
from app.services.record_event import Event
from app.services.second_factors import find_factors
from app.services.whereabouts import Whereabouts
from app.storage.database import Connection
from app.storage.factors import count_unused_recovery_codes
from app.storage.recovery_codes import delete_recovery_codes, replace_recovery_codes
from app.storage.sessions import SessionRow
from app.storage.single_use import redeem_recovery_code
from app.storage.users import UserRow

CODES: Final = 10
_CHARACTERS: Final = 24
# Crockford's base32: five bits each, and no letter that looks like a digit.
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_READ_AS: Final = str.maketrans("ilo", "110")
_SECRET_TYPE: Final = "recovery-code"  # noqa: S105 - what kind of secret it is
_CODE = re.compile(rf"[{_ALPHABET}]{{{_CHARACTERS}}}")


class NoSecondFactor(Exception):
    """There is nothing that a recovery code could stand in for."""


def make_recovery_code() -> str:
    """A new code, in groups of four."""
    characters = [secrets.choice(_ALPHABET) for _ in range(_CHARACTERS)]
    return "-".join("".join(characters[place : place + 4]) for place in range(0, _CHARACTERS, 4))


def parse_recovery_code(text: str) -> str | None:
    """What a person typed, without groups, capitals and look-alikes; None where it cannot be a code."""
    if len(text) > 4 * _CHARACTERS:
        return None
    code = re.sub(r"[\s-]", "", text.lower()).translate(_READ_AS)
    return code if _CODE.fullmatch(code) else None


def renew_codes(deployment: Deployment, connection: Connection, user_id: int, *, now: int) -> tuple[str, ...]:
    """New codes in the place of all old ones, in the caller's transaction, which holds the person's row."""
    codes = tuple(make_recovery_code() for _ in range(CODES))
    digests = [deployment.seals.digest(_SECRET_TYPE, _owned(user_id, code.replace("-", "")))[0] for code in codes]
    key_id = deployment.seals.digest_key_id
    replace_recovery_codes(connection, user_id, digests, digest_key_id=key_id, now=now)
    return codes


def give_first_codes(deployment: Deployment, connection: Connection, user_id: int, *, now: int) -> tuple[str, ...]:
    """Codes for who has got a second factor and has no code left, to be shown now; none for anybody else.

    In the caller's transaction, which holds the person's row.
    """
    if count_unused_recovery_codes(connection, user_id):
        return ()
    return renew_codes(deployment, connection, user_id, now=now)


def drop_codes_without_factor(connection: Connection, user_id: int) -> None:
    """A second factor was removed: if it was the last, there is nothing left that codes could stand in for."""
    if not find_factors(connection, user_id).levels:
        delete_recovery_codes(connection, user_id)


def spend_recovery_code(
    deployment: Deployment, connection: Connection, user: UserRow, code: str, *, whereabouts: Whereabouts, now: int
) -> int | None:
    """Spend a parsed code of this person, tell them, and return how many are left; None where it is none of theirs."""
    digests = deployment.seals.digests(_SECRET_TYPE, _owned(user.id, code))
    if not any(redeem_recovery_code(connection, digest, user_id=user.id, now=now) for digest in digests):
        return None
    remaining = count_unused_recovery_codes(connection, user.id)
    event = Event(
        type="recovery_code.used",
        actor="user",
        sub=user.sub,
        body={"remaining": remaining},
        personal=whereabouts.personal,
    )
    deployment.recorder.record(connection, event)
    values = {"remaining": str(remaining), "address": whereabouts.address}
    notify_person(deployment, connection, user, "recovery_code_used", values, now)
    return remaining


def renew_recovery_codes(deployment: Deployment, session: SessionRow, *, whereabouts: Whereabouts) -> tuple[str, ...]:
    """New codes because the person asked for them, to be shown once. Raises `NoSecondFactor` and `AccountGone`."""
    now = deployment.clock()

    def renew(connection: Connection) -> tuple[str, ...]:
        user = lock_own_row(connection, session)
        if not find_factors(connection, user.id).levels:
            raise NoSecondFactor
        codes = renew_codes(deployment, connection, user.id, now=now)
        event = Event(type="recovery_codes.renewed", actor="user", sub=user.sub, personal=whereabouts.personal)
        deployment.recorder.record(connection, event)
        notify_person(deployment, connection, user, "recovery_codes_renewed", {"address": whereabouts.address}, now)
        return codes

    return deployment.database.transact(renew)


def _owned(user_id: int, code: str) -> str:
    # So that a row which somebody moves to another person is no code of theirs.
    return f"{user_id} {code}"
