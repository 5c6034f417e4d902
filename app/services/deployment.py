"""One opened deployment: the settings, the database, the keys, and what remembers them.

`open_deployment` refuses, with a sentence, to start on a database that was not initialised, belongs to another issuer,
has another schema, or whose key-encryption key is not at hand. Nothing here makes a key.
"""

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from app.features import Profile
from app.services.allocate_status import StatusAllocator
from app.services.breached_passwords import BreachedPasswords
from app.services.client_keys import ClientKeys
from app.services.client_registry import ClientRegistry
from app.services.client_uses import ClientUses
from app.services.clock import Clock, system_clock
from app.services.failpoints import Failpoint, no_failpoint
from app.services.fetch_document import DocumentFetcher
from app.services.fetch_request_object import RequestObjectFetcher
from app.services.hash_password import Argon2Parameters, PasswordPool
from app.services.pairwise_subjects import PairwiseSubjects
from app.services.publish_status_lists import StatusListPublisher
from app.services.record_event import Event, EventRecorder
from app.services.rotate_keys import KeyChange, RotationPolicy, rotate_due
from app.services.seals import Kek, KekError, SealError, Seals, read_kek
from app.services.signing_keys import ActiveKey, NoSigningKey, SigningKeys, open_signing_keys
from app.services.upstream_channel import ProviderChannels
from app.services.upstream_documents import ProviderDocuments
from app.services.verified_signatures import VerifiedSignatures
from app.services.watch_logins import LoginWatch
from app.services.write_log import LogLines
from app.settings import Settings
from app.specs.rfc7517_jwk import PrivateKey
from app.storage import schema
from app.storage.changes import read_versions
from app.storage.database import Connection, Database, DatabaseUnavailable
from app.storage.deployment import DeploymentRow, find_deployment
from app.storage.sealed_keys import list_sealed_keys
from app.storage.signing_keys import list_signing_keys

_LOOK_FOR_CHANGES_EVERY_S = 0.4
_LOOK_WHILE_CUT_OFF_EVERY_S = 5.0


