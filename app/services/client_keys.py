"""The public keys of clients, inline (`jwks`) or at an address of theirs (`jwks_uri`): parsed once, and used often.

What is at an address is remembered for as long as its host says, within bounds. It is asked for again when no key fits
what a client signed, at most once a minute per client; and while it cannot be had, what was there last serves on for an
hour. One thread fetches for all that wait for the same client. Few wait, and fewer for one client: hosts that hang must
not occupy the threads of a server, so who would be one too many hears "try again" at once.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import structlog
from cachetools import LRUCache

from app.services.client_registry import Client
from app.services.clock import Clock
from app.services.fetch_document import DocumentFetcher, FetchError
from app.specs.protocol_error import TemporarilyUnavailable
from app.specs.rfc7515_jose import InvalidSignature, check_header, parse_unverified_header, verify_jws
from app.specs.rfc7517_jwk import InvalidKey, PublicKey, import_encryption_jwk_set, import_jwk_set
from app.specs.rfc9111_caching import find_freshness_s
from app.specs.strict_json import StrictJsonError, parse_json_object

MAX_KEY_SET_BYTES: Final = 64 * 1024
DEADLINE_S: Final = 3.0
FRESH_FOR_S: Final = 300
"""Where the host says nothing. Whatever it says, the two bounds below hold."""
LEAST_FRESH_FOR_S: Final = 60
MOST_FRESH_FOR_S: Final = 3600
STALE_FOR_MS: Final = 3_600_000
ASK_AGAIN_AFTER_MS: Final = 60_000
"""How long nothing is asked after an attempt, whether that went well or not."""
MAX_WAITING: Final = 6
MAX_WAITING_FOR_ONE_CLIENT: Final = 3
MAX_REMEMBERED_KEYS: Final = 10_000
MAX_CANDIDATES: Final = 16
"""How many keys one signature is tried with: a key set of 64 must not multiply the price of junk."""

_ACCEPT: Final = "application/jwk-set+json, application/json"
_MAX_LOGGED_CHARACTERS: Final = 200
_log = structlog.get_logger("tokenhouse.client_keys")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """The keys of a client that can be used here, parsed."""

    verification: tuple[PublicKey, ...]
    encryption: tuple[PublicKey, ...]
    """Those that are for nothing else first."""

    @property
    def weight(self) -> int:
        """What it counts in memory."""
        return 1 + len(self.verification) + len(self.encryption)


class NotAKeySet(FetchError):
    """Something came back, but no JWK Set."""


@dataclass(slots=True)
class _Address:
    """What is known of one client's `jwks_uri`. Changed under the lock of `ClientKeys` only."""

    client_id: str
    jwks_uri: str
    keys: KeySet | None = None
    fetched_at: int = 0
    fresh_for_ms: int = 0
    tried_at: int | None = None
    being_fetched: threading.Event | None = None
    waiting: int = 0

    def is_fresh(self, now: int) -> bool:
        # A clock that was set back must not make keys immortal.
        return self.keys is not None and 0 <= now - self.fetched_at < self.fresh_for_ms

    def find_usable(self, now: int) -> KeySet | None:
        """Fresh keys, or stale ones that serve for want of better."""
        return self.keys if now - self.fetched_at < self.fresh_for_ms + STALE_FOR_MS else None

    def was_tried_lately(self, now: int) -> bool:
        return self.tried_at is not None and 0 <= now - self.tried_at < ASK_AGAIN_AFTER_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inline:
    jwks: Mapping[str, Any] = field(repr=False)
    keys: KeySet


