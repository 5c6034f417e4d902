"""The verifier's copy of an issuer's keys: fetched once, renewed in the background, kept while the issuer is down.

A copy is renewed after three quarters of its `max_age_s` (the issuer's Cache-Control, at most ours), old after all of
it and unusable after `max_stale_s`: renewed_copy.py says what that means. So a key that the issuer withdraws is refused
after at most `max_age_s` while the issuer can be reached, and after at most `max_stale_s` when it cannot.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ..specs.protocol_error import TemporarilyUnavailable
from ..specs.rfc7515_jose import PublicKey, import_jwk_set
from .https import DocumentClient, check_url
from .issuer_keys import FetchedKeys, IssuerKeys
from .renewed_copy import Fetched, RenewedCopy

# An issuer that forbids keeping its keys (max-age=0) would be asked at every call otherwise.
MIN_MAX_AGE_S: Final = 10.0
_FIRST_RETRY_S: Final = 2.0
_LAST_RETRY_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Keys:
    """One state of a key set. Two states are never equal, because what one verified the other may have withdrawn."""

    every: tuple[PublicKey, ...]
    by_kid: Mapping[str, tuple[PublicKey, ...]]

    @classmethod
    def of(cls, keys: tuple[PublicKey, ...]) -> "Keys":
        by_kid: dict[str, tuple[PublicKey, ...]] = {}
        for key in keys:
            if key.kid is not None:
                by_kid[key.kid] = (*by_kid.get(key.kid, ()), key)
        return cls(every=keys, by_kid=by_kid)

    def candidates(self, *, kid: str | None, alg: str) -> tuple[PublicKey, ...]:
        """Returns the keys that may have signed: those of that `kid`, else every key that fits and contradicts not."""
        named = self.by_kid.get(kid) if kid is not None else None
        if named is not None:
            return named
        return tuple(key for key in self.every if alg in key.algorithms and (kid is None or key.kid is None))


class KeySet(Protocol):
    """Where the verifier takes keys from."""

    def get_keys(self, *, wait: bool) -> Keys:
        """Returns the keys to use now; raises TemporarilyUnavailable, or WouldWait without `wait`."""

    def find_newer_keys(self, than: Keys, *, wait: bool) -> Keys | None:
        """Returns keys that were fetched because `than` had no key for some token; None where that is not due."""

    def renew_if_due(self) -> None:
        """Starts a renewal where one is due, and waits for nothing."""


class FixedKeySet:
    """Keys that the operator gave; there is nothing to fetch."""

    def __init__(self, keys: tuple[PublicKey, ...]) -> None:
        self._keys = Keys.of(keys)

    def get_keys(self, *, wait: bool) -> Keys:  # noqa: ARG002 - the protocol's signature
        return self._keys

    def find_newer_keys(self, than: Keys, *, wait: bool) -> None:  # noqa: ARG002 - the protocol's signature
        return None

    def renew_if_due(self) -> None:
        return None


class FetchedKeySet:
    """Keys that are fetched."""

    def __init__(
        self,
        fetch: Callable[[], FetchedKeys],
        *,
        max_age_s: float,
        max_stale_s: float,
        unknown_key_interval_s: float,
        wait_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._max_age_s = max_age_s
        self._max_stale_s = max_stale_s
        self._unknown_key_interval_s = unknown_key_interval_s
        self._copy = RenewedCopy(
            self._fetch_copy,
            what="the keys",
            wait_s=wait_s,
            first_retry_s=_FIRST_RETRY_S,
            last_retry_s=_LAST_RETRY_S,
            monotonic=monotonic,
        )

    def get_keys(self, *, wait: bool) -> Keys:
        keys = self._copy.get(wait=wait)
        if keys is None:
            raise TemporarilyUnavailable(
                "the authorization server's keys are not available",
                headers={"Retry-After": str(self._copy.retry_after_s())},
            )
        return keys

    def find_newer_keys(self, than: Keys, *, wait: bool) -> Keys | None:
        return self._copy.get_other(than, after_s=self._unknown_key_interval_s, wait=wait)

    def renew_if_due(self) -> None:
        self._copy.renew_if_due()

    def _fetch_copy(self, _at_hand: Keys | None) -> Fetched[Keys]:
        fetched = self._fetch()
        allowed_s = self._max_age_s if fetched.max_age_s is None else fetched.max_age_s
        max_age_s = min(self._max_age_s, max(MIN_MAX_AGE_S, allowed_s))
        return Fetched(
            value=Keys.of(fetched.keys),
            renew_after_s=max_age_s * 3 / 4,
            old_after_s=max_age_s,
            unusable_after_s=max(max_age_s, self._max_stale_s),
        )


def make_key_set(
    keys: Mapping[str, Any] | Iterable[Mapping[str, Any]] | None,
    *,
    issuer: str,
    jwks_uri: str | None,
    client: DocumentClient,
    max_age_s: float,
    max_stale_s: float,
    unknown_key_interval_s: float,
    wait_s: float,
    monotonic: Callable[[], float],
) -> KeySet:
    """Returns the given keys, or else those that the issuer publishes. Raises ValueError where neither can work."""
    if keys is not None:
        if jwks_uri is not None:
            raise ValueError("keys and jwks_uri exclude each other")
        usable_keys = import_jwk_set(keys if isinstance(keys, Mapping) else {"keys": [dict(jwk) for jwk in keys]})
        if not usable_keys:
            raise ValueError("none of the given keys can verify a signature")
        return FixedKeySet(usable_keys)
    check_url(issuer)
    if jwks_uri is not None:
        check_url(jwks_uri)
    return FetchedKeySet(
        IssuerKeys(issuer=issuer, jwks_uri=jwks_uri, client=client).fetch,
        max_age_s=max_age_s,
        max_stale_s=max_stale_s,
        unknown_key_interval_s=unknown_key_interval_s,
        wait_s=wait_s,
        monotonic=monotonic,
    )
