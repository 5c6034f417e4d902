"""The passkeys of a person: made, listed, renamed and removed (WebAuthn 7.1).

Whether the person's login is recent enough, and whose form it was, is seen by the pages.
"""

import secrets
from dataclasses import dataclass, field
from typing import Final

from webauthn import generate_registration_options, options_to_json
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from app.services.deployment import Deployment
from app.services.notify_person import notify_person
from app.services.own_account import lock_own_row
from app.services.passkey_challenges import (
    LIFETIME_MS,
    ChallengeRefused,
    check_challenge,
    mint_challenge,
    use_challenge,
)
from app.services.passkey_names import name_of_keeper
from app.services.record_event import Event
from app.services.recovery_codes import drop_codes_without_factor
from app.services.sign_in_methods import check_way_in_remains
from app.services.verify_passkey import ALGORITHMS, PasskeyInvalid, VerifiedAttestation, verify_attestation
from app.services.whereabouts import Whereabouts
from app.specs.webauthn_credentials import MalformedCredential, UnverifiedAttestation, parse_attestation
from app.storage.conflicts import AlreadyTaken
from app.storage.database import Connection
from app.storage.passkeys import (
    NewPasskey,
    PasskeyRow,
    delete_passkey,
    find_user_handle,
    get_user_handle,
    insert_passkey,
    list_passkeys,
    rename_passkey,
)
from app.storage.sessions import SessionRow
from app.storage.users import UserRow, find_user, lock_user

MAX_PASSKEYS: Final = 25
_HANDLE_BYTES: Final = 32


class PasskeyNotAdded(Exception):
    """What the browser brought is no new passkey of this person. `is_over`: it came too late."""

    def __init__(self, *, is_over: bool = False) -> None:
        super().__init__()
        self.is_over = is_over


class TooManyPasskeys(Exception):
    """The person has as many as anybody may have."""


