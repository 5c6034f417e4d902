"""The verifier's copies of the issuer's status lists: which tokens have been revoked (draft-ietf-oauth-status-list).

Each list that a token names is fetched once, asked for again after half of its `ttl` and old after all of it:
renewed_copy.py says what that means. How long a list may be *believed* is another matter, and the issuer's signed word
alone: from `iat` to `exp`, whenever it was fetched and whatever a 304 says. Past that the answer is 503, for as long as
no newer list can be had: nobody knows then what has been revoked.

A list never replaces a newer one, and a bit that was seen set stays set: a revocation is not taken back.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from ..specs.protocol_error import InvalidToken, TemporarilyUnavailable
from ..specs.rfc7515_jose import InvalidJws
from ..specs.strict_json import StrictJsonError, parse_json_object
from ..specs.token_status_list import (
    MAX_ENTRIES,
    MEDIA_TYPE,
    TYP,
    InvalidStatusList,
    StatusList,
    StatusReference,
    check_status_list_claims,
)
from .https import DocumentClient, FetchError
from .issuer_signatures import IssuerSignatures
from .renewed_copy import Fetched, RenewedCopy

logger = logging.getLogger("tokenhouse_verifier")

# A list of 2^20 entries in which every second token was revoked at random, encoded twice, has 233 KB.
MAX_LIST_BYTES: Final = 524_288
# Each is 128 KB in memory.
MAX_LISTS: Final = 256
MIN_INTERVAL_S: Final = 1.0
# Of the refresher; each is a thread and a connection. Whoever waits for a list starts its fetch all the same.
MAX_FETCHES_AT_ONCE: Final = 16
_FIRST_RETRY_S: Final = 1.0
_LAST_RETRY_S: Final = 15.0
_AGGREGATION_INTERVAL_S: Final = 60.0
# What stands behind the prefix: segments that no reader shortens, decodes or turns around.
_BENEATH_PREFIX: Final = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*){0,4}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedList:
    """A status list as it came, not verified; `etag` is given back at the next question."""

    unverified_list: str
    etag: str | None = None


class StatusListSource(Protocol):
    """Where lists come from."""

    def fetch_list(self, uri: str, *, etag: str | None) -> FetchedList | None:
        """Returns the list, None where it is still what `etag` names; raises FetchError."""

    def fetch_list_uris(self, aggregation_uri: str) -> tuple[str, ...]:
        """Returns the addresses of the lists that there are (section 9); raises FetchError."""


class HttpsStatusListSource:
    """Lists over HTTPS, from the addresses that they are named by."""

    def __init__(self, client: DocumentClient) -> None:
        self._client = client

    def fetch_list(self, uri: str, *, etag: str | None) -> FetchedList | None:
        fetched = self._client.fetch_body(uri, accept=MEDIA_TYPE, max_bytes=MAX_LIST_BYTES, etag=etag)
        if fetched is None:
            return None
        # Whatever is not ASCII is no JWS, and is refused as one.
        return FetchedList(unverified_list=fetched.raw_body.decode("ascii", "replace"), etag=fetched.etag)

    def fetch_list_uris(self, aggregation_uri: str) -> tuple[str, ...]:
        uris = self._client.fetch(aggregation_uri).members.get("status_lists")
        if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris):
            raise FetchError(f"{aggregation_uri} has no list of status lists")
        return tuple(uris)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A verified list. `statuses` has every bit that was ever seen set."""

    checked: StatusList
    statuses: bytes
    # One bit per token, as Tokenhouse writes it: read without a call.
    is_of_single_bits: bool
    usable_until_s: float
    etag: str | None


@dataclass(slots=True)
class _Entry:
    copy: RenewedCopy[_Held]
    # When the last known token that names the list is past its `exp`.
    needed_until_s: float