class DeploymentError(Exception):
    """The server cannot start; the message says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcrNames:
    """The wire names of the authentication levels, lowest first."""

    pwd: str
    mfa: str
    phr: str


class Deployment:
    """What the services work with. One per process; safe for its threads."""

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        row: DeploymentRow,
        kek: Kek,
        seals: Seals,
        keys: SigningKeys,
        versions: Mapping[str, int],
        clock: Clock,
        failpoint: Failpoint,
    ) -> None:
        self.settings = settings
        self.database = database
        self.seals = seals
        self.clock = clock
        self.failpoint = failpoint
        self.issuer = settings.issuer
        self.rp_id = row.rp_id
        self.profile: Profile = settings.profile
        self.acr_names = AcrNames(pwd=row.acr_pwd, mfa=row.acr_mfa, phr=row.acr_phr)
        self.registry = ClientRegistry(database, clock, absent_features=settings.absent_features)
        self.client_uses = ClientUses(database, clock)
        self.log = LogLines()
        self.recorder = EventRecorder(database, seals, clock, self.log)
        self.login_watch = LoginWatch(
            database, seals, self.recorder, clock, alarm_failures=settings.stuffing_alarm_failures
        )
        self.passwords = PasswordPool(
            Argon2Parameters(
                time_cost=row.argon2_time_cost,
                memory_kib=row.argon2_memory_kib,
                parallelism=row.argon2_parallelism,
            ),
            workers=settings.password_hash_workers,
            queue=settings.password_hash_queue,
        )
        self.breached_passwords = _open_breached_passwords(settings)
        self.rotation = RotationPolicy.from_seconds(
            signing_key_lifetime_s=settings.signing_key_lifetime_s, jwks_max_age_s=settings.jwks_max_age_s
        )
        self.status_allocator = StatusAllocator(database, seals, clock, issuer=settings.issuer)
        self.status_lists = StatusListPublisher(database, self.status_allocator)
        self.verified_signatures = VerifiedSignatures()
        # Set where a message was written to the outbox, or one of its deliveries has ended: its dispatcher wakes up.
        self.outbox_changed = threading.Event()
        self.pairwise_subjects = PairwiseSubjects(database, clock)
        self.kek_fingerprint = kek.fingerprint
        self._keys = keys
        self._versions = versions
        self.is_cut_off = False
        self._look_again_at = float("-inf")
        self._refreshing = threading.Lock()
        self._reading_keys = threading.Lock()

    @cached_property
    def fetcher(self) -> DocumentFetcher:
        """The only way out to URLs that others chose. Raises `DeploymentError` for a CA bundle that is none.

        Made when it is first needed, which for a server is its start: most commands fetch nothing.
        """
        try:
            return DocumentFetcher(
                allowed_networks=self.settings.outbound_allowed_networks, ca_bundle=self.settings.outbound_ca_bundle
            )
        except ValueError as error:
            raise DeploymentError(f"TOKENHOUSE_OUTBOUND_CA_BUNDLE: {error}") from error

    @cached_property
    def client_keys(self) -> ClientKeys:
        """The keys of clients, wherever they keep them."""
        return ClientKeys(self.fetcher, self.clock)

    @cached_property
    def request_object_fetcher(self) -> RequestObjectFetcher:
        """Fetches what clients ask by reference."""
        return RequestObjectFetcher(self.fetcher)

    @cached_property
    def provider_channels(self) -> ProviderChannels:
        """The ways to other providers."""
        return ProviderChannels(self.fetcher, self.clock)

    @cached_property
    def provider_documents(self) -> ProviderDocuments:
        """What other providers publish."""
        return ProviderDocuments(self.clock)

    @property
    def keys(self) -> SigningKeys:
        """The signing keys, as of at most a second ago."""
        self.notice_changes()
        return self._keys

    def get_signing_key(self, alg: str) -> PrivateKey:
        """The key that signs with `alg` now; never one that outlived its rotation. Raises `NoSigningKey`."""
        active = self.keys.active.get(alg)
        if active is None or self._has_outlived_its_rotation(active):
            if not self.rotate_keys_if_due():
                # Another node has just done it, and what is remembered here is older than that.
                self._read_keys()
            active = self._keys.get_active(alg)
            if self._has_outlived_its_rotation(active):
                raise NoSigningKey(f"the {alg} key is past its time and could not be replaced")
        return active.key

    def rotate_keys_if_due(self) -> tuple[KeyChange, ...]:
        """Do what is due of the rotation, under its lock in the database, and read the keys anew."""
        now = self.clock()

        def rotate(connection: Connection) -> tuple[KeyChange, ...]:
            done = rotate_due(connection, self.seals, self.rotation, now=now)
            for change in done:
                event = Event(type=f"key.{change.state}", actor="server", body={"kid": change.kid, "alg": change.alg})
                self.recorder.record(connection, event)
            return done

        done = self.database.transact(rotate)
        if done:
            self._read_keys()
        return done

    def notice_changes(self, *, at_once: bool = False) -> None:
        """Drop what is remembered of what changed in the database, looking at most every 0.4 s unless `at_once`.

        While the database does not answer, what is remembered stays in use: public keys and metadata are served on,
        and it is left to housekeeping to find out that the database is back, because each look may take seconds.
        """
        if not at_once and time.monotonic() < self._look_again_at:
            return
        if not self._refreshing.acquire(blocking=at_once):
            return
        try:
            looked_at = self.clock()
            with self.database.reading() as connection:
                versions = read_versions(connection)
            changed = {name for name, version in versions.items() if self._versions.get(name) != version}
            if changed & {"clients", "resources"}:
                self.registry.forget()
            if "keys" in changed:
                self._read_keys()
            if "users" in changed:
                # Somebody may have been deleted elsewhere, and with them their key.
                self.recorder.forget_people()
            self.status_lists.catch_up(versions.get("status_lists", 0), as_of=looked_at)
            self._versions = versions
            self.is_cut_off = False
        except DatabaseUnavailable:
            self.is_cut_off = True
        finally:
            pause_s = _LOOK_WHILE_CUT_OFF_EVERY_S if self.is_cut_off else _LOOK_FOR_CHANGES_EVERY_S
            self._look_again_at = time.monotonic() + pause_s
            self._refreshing.release()

    def check_ready(self) -> str | None:
        """What keeps this process from serving, or None. Looks at the database, its clock and the KEK's file."""
        try:
            with self.database.reading() as connection:
                skew_ms = abs(schema.database_time(connection) - self.clock())
                schema.check_version(connection)
        except DatabaseUnavailable:
            return "the database does not answer"
        except schema.SchemaError as error:
            return str(error)
        if skew_ms > 5000:
            return "the clock differs from the database's by more than 5 s"
        try:
            read_kek(self.settings.keys_dir, expected_fingerprint=self.kek_fingerprint)
        except KekError:
            return "the key-encryption key is not readable"
        return None

    def close(self) -> None:
        """Write what waits, end the threads, close the connections."""
        while self.recorder.flush_refusals():
            pass
        with suppress(DatabaseUnavailable):
            self.recorder.flush_batched()
            self.client_uses.flush()
            self.login_watch.flush()
        self.log.flush()
        self.passwords.shutdown()
        if self.breached_passwords is not None:
            self.breached_passwords.close()
        self.database.dispose()

    def _has_outlived_its_rotation(self, active: ActiveKey) -> bool:
        return self.clock() >= self.rotation.must_not_sign_after(active.active_at)

    def _read_keys(self) -> None:
        # One at a time: keys that were read earlier must not replace keys that were read later.
        with self._reading_keys:
            with self.database.reading() as connection:
                rows = list_signing_keys(connection)
            self._keys = open_signing_keys(self.seals, rows, known=self._keys)


