"""People, as the operator manages them: each change is one transaction with its audit event and its announcement."""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from app.services.account_names import email_key, username_key
from app.services.delete_person import NoSuchPerson, delete_person
from app.services.deployment import Deployment
from app.services.end_session import end_user_sessions
from app.services.export_person import export_person
from app.services.hash_password import Argon2Parameters, hash_password
from app.services.identifiers import new_sub
from app.services.known_devices import forget_known_devices
from app.services.limit_guesses import forget_guesses_about
from app.services.notify_person import notify_person
from app.services.password_bounds import check_password_bounds
from app.services.record_event import Event, make_person_key
from app.services.refusal import Refusal
from app.services.seals import Seals
from app.services.second_factors import Factors, find_factors
from app.services.sign_in_methods import SignInMethods, find_sign_in_methods
from app.services.user_changes import describe_change, notices_of
from app.services.user_claims import check_claims, check_email
from app.storage import changes, users
from app.storage.conflicts import AlreadyTaken
from app.storage.database import Connection
from app.storage.passkeys import delete_passkeys
from app.storage.recovery_codes import delete_recovery_codes
from app.storage.revocation import revoke_user_grants
from app.storage.totp_secrets import delete_totp_secret
from app.storage.users import UserRow

MAX_USERNAME_CHARACTERS: Final = 200

_SUB = re.compile(r"u[a-z2-7]{26}")
# Categories: controls, format characters, surrogates, private use, unassigned, line and paragraph separators.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """A person to be added. Without a password nobody can log in as them until one is set."""

    username: str
    email: str
    password: str | None = field(default=None, repr=False)
    claims: Mapping[str, Any] = field(default_factory=dict)
    is_admin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person, as the operator sees them."""

    user_id: int
    sub: str
    username: str
    email: str
    disabled: bool
    admin: bool
    claims: Mapping[str, Any]


def check_new_user(user: NewUser) -> None:
    """Raises `Refusal` for whatever can be seen without the database."""
    name = user.username
    if not 1 <= len(name) <= MAX_USERNAME_CHARACTERS or name != name.strip():
        raise Refusal(
            "invalid_username", f"the username must have 1 to {MAX_USERNAME_CHARACTERS} characters, no space around it"
        )
    if any(unicodedata.category(character) in _INVISIBLE for character in name) or not username_key(name):
        raise Refusal("invalid_username", "the username must not hold control or invisible characters")
    if _SUB.fullmatch(username_key(name)):
        raise Refusal("invalid_username", "the username looks like a subject")
    check_email(user.email)
    _check_claims_about(user.email, user.claims)
    if user.password is not None:
        check_password_bounds(user.password)


def hash_new_password(parameters: Argon2Parameters, user: NewUser) -> str | None:
    """The hash for `insert_new_user`. Takes as long as it is meant to, so it stays outside the transaction."""
    return None if user.password is None else hash_password(parameters, user.password)


def insert_new_user(
    connection: Connection, seals: Seals, user: NewUser, *, password_hash: str | None, now: int
) -> UserRow:
    """Store a checked person, in the caller's transaction. Raises `Refusal` where name or e-mail are taken."""
    sub = new_sub()
    claims = _compose_claims(user.claims, username=user.username, email=user.email, now=now)
    _check_verified_email_is_free(connection, claims, user_id=None)
    sealed_audit_key, seal_key_id = make_person_key(seals, sub)
    try:
        user_id = users.insert_user(
            connection,
            sub=sub,
            username=user.username,
            username_key=username_key(user.username),
            email=user.email,
            email_key=email_key(user.email),
            password_hash=password_hash,
            claims=claims,
            is_admin=user.is_admin,
            created_at=now,
            sealed_audit_key=sealed_audit_key,
            seal_key_id=seal_key_id,
        )
    except AlreadyTaken:
        raise Refusal("user_exists", f"there is a user {user.username!r} already") from None
    row = users.find_user(connection, user_id)
    assert row is not None  # noqa: S101 - it was inserted a line ago
    return row


def add_user(deployment: Deployment, user: NewUser) -> User:
    """A new person. Raises `Refusal`."""
    check_new_user(user)
    password_hash = hash_new_password(deployment.passwords.parameters, user)

    def work(connection: Connection) -> User:
        row = insert_new_user(connection, deployment.seals, user, password_hash=password_hash, now=deployment.clock())
        _announce(deployment, connection, row, "user.created", {"admin": row.is_admin}, username=row.username)
        return to_user(row)

    return deployment.database.transact(work)


def list_users(deployment: Deployment) -> tuple[User, ...]:
    """Everybody, by name."""
    with deployment.database.reading() as connection:
        return tuple(to_user(row) for row in users.list_users(connection))


def show_user(deployment: Deployment, name: str) -> User:
    """One person, by username or subject. Raises `Refusal`."""
    with deployment.database.reading() as connection:
        return to_user(_get_user(connection, name))