class StatusLists:
    """The lists of one issuer. Safe for threads.

    `prefix`          what every list's address begins with; nothing else is ever fetched.
    `interval_s`      the longest time between two questions for a list, whatever its `ttl`.
    `max_age_s`       believes a list for this long at most, counted from its `iat`, however late its `exp`.
    `grace_s`         believes the last list for so much longer than its `exp`. 0: no longer, fail closed.
    """

    def __init__(
        self,
        *,
        issuer: str,
        prefix: str,
        source: StatusListSource,
        signatures: IssuerSignatures,
        leeway_s: float,
        interval_s: float,
        max_age_s: float | None,
        grace_s: float,
        wait_s: float,
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._prefix = prefix
        self._source = source
        self._signatures = signatures
        self._leeway_s = leeway_s
        self._interval_s = max(MIN_INTERVAL_S, interval_s)
        self._max_age_s = max_age_s
        self._grace_s = grace_s
        self._wait_s = wait_s
        self._clock = clock
        self._monotonic = monotonic
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()
        self._aggregation: RenewedCopy[tuple[str, ...]] = RenewedCopy(
            self._fetch_aggregation,
            what="the names of the status lists",
            wait_s=wait_s,
            first_retry_s=_AGGREGATION_INTERVAL_S,
            last_retry_s=_AGGREGATION_INTERVAL_S * 10,
            monotonic=monotonic,
        )

    def check_address(self, reference: StatusReference) -> None:
        """Raises InvalidToken unless the list is the issuer's own, by its address."""
        # A list that is held has passed before.
        if reference.uri not in self._entries and not self._is_ours(reference.uri):
            raise InvalidToken(
                "the token's status is not kept in a list of its issuer", detail=f"uri is {reference.uri!r:.300}"
            )

    def check(self, reference: StatusReference, *, token_expires_at_s: float, now_s: float, wait: bool) -> None:
        """Raises InvalidToken for a revoked token, TemporarilyUnavailable where nobody knows, WouldWait for `wait`.

        `reference` has passed `check_address`, and comes from a token whose signature held.
        """
        entry = self._entries.get(reference.uri)
        if entry is None or entry.needed_until_s < token_expires_at_s:
            entry = self._need(reference.uri, token_expires_at_s)
        held = entry.copy.get(wait=wait)
        if held is None or now_s >= held.usable_until_s:
            raise TemporarilyUnavailable(
                "whether the token has been revoked is not known: there is no status list that is not too old",
                headers={"Retry-After": str(entry.copy.retry_after_s())},
            )
        index = reference.index
        if held.is_of_single_bits and index >> 3 < len(held.statuses):
            if held.statuses[index >> 3] >> (index & 7) & 1:
                raise InvalidToken("the token has been revoked")
            return
        try:
            is_set = held.checked.is_set(index)
        except InvalidStatusList as error:
            raise InvalidToken(str(error)) from error
        if is_set:
            raise InvalidToken("the token has been revoked or suspended")

    def renew_due(self) -> None:
        """Starts what fetches are due, and forgets lists that no living token names. The refresher calls it."""
        if not self._entries:
            return
        now_s = self._clock() - self._leeway_s
        running = 0
        for uri, entry in list(self._entries.items()):
            if entry.needed_until_s < now_s:
                with self._lock:
                    self._entries.pop(uri, None)
            elif running < MAX_FETCHES_AT_ONCE:
                running += entry.copy.renew_if_due()
        # Also the lists that no token has named here yet: else their first tokens could not be judged in an outage.
        self._aggregation.renew_if_due()

    def _need(self, uri: str, until_s: float) -> _Entry:
        with self._lock:
            entry = self._entries.get(uri)
            if entry is not None:
                entry.needed_until_s = max(entry.needed_until_s, until_s)
                return entry
            if len(self._entries) >= MAX_LISTS:
                del self._entries[min(self._entries, key=lambda other: self._entries[other].needed_until_s)]
            entry = _Entry(
                copy=RenewedCopy(
                    lambda at_hand: self._fetch(uri, at_hand),
                    what=f"the status list {uri}",
                    wait_s=self._wait_s,
                    first_retry_s=_FIRST_RETRY_S,
                    last_retry_s=_LAST_RETRY_S,
                    monotonic=self._monotonic,
                ),
                needed_until_s=until_s,
            )
            self._entries[uri] = entry
            return entry

    def _is_ours(self, uri: str) -> bool:
        return uri.startswith(self._prefix) and _BENEATH_PREFIX.fullmatch(uri, len(self._prefix)) is not None

    # ----- Fetching -----

    def _fetch(self, uri: str, at_hand: _Held | None) -> Fetched[_Held]:
        fetched = self._source.fetch_list(uri, etag=None if at_hand is None else at_hand.etag)
        if fetched is None:
            if at_hand is None:
                raise FetchError(f"{uri} has not changed, but was never seen")
            return self._with_times(at_hand)
        checked = self._verify(uri, fetched.unverified_list)
        if at_hand is not None and checked.issued_at_s < at_hand.checked.issued_at_s:
            raise FetchError(f"{uri} is older than the list at hand")
        is_of_single_bits = checked.bits == 1
        statuses = checked.statuses
        if at_hand is not None and is_of_single_bits and at_hand.is_of_single_bits:
            statuses = _united(at_hand.statuses, statuses)
            if statuses != checked.statuses:
                logger.warning("%s takes revocations back, which is not believed", uri)
        return self._with_times(
            _Held(
                checked=checked,
                statuses=statuses,
                is_of_single_bits=is_of_single_bits,
                usable_until_s=checked.expires_at_s + self._grace_s,
                etag=fetched.etag,
            )
        )

    def _verify(self, uri: str, unverified_list: str) -> StatusList:
        try:
            raw_claims, _ = self._signatures.verify(unverified_list, typ=TYP, max_bytes=MAX_LIST_BYTES, wait=True)
            claims = parse_json_object(raw_claims, max_bytes=MAX_LIST_BYTES)
            if claims.get("iss", self._issuer) != self._issuer:
                raise InvalidStatusList("the status list is from another issuer")
            # A list in its grace is past its `exp`; the issuer's clock may be ahead by as much as ever.
            return check_status_list_claims(
                claims,
                uri=uri,
                now_s=self._clock() - self._grace_s,
                max_entries=MAX_ENTRIES,
                leeway_s=self._leeway_s + self._grace_s,
                max_lifetime_s=self._max_age_s,
            )
        except (InvalidJws, InvalidStatusList, StrictJsonError) as error:
            raise FetchError(f"{uri}: {str(error).replace('the token', 'the list')}") from error
        except TemporarilyUnavailable as error:
            raise FetchError(f"{uri}: {error.description}") from error

    def _with_times(self, held: _Held) -> Fetched[_Held]:
        ttl_s = self._interval_s if held.checked.ttl_s is None else held.checked.ttl_s
        interval_s = min(self._interval_s, max(MIN_INTERVAL_S, ttl_s))
        # After half of it, so that a revocation is known here within one `ttl`, the time of signing included.
        return Fetched(
            value=held,
            renew_after_s=interval_s / 2,
            old_after_s=interval_s,
            # When to wait for the next one instead of going on with this. Whether it may be used, `check` says, by the
            # clock that the issuer's `exp` is meant for.
            unusable_after_s=held.usable_until_s - self._clock(),
        )

    def _fetch_aggregation(self, _at_hand: tuple[str, ...] | None) -> Fetched[tuple[str, ...]]:
        uris = self._source.fetch_list_uris(self._prefix.rstrip("/"))
        # Until the next answer says that they are still there.
        until_s = self._clock() + 3 * _AGGREGATION_INTERVAL_S
        for uri in uris[:MAX_LISTS]:
            if self._is_ours(uri):
                self._need(uri, until_s)
        return Fetched(value=uris, renew_after_s=_AGGREGATION_INTERVAL_S, old_after_s=_AGGREGATION_INTERVAL_S * 2)


def _united(one: bytes, other: bytes) -> bytes:
    """Every bit that is set in one of them."""
    united = int.from_bytes(one, "little") | int.from_bytes(other, "little")
    return united.to_bytes(max(len(one), len(other)), "little")