class ClientKeys:
    """The keys of the clients that one process has met. Safe for its threads."""

    def __init__(self, fetcher: DocumentFetcher, clock: Clock) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._inline: LRUCache[str, _Inline] = LRUCache(MAX_REMEMBERED_KEYS, getsizeof=lambda known: known.keys.weight)
        # The client too: what one client's host did must not be another's trouble.
        self._addresses: LRUCache[tuple[str, str], _Address] = LRUCache(MAX_REMEMBERED_KEYS, getsizeof=_weigh)
        self._waiting = 0
        self._lock = threading.Lock()

    def find_verification_keys(self, client: Client, *, kid: str | None, alg: str) -> tuple[PublicKey, ...]:
        """The client's keys that may have made a signature with this header: those of the `kid`, else every one that
        names none; without `kid` every one that fits `alg`. Empty where there is none.

        Looks again at `jwks_uri` where nothing fits, so it can take `DEADLINE_S`. Raises `TemporarilyUnavailable` where
        too many wait already. A caller that verifies a signature wants `verify_jws`.
        """
        return self._find(client, lambda keys: choose_verification_keys(keys, kid=kid, alg=alg))

    def find_encryption_key(self, client: Client, *, alg: str) -> PublicKey | None:
        """The client's key to which what it is told is encrypted by `alg`; None where it has none.

        Fetches and raises as `find_verification_keys` does.
        """

        def choose(keys: KeySet | None) -> tuple[PublicKey, ...]:
            return tuple(key for key in keys.encryption if alg in key.algorithms) if keys is not None else ()

        found = self._find(client, choose)
        return found[0] if found else None

    def verify_jws(
        self, client: Client, token: str, *, algorithms: Collection[str], typ: str | None, max_bytes: int
    ) -> bytes:
        """The payload of what the client signed with any of its keys. Raises `InvalidJws`.

        Looks again at `jwks_uri` where none of the keys fits or verifies: a client may change a key that has no `kid`.
        Raises `TemporarilyUnavailable` as `find_verification_keys` does. Does not look into the payload.
        """
        # Before anything is fetched for it.
        header = parse_unverified_header(token)
        check_header(header, algorithms=algorithms, typ=typ)

        def verify(keys: KeySet | None) -> tuple[bytes, ...]:
            for key in choose_verification_keys(keys, kid=header.kid, alg=header.alg):
                try:
                    return (verify_jws(token, key, algorithms=algorithms, typ=typ, max_bytes=max_bytes),)
                except InvalidSignature:
                    continue
            return ()

        payloads = self._find(client, verify)
        if not payloads:
            raise InvalidSignature("no key of the client verifies the signature")
        return payloads[0]

    # ----- Parts -----

    def _find(self, client: Client, look: Callable[[KeySet | None], tuple[Found, ...]]) -> tuple[Found, ...]:
        """What `look` finds in the client's keys, or else in what is at their address now."""
        if client.metadata.jwks is not None:
            return look(self._read_inline(client.client_id, client.metadata.jwks))
        if client.metadata.jwks_uri is None:
            return ()
        address = self._find_address(client.client_id, client.metadata.jwks_uri)
        seen = self._read(address)
        found = look(seen)
        if found:
            return found
        newer = self._renew(address, instead_of=seen)
        return look(newer) if newer is not seen else ()

    def _read_inline(self, client_id: str, jwks: Mapping[str, Any]) -> KeySet:
        with self._lock:
            known = self._inline.get(client_id)
        if known is not None and (known.jwks is jwks or known.jwks == jwks):
            return known.keys
        keys = parse_key_set(jwks)
        with self._lock:
            self._inline[client_id] = _Inline(jwks=jwks, keys=keys)
        return keys

    def _find_address(self, client_id: str, jwks_uri: str) -> _Address:
        with self._lock:
            address = self._addresses.get((client_id, jwks_uri))
            if address is None:
                address = self._addresses[client_id, jwks_uri] = _Address(client_id, jwks_uri)
            return address

    def _read(self, address: _Address) -> KeySet | None:
        with self._lock:
            now = self._clock()
            # While somebody asks anew, the others go on with what there is.
            if address.is_fresh(now) or (address.being_fetched is not None and address.find_usable(now) is not None):
                return address.keys
        return self._renew(address)

    def _renew(self, address: _Address, *, instead_of: KeySet | None = None) -> KeySet | None:
        """What is at the address, fetched now unless that was tried within the last minute.

        `instead_of`: what the caller has seen already, and cannot use.
        """
        with self._lock:
            now = self._clock()
            being_fetched, usable = address.being_fetched, address.find_usable(now)
            is_news = instead_of is not None and usable is not instead_of
            if is_news or (being_fetched is None and address.was_tried_lately(now)):
                return usable
            if self._waiting >= MAX_WAITING or address.waiting >= MAX_WAITING_FOR_ONE_CLIENT:
                if usable is not None and instead_of is None:
                    return usable
                raise TemporarilyUnavailable(
                    "the client's keys are being fetched", detail="too many wait already", headers={"Retry-After": "1"}
                )
            self._waiting += 1
            address.waiting += 1
            is_mine = being_fetched is None
            if is_mine:
                address.tried_at, address.being_fetched = now, threading.Event()
        try:
            if is_mine:
                self._fetch(address)
            elif being_fetched is not None:
                # Longer than any fetch, so that only a bug is waited for in vain.
                being_fetched.wait(DEADLINE_S * 2)
        finally:
            with self._lock:
                self._waiting -= 1
                address.waiting -= 1
        with self._lock:
            return address.find_usable(self._clock())

    def _fetch(self, address: _Address) -> None:
        keys, fresh_for_s = None, 0
        try:
            keys, fresh_for_s = fetch_key_set(self._fetcher, address.jwks_uri)
        except FetchError as error:
            _log.warning("no client keys", client_id=address.client_id[:_MAX_LOGGED_CHARACTERS], reason=error.reason)
        finally:
            with self._lock:
                if keys is not None:
                    address.keys, address.fetched_at = keys, self._clock()
                    address.fresh_for_ms = fresh_for_s * 1000
                    # Anew, because it weighs something else now.
                    self._addresses[address.client_id, address.jwks_uri] = address
                finished, address.being_fetched = address.being_fetched, None
            if finished is not None:
                finished.set()