def disable_user(deployment: Deployment, name: str) -> User:
    """Lock somebody out, and end their sessions and grants; enabling them later brings none of these back."""

    def work(connection: Connection, row: UserRow) -> None:
        now = deployment.clock()
        if row.disabled_at is None:
            notify_person(deployment, connection, row, "account_locked", {"by": "operator"}, now)
        # The root row first: whatever is being issued meanwhile waits for it, or is found by the statements after it.
        users.set_disabled(connection, row.id, row.disabled_at or now)
        ended = {
            "sessions": end_user_sessions(
                deployment, connection, row.id, sub=row.sub, actor="operator", reason="user_disabled", now=now
            ),
            "grants": revoke_user_grants(connection, row.id, now=now),
            "devices": forget_known_devices(deployment, connection, row.id),
        }
        _announce(deployment, connection, row, "user.disabled", ended)

    return _change(deployment, name, work)


def enable_user(deployment: Deployment, name: str) -> User:
    """Let somebody in again."""

    def work(connection: Connection, row: UserRow) -> None:
        if row.disabled_at is not None:
            notify_person(deployment, connection, row, "account_unlocked", {"by": "operator"}, deployment.clock())
        users.set_disabled(connection, row.id, None)
        _announce(deployment, connection, row, "user.enabled")

    return _change(deployment, name, work)


def set_password(deployment: Deployment, name: str, password: str) -> User:
    """Replace somebody's password, and end the sessions that the old one opened, with all that was granted.

    Also what outlives a session (`offline_access`): whoever knew the old password may have granted it to himself.
    """
    check_password_bounds(password)
    # Before the transaction begins: SQLite has one writer, and a hash is slow on purpose.
    password_hash = hash_password(deployment.passwords.parameters, password)

    def work(connection: Connection, row: UserRow) -> None:
        now = deployment.clock()
        users.set_password_hash(connection, row.id, password_hash, set_at=now)
        ended = {
            "sessions": end_user_sessions(
                deployment, connection, row.id, sub=row.sub, actor="operator", reason="password_set", now=now
            ),
            "grants": revoke_user_grants(connection, row.id, now=now),
            "devices": forget_known_devices(deployment, connection, row.id),
        }
        _announce(deployment, connection, row, "user.password_set", ended)
        notify_person(deployment, connection, row, "password_changed", {"by": "operator"}, now)

    return _change(deployment, name, work)


def set_user(
    deployment: Deployment,
    name: str,
    *,
    email: str | None = None,
    claims: Mapping[str, Any] | None = None,
    is_admin: bool | None = None,
) -> User:
    """Change what is given. New claims replace the whole document; a new e-mail address is unverified until they say
    otherwise.
    """
    if email is not None:
        check_email(email)

    def work(connection: Connection, row: UserRow) -> None:
        new_email = row.email if email is None else email
        if claims is not None:
            _check_claims_about(new_email, claims)
        kept = dict(row.claims)
        if new_email != row.email:
            kept.pop("email_verified", None)
            # To the address that was theirs until now: a stranger may have talked the operator into it.
            notify_person(deployment, connection, row, "email_changed", {"by": "operator"}, deployment.clock())
        kept.pop("email", None)
        composed = _compose_claims(
            kept if claims is None else claims, username=row.username, email=new_email, now=deployment.clock()
        )
        _check_verified_email_is_free(connection, composed, user_id=row.id)
        users.set_email(connection, row.id, email=new_email, email_key=email_key(new_email))
        users.set_claims(connection, row.id, composed)
        if is_admin is not None:
            users.set_admin(connection, row.id, is_admin=is_admin)
        body = describe_change(row, email=new_email, claims=claims, composed=composed, is_admin=is_admin)
        _announce(deployment, connection, row, "user.changed", body)
        for text in notices_of(body):
            notify_person(deployment, connection, row, text, {"by": "operator"}, deployment.clock())

    return _change(deployment, name, work)


def reset_factors(deployment: Deployment, name: str) -> User:
    """Take away somebody's second factors and passkeys, because they lost them, and end the sessions that they opened.

    The password stays, and so does what was granted. Whoever has no password gets in by a new one, or by a link.
    """

    def work(connection: Connection, row: UserRow) -> None:
        now = deployment.clock()
        removed = {
            "authenticator": delete_totp_secret(connection, row.id),
            "passkeys": delete_passkeys(connection, row.id),
            "recovery_codes": delete_recovery_codes(connection, row.id),
        }
        forget_guesses_about(connection, deployment.seals, row.sub)
        ended = end_user_sessions(
            deployment, connection, row.id, sub=row.sub, actor="operator", reason="factors_reset", now=now
        )
        devices = forget_known_devices(deployment, connection, row.id)
        body = {**removed, "sessions": ended, "devices": devices}
        _announce(deployment, connection, row, "user.factors_reset", body)
        notify_person(deployment, connection, row, "factors_reset", {"by": "operator"}, now)

    return _change(deployment, name, work)


