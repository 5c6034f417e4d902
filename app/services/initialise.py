"""`tokenhouse init`: from an empty database to a deployment, once.

Everything that the database holds is written in one transaction, so an `init` that was killed is simply run again; the
key-encryption key, which is a file and comes first, is then taken up if it is whole. Nothing else makes that key.
"""

import os
from dataclasses import dataclass, replace

from app.services.clock import Clock, system_clock
from app.services.hash_password import Argon2Parameters, calibrate
from app.services.manage_users import NewUser, check_new_user, hash_new_password, insert_new_user
from app.services.record_event import Event, EventRecorder
from app.services.refusal import Refusal
from app.services.rotate_keys import make_first_keys
from app.services.seals import Kek, Seals, kek_path, make_data_keys, make_kek, read_kek
from app.services.write_log import LogLines
from app.settings import Settings
from app.storage import changes, migrate, schema
from app.storage.conflicts import AlreadyTaken
from app.storage.database import Connection, Database
from app.storage.deployment import DeploymentRow, find_deployment, insert_deployment
from app.storage.sealed_keys import insert_sealed_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialised:
    """What `init` made."""

    issuer: str
    kek_fingerprint: str
    kek_file: str
    argon2: Argon2Parameters
    admin_sub: str | None


def initialise(
    settings: Settings,
    *,
    admin: NewUser | None = None,
    clock: Clock = system_clock,
    argon2: Argon2Parameters | None = None,
) -> Initialised:
    """Make the deployment that the settings describe. `argon2` is calibrated on this machine unless given.

    Raises `Refusal` when the database has been initialised already (nothing changes then), `SchemaError`, `KekError`,
    `DatabaseUnavailable`.
    """
    if admin is not None:
        admin = replace(admin, is_admin=True)
        check_new_user(admin)
    database = Database(settings.database_url.get_secret_value())
    log = LogLines()
    try:
        _check_is_new(database)
        # Before the tables: where no key can be written nothing is left half made.
        kek = _take_up_or_make_kek(settings)
        migrate.upgrade(database)
        parameters = argon2 or calibrate()
        password_hash = None if admin is None else hash_new_password(parameters, admin)

        def work(connection: Connection) -> str | None:
            seals = _write_deployment(connection, settings, kek, parameters, now=clock())
            recorder = EventRecorder(database, seals, clock, log)
            event = Event(type="deployment.initialised", actor="operator", body={"issuer": settings.issuer})
            recorder.record(connection, event)
            if admin is None:
                return None
            row = insert_new_user(connection, seals, admin, password_hash=password_hash, now=clock())
            changes.bump(connection, "users")
            event = Event(
                type="user.created",
                actor="operator",
                sub=row.sub,
                body={"admin": True},
                personal={"username": row.username},
            )
            recorder.record(connection, event)
            return row.sub

        admin_sub = database.transact(work)
    finally:
        log.flush()
        database.dispose()
    return Initialised(
        issuer=settings.issuer,
        kek_fingerprint=kek.fingerprint,
        kek_file=str(kek_path(settings.keys_dir)),
        argon2=parameters,
        admin_sub=admin_sub,
    )


def _check_is_new(database: Database) -> None:
    with database.reading() as connection:
        state = schema.read_state(connection)
        if state.is_served and find_deployment(connection) is not None:
            raise _already()
        if state.state in ("newer", "foreign"):
            raise schema.SchemaError(state.explain())


def _take_up_or_make_kek(settings: Settings) -> Kek:
    # lexists: where the directory may not be looked into there is nothing to take up, and the making tells the reason.
    if os.path.lexists(kek_path(settings.keys_dir)):
        return read_kek(settings.keys_dir)
    return make_kek(settings.keys_dir)


def _write_deployment(
    connection: Connection, settings: Settings, kek: Kek, argon2: Argon2Parameters, *, now: int
) -> Seals:
    try:
        # First: of two that run at once one writes this row, and the other is refused whole.
        insert_deployment(
            connection,
            DeploymentRow(
                issuer=settings.issuer,
                rp_id=settings.rp_id,
                acr_pwd=settings.acr_pwd,
                acr_mfa=settings.acr_mfa,
                acr_phr=settings.acr_phr,
                kek_fingerprint=kek.fingerprint,
                argon2_time_cost=argon2.time_cost,
                argon2_memory_kib=argon2.memory_kib,
                argon2_parallelism=argon2.parallelism,
                created_at=now,
            ),
        )
    except AlreadyTaken:
        raise _already() from None
    data_keys = make_data_keys(kek, now=now)
    for row in data_keys:
        insert_sealed_key(connection, row)
    seals = Seals(kek, data_keys)
    make_first_keys(connection, seals, now=now)
    return seals


def _already() -> Refusal:
    return Refusal("already_initialised", "this database has been initialised already; nothing was changed")