def fetch_key_set(fetcher: DocumentFetcher, jwks_uri: str) -> tuple[KeySet, int]:
    """The keys at the address, and for how many seconds they count as fresh. Raises `FetchError`."""
    document = fetcher.fetch(jwks_uri, max_bytes=MAX_KEY_SET_BYTES, accept=_ACCEPT, deadline_s=DEADLINE_S)
    if document.status != 200:
        raise NotAKeySet(f"answered {document.status}")
    try:
        keys = parse_key_set(parse_json_object(document.body, max_bytes=MAX_KEY_SET_BYTES))
    except (StrictJsonError, InvalidKey) as error:
        raise NotAKeySet(f"is no JWK Set: {error}") from error
    fresh_for_s = find_freshness_s(
        document.cache_control, default_s=FRESH_FOR_S, least_s=LEAST_FRESH_FOR_S, most_s=MOST_FRESH_FOR_S
    )
    return keys, fresh_for_s


def choose_verification_keys(keys: KeySet | None, *, kid: str | None, alg: str) -> tuple[PublicKey, ...]:
    """The keys that may have signed under this header, at most `MAX_CANDIDATES`.

    A key without `kid` may be anybody's: clients with one key need not name it, here as little as in their JWK Set.
    """
    fitting = [key for key in keys.verification if alg in key.algorithms] if keys is not None else []
    if kid is not None:
        of_this_kid = [key for key in fitting if key.kid == kid]
        fitting = of_this_kid or [key for key in fitting if key.kid is None]
    return tuple(fitting[:MAX_CANDIDATES])


def parse_key_set(jwks: Mapping[str, Any]) -> KeySet:
    """The keys of a JWK Set that can be used here. Raises `InvalidKey` where it is none."""
    encryption = import_encryption_jwk_set(jwks)
    verification = import_jwk_set(jwks)
    signs_too = [key.native for key in verification]
    return KeySet(
        verification=verification,
        # A key that says neither is for both; one that was made for this is the better choice.
        encryption=tuple(sorted(encryption, key=lambda key: key.native in signs_too)),
    )


def _weigh(address: _Address) -> int:
    return 1 if address.keys is None else address.keys.weight