def unlock_user(deployment: Deployment, name: str) -> User:
    """Forget the wrong passwords and codes that make somebody wait, from wherever they came."""

    def work(connection: Connection, row: UserRow) -> None:
        forgotten = forget_guesses_about(connection, deployment.seals, row.sub, username_key(row.username))
        _announce(deployment, connection, row, "user.unlocked", {"counters": forgotten})

    return _change(deployment, name, work)


def sign_out_user(deployment: Deployment, name: str) -> User:
    """End somebody's sessions everywhere, and what hangs on them; devices of theirs are strangers again.

    What was granted beyond sessions (`offline_access`) lives on: `grants revoke` ends that.
    """

    def work(connection: Connection, row: UserRow) -> None:
        now = deployment.clock()
        ended = end_user_sessions(
            deployment, connection, row.id, sub=row.sub, actor="operator", reason="operator", now=now
        )
        devices = forget_known_devices(deployment, connection, row.id)
        _announce(deployment, connection, row, "user.signed_out", {"sessions": ended, "devices": devices})
        notify_person(deployment, connection, row, "signed_out_everywhere", {"by": "operator"}, now)

    return _change(deployment, name, work)


def remove_user(deployment: Deployment, name: str) -> User:
    """Delete somebody's account for them; what it was, as it was before. Their `sub` is never given out again."""
    user = show_user(deployment, name)
    try:
        delete_person(deployment, user.sub, actor="operator")
    except NoSuchPerson:
        raise Refusal("unknown_user", f"there is no user {name!r}") from None
    return user


def export_user(deployment: Deployment, name: str) -> dict[str, Any]:
    """All that is held about one person. Raises `Refusal`."""
    document: dict[str, Any] = json.loads(
        b"".join(export_person(deployment, show_user(deployment, name), actor="operator"))
    )
    return document


def show_ways_in(deployment: Deployment, name: str) -> tuple[SignInMethods, Factors]:
    """By what one person gets in, and what they are asked for beside it. Raises `Refusal`."""
    with deployment.database.reading() as connection:
        row = _get_user(connection, name)
        return find_sign_in_methods(connection, row), find_factors(connection, row.id)


def _change(deployment: Deployment, name: str, work: Callable[[Connection, UserRow], None]) -> User:
    def change(connection: Connection) -> User:
        sub = _get_user(connection, name).sub
        row = users.lock_user(connection, sub)
        if row is None:
            raise Refusal("unknown_user", f"there is no user {name!r}")
        work(connection, row)
        return to_user(_get_user(connection, sub))

    return deployment.database.transact(change)


def _get_user(connection: Connection, name: str) -> UserRow:
    row = users.find_user_by_sub(connection, name) if _SUB.fullmatch(name) else None
    row = row or users.find_user_by_name(connection, username_key(name))
    if row is None or row.deleted_at is not None:
        raise Refusal("unknown_user", f"there is no user {name!r}")
    return row


def _announce(
    deployment: Deployment,
    connection: Connection,
    row: UserRow,
    event_type: str,
    body: Mapping[str, Any] | None = None,
    **personal: str,
) -> None:
    changes.bump(connection, "users")
    event = Event(type=event_type, actor="operator", sub=row.sub, body=body or {}, personal=personal)
    deployment.recorder.record(connection, event)


def _check_claims_about(email: str, claims: Mapping[str, Any]) -> None:
    check_claims(claims)
    if "email" in claims and email_key(claims["email"]) != email_key(email):
        raise Refusal("invalid_claims", "email: differs from the person's e-mail address")


def _compose_claims(claims: Mapping[str, Any], *, username: str, email: str, now: int) -> dict[str, Any]:
    composed: dict[str, Any] = {"preferred_username": username, "email_verified": False, **claims}
    if "phone_number" in composed:
        # Whoever reads the number also reads that nobody has verified it, unless the operator says so.
        composed.setdefault("phone_number_verified", False)
    return {**composed, "email": email, "updated_at": now // 1000}


def _check_verified_email_is_free(connection: Connection, claims: Mapping[str, Any], *, user_id: int | None) -> None:
    if not claims["email_verified"]:
        return
    # Held until the caller commits, as by whoever confirms an address by a link: the second sees what the first did.
    changes.bump(connection, "users")
    for other in users.find_users_by_email(connection, email_key(claims["email"])):
        if other.id != user_id and other.claims.get("email_verified") is True:
            raise Refusal("email_exists", "the verified e-mail address belongs to another user already")


def to_user(row: UserRow) -> User:
    """As the operator sees them."""
    return User(
        user_id=row.id,
        sub=row.sub,
        username=row.username,
        email=row.email,
        disabled=row.disabled_at is not None,
        admin=row.is_admin,
        claims=row.claims,
    )