def open_deployment(
    settings: Settings, *, clock: Clock = system_clock, failpoint: Failpoint = no_failpoint, pool_size: int = 32
) -> Deployment:
    """The deployment that the settings name. Raises `DeploymentError`."""
    database = Database(settings.database_url.get_secret_value(), pool_size=pool_size)
    try:
        return _open(settings, database, clock=clock, failpoint=failpoint)
    except (DatabaseUnavailable, schema.SchemaError, KekError, SealError, NoSigningKey) as error:
        database.dispose()
        if isinstance(error, DatabaseUnavailable):
            raise DeploymentError(f"the database cannot be used: {error} ({database!r})") from error
        if isinstance(error, schema.SchemaError):
            raise DeploymentError(f"{error} ({database!r})") from error
        raise DeploymentError(str(error)) from error
    except BaseException:
        database.dispose()
        raise


def _open(settings: Settings, database: Database, *, clock: Clock, failpoint: Failpoint) -> Deployment:
    with database.reading() as connection:
        schema.check_version(connection)
        row = find_deployment(connection)
        # Before what they count: a change in between is then noticed at the first look.
        versions = read_versions(connection)
        sealed_keys = list_sealed_keys(connection)
        signing_keys = list_signing_keys(connection)
    if row is None:
        raise DeploymentError("this database has not been initialised: run `tokenhouse init`")
    check_identity(settings, row)
    kek = read_kek(settings.keys_dir, expected_fingerprint=row.kek_fingerprint)
    seals = Seals(kek, sealed_keys)
    return Deployment(
        settings=settings,
        database=database,
        row=row,
        kek=kek,
        seals=seals,
        keys=open_signing_keys(seals, signing_keys),
        versions=versions,
        clock=clock,
        failpoint=failpoint,
    )


def _open_breached_passwords(settings: Settings) -> BreachedPasswords | None:
    if settings.breached_passwords is None:
        return None
    try:
        return BreachedPasswords(settings.breached_passwords)
    except ValueError as error:
        raise DeploymentError(f"TOKENHOUSE_BREACHED_PASSWORDS: {error}") from error


def check_identity(settings: Settings, row: DeploymentRow) -> None:
    """One database is one issuer: raises `DeploymentError` naming the setting that differs from `init`'s."""
    for name, here, there in (
        ("TOKENHOUSE_ISSUER", settings.issuer, row.issuer),
        ("TOKENHOUSE_ISSUER (its host is the passkeys' rp_id)", settings.rp_id, row.rp_id),
        ("TOKENHOUSE_ACR_PWD", settings.acr_pwd, row.acr_pwd),
        ("TOKENHOUSE_ACR_MFA", settings.acr_mfa, row.acr_mfa),
        ("TOKENHOUSE_ACR_PHR", settings.acr_phr, row.acr_phr),
    ):
        if here != there:
            raise DeploymentError(f"{name} is {here!r}, but this database was initialised with {there!r}")
