"""An authenticator app: set up, confirmed by a code before it counts, removed. One per person.

Its secret is sealed under a key that is derived from the one which digests, and bound to its place. Until it is
confirmed that place is the session that began: what was shown to one browser can be confirmed in no other, so nobody
can leave a secret that they have seen for the owner to confirm.
"""

import secrets
from dataclasses import dataclass, field
from typing import Final

from app.services.deployment import Deployment
from app.services.notify_person import notify_person
from app.services.own_account import lock_own_row
from app.services.record_event import Event
from app.services.recovery_codes import drop_codes_without_factor, give_first_codes
from app.services.seals import SealError, Seals, seal_under, unseal_under
from app.services.whereabouts import Whereabouts
from app.specs.rfc6238_totp import SECRET_BYTES, find_step, otpauth_uri, parse_code, secret_text
from app.storage.database import Connection
from app.storage.sessions import SessionRow
from app.storage.totp_secrets import (
    TotpSecretRow,
    confirm_secret,
    delete_totp_secret,
    find_totp_secret,
    replace_unconfirmed_secret,
)

CONFIRM_WITHIN_MS: Final = 15 * 60_000
_TABLE: Final = "totp_secrets"
_USE: Final = "totp-secrets"
_PURPOSE: Final = "totp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What an app needs, to be confirmed by a code of it."""

    uri: str = field(repr=False)
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """The app counts from now on. `recovery_codes`: those that were made because the person had none."""

    recovery_codes: tuple[str, ...] = field(repr=False)


class EnrolmentOver(Exception):
    """What the form belongs to is there no more: too old, begun anew elsewhere, or confirmed already."""


def begin_enrolment(deployment: Deployment, session: SessionRow) -> Enrolment | None:
    """The secret that this session may confirm, a new one where there is none; None where an app is confirmed."""
    now = deployment.clock()

    def begin(connection: Connection) -> bytes | None:
        lock_own_row(connection, session)
        row = find_totp_secret(connection, session.user_id)
        if row is not None and row.confirmed_at is not None:
            return None
        pending = _open_pending(deployment.seals, row, session, now=now)
        if pending is not None:
            return pending
        secret = secrets.token_bytes(SECRET_BYTES)
        key_id = deployment.seals.digest_key_id
        replace_unconfirmed_secret(
            connection,
            session.user_id,
            sealed_secret=_seal(deployment.seals, secret, key_id=key_id, place=_place_of(session)),
            seal_key_id=key_id,
            now=now,
        )
        return secret

    secret = deployment.database.transact(begin)
    if secret is None:
        return None
    uri = otpauth_uri(secret, issuer=deployment.settings.server_name, account=session.username)
    return Enrolment(uri=uri, key=secret_text(secret))


def confirm_enrolment(
    deployment: Deployment, session: SessionRow, code: str, *, whereabouts: Whereabouts
) -> Enrolled | None:
    """Let the app count, if `code` is its code now; None where it is not. Raises `EnrolmentOver`."""
    now = deployment.clock()
    digits = parse_code(code)

    def confirm(connection: Connection) -> Enrolled | None:
        user = lock_own_row(connection, session)
        row = find_totp_secret(connection, user.id)
        secret = _open_pending(deployment.seals, row, session, now=now)
        if secret is None:
            raise EnrolmentOver
        step = None if digits is None else find_step(secret, digits, now_s=now / 1000)
        if step is None:
            return None
        key_id = deployment.seals.digest_key_id
        sealed = _seal(deployment.seals, secret, key_id=key_id, place=str(user.id))
        confirm_secret(connection, user.id, sealed_secret=sealed, seal_key_id=key_id, step=step, now=now)
        event = Event(type="totp.added", actor="user", sub=user.sub, personal=whereabouts.personal)
        deployment.recorder.record(connection, event)
        notify_person(deployment, connection, user, "totp_added", {"address": whereabouts.address}, now)
        return Enrolled(recovery_codes=give_first_codes(deployment, connection, user.id, now=now))

    return deployment.database.transact(confirm)


def remove_totp(deployment: Deployment, session: SessionRow, *, whereabouts: Whereabouts) -> bool:
    """Forget the person's app, and the recovery codes that stood in for nothing else; whether there was one."""
    now = deployment.clock()

    def remove(connection: Connection) -> bool:
        user = lock_own_row(connection, session)
        if not delete_totp_secret(connection, user.id):
            return False
        drop_codes_without_factor(connection, user.id)
        event = Event(type="totp.removed", actor="user", sub=user.sub, personal=whereabouts.personal)
        deployment.recorder.record(connection, event)
        notify_person(deployment, connection, user, "totp_removed", {"address": whereabouts.address}, now)
        return True

    return deployment.database.transact(remove)


def open_confirmed_secret(seals: Seals, row: TotpSecretRow | None) -> bytes | None:
    """The secret of an app that counts; None where there is none. Raises `SealError` for a row that was altered."""
    if row is None or row.confirmed_at is None:
        return None
    return _open(seals, row, place=str(row.user_id))


def _open_pending(seals: Seals, row: TotpSecretRow | None, session: SessionRow, *, now: int) -> bytes | None:
    if row is None or row.confirmed_at is not None or now - row.created_at > CONFIRM_WITHIN_MS:
        return None
    try:
        return _open(seals, row, place=_place_of(session))
    except SealError:
        return None


def _place_of(session: SessionRow) -> str:
    return f"{session.user_id}/session/{session.session_id}"


def _seal(seals: Seals, secret: bytes, *, key_id: str, place: str) -> bytes:
    return seal_under(seals.derive_key(key_id, _USE), secret, table=_TABLE, row=place, purpose=_PURPOSE)


def _open(seals: Seals, row: TotpSecretRow, *, place: str) -> bytes:
    key = seals.derive_key(row.seal_key_id, _USE)
    return unseal_under(key, row.sealed_secret, table=_TABLE, row=place, purpose=_PURPOSE)