class PasskeyKnown(Exception):
    """The credential id is there already, whoever's it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPasskeyAnswer:
    """What the page of a person sent. `bound_to`: what the page's challenge was made for; `default_name`: where they
    gave none and their authenticator is none that we know.
    """

    credential: str = field(repr=False)
    bound_to: str = field(repr=False)
    name: str | None
    default_name: str


def find_passkeys(deployment: Deployment, user_id: int) -> tuple[PasskeyRow, ...]:
    """The passkeys of a person, the oldest first."""
    with deployment.database.reading() as connection:
        return list_passkeys(connection, user_id)


def begin_passkey(deployment: Deployment, session: SessionRow, *, bound_to: str) -> str:
    """The options for `navigator.credentials.create()`, as JSON (WebAuthn 5.4). Raises `TooManyPasskeys`.

    The person's user handle is made with the first of them, 32 random bytes, so that it tells nothing about them.
    """

    with deployment.database.reading() as connection:
        handle = find_user_handle(connection, session.user_id)
        known = list_passkeys(connection, session.user_id)
        user = find_user(connection, session.user_id)
    if len(known) >= MAX_PASSKEYS:
        raise TooManyPasskeys
    if handle is None:
        # Written once: the page is looked at far more often than a first passkey is made.
        minted = secrets.token_bytes(_HANDLE_BYTES)
        handle = deployment.database.transact(
            lambda connection: get_user_handle(connection, session.user_id, minted=minted)
        )
    name = user.claims.get("name") if user is not None else None
    options = generate_registration_options(
        rp_id=deployment.rp_id,
        rp_name=deployment.settings.server_name,
        user_id=handle,
        user_name=session.username,
        user_display_name=name if isinstance(name, str) and name else session.username,
        challenge=mint_challenge(deployment.seals, "add", bound_to=bound_to, now=deployment.clock()),
        timeout=LIFETIME_MS,
        attestation=AttestationConveyancePreference.NONE,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement(deployment.settings.passkey_user_verification),
        ),
        exclude_credentials=[describe_passkey(passkey) for passkey in known],
        supported_pub_key_algs=list(ALGORITHMS),
    )
    return options_to_json(options)


def describe_passkey(passkey: PasskeyRow) -> PublicKeyCredentialDescriptor:
    """By what a browser finds a key again."""
    known = {transport.value for transport in AuthenticatorTransport}
    transports = [AuthenticatorTransport(each) for each in passkey.transports if each in known]
    return PublicKeyCredentialDescriptor(id=passkey.credential_id, transports=transports or None)


def add_passkey(deployment: Deployment, session: SessionRow, answer: NewPasskeyAnswer, whereabouts: Whereabouts) -> str:
    """Store the passkey that a person has made; the name that it got.

    Raises `PasskeyNotAdded`, `TooManyPasskeys` or `PasskeyKnown`; then nothing has changed.
    """
    now = deployment.clock()
    try:
        parsed = parse_attestation(answer.credential)
        check_challenge(deployment.seals, parsed.challenge, "add", bound_to=answer.bound_to, now=now)
        verified = verify_attestation(
            parsed,
            rp_id=deployment.rp_id,
            origin=deployment.settings.origin,
            needs_user_verification=deployment.settings.passkey_user_verification == "required",
        )
    except ChallengeRefused as cause:
        _refuse(deployment, session, whereabouts, str(cause))
        raise PasskeyNotAdded(is_over=cause.is_over) from cause
    except (MalformedCredential, PasskeyInvalid) as cause:
        _refuse(deployment, session, whereabouts, "invalid", detail=str(cause))
        raise PasskeyNotAdded from cause
    passkey = _new_passkey(answer, parsed, verified)
    try:
        deployment.database.transact(
            lambda connection: _store(deployment, connection, session, parsed, passkey, whereabouts)
        )
    except AlreadyTaken as cause:
        _refuse(deployment, session, whereabouts, "known")
        raise PasskeyKnown from cause
    except ChallengeRefused as cause:
        _refuse(deployment, session, whereabouts, str(cause))
        raise PasskeyNotAdded from cause
    return passkey.name


def rename(deployment: Deployment, session: SessionRow, passkey_id: int, name: str, whereabouts: Whereabouts) -> bool:
    """Give a passkey of the person another name; whether they have it."""

    def work(connection: Connection) -> bool:
        user = find_user(connection, session.user_id)
        if user is None or not rename_passkey(connection, user.id, passkey_id, name):
            return False
        _record(deployment, connection, "passkey.renamed", user, whereabouts, {"passkey": passkey_id}, name=name)
        return True

    return deployment.database.transact(work)


def remove_passkey(
    deployment: Deployment, session: SessionRow, passkey_id: int, whereabouts: Whereabouts
) -> str | None:
    """Forget a passkey of the person; the name that it had, or None where they have no such one.

    Raises `LastSignInMethod` where nothing else lets them in.
    """
    now = deployment.clock()

    def remove(connection: Connection) -> str | None:
        user = lock_own_row(connection, session)
        name = delete_passkey(connection, user.id, passkey_id)
        if name is None:
            return None
        check_way_in_remains(connection, user)
        drop_codes_without_factor(connection, user.id)
        _record(deployment, connection, "passkey.removed", user, whereabouts, {"passkey": passkey_id}, name=name)
        values = {"name": name, "address": whereabouts.address}
        notify_person(deployment, connection, user, "passkey_removed", values, now)
        return name

    return deployment.database.transact(remove)


def _new_passkey(answer: NewPasskeyAnswer, parsed: UnverifiedAttestation, verified: VerifiedAttestation) -> NewPasskey:
    return NewPasskey(
        credential_id=verified.credential_id,
        public_key=verified.public_key,
        sign_count=verified.sign_count,
        transports=parsed.transports,
        aaguid=verified.aaguid,
        name=answer.name or name_of_keeper(verified.aaguid) or answer.default_name,
        is_backup_eligible=verified.is_backup_eligible,
        is_backed_up=verified.is_backed_up,
    )


def _store(
    deployment: Deployment,
    connection: Connection,
    session: SessionRow,
    parsed: UnverifiedAttestation,
    passkey: NewPasskey,
    whereabouts: Whereabouts,
) -> None:
    now = deployment.clock()
    # The person's row is locked first: of two that are added at once, one sees the other in the count.
    user = lock_user(connection, session.sub)
    if user is None or user.disabled_at is not None:
        raise ChallengeRefused("disabled")
    use_challenge(connection, parsed.challenge)
    if len(list_passkeys(connection, user.id)) >= MAX_PASSKEYS:
        raise TooManyPasskeys
    passkey_id = insert_passkey(connection, user.id, passkey, now=now)
    body = {"passkey": passkey_id, "aaguid": passkey.aaguid, "backup_eligible": passkey.is_backup_eligible}
    _record(deployment, connection, "passkey.added", user, whereabouts, body, name=passkey.name)
    values = {"name": passkey.name, "address": whereabouts.address}
    notify_person(deployment, connection, user, "passkey_added", values, now)


def _record(
    deployment: Deployment,
    connection: Connection,
    event_type: str,
    user: UserRow,
    whereabouts: Whereabouts,
    body: dict[str, object],
    *,
    name: str,
) -> None:
    personal = {**whereabouts.personal, "name": name}
    event = Event(type=event_type, actor="user", sub=user.sub, body=body, personal=personal)
    deployment.recorder.record(connection, event)


def _refuse(
    deployment: Deployment, session: SessionRow, whereabouts: Whereabouts, reason: str, *, detail: str = ""
) -> None:
    personal = {**whereabouts.personal, "detail": detail} if detail else whereabouts.personal
    deployment.recorder.refuse(
        Event(type="passkey.refused", actor="user", sub=session.sub, body={"reason": reason}, personal=personal)
    )
