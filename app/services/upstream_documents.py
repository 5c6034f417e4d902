"""What other providers publish: their metadata and their keys, remembered for as long as they say, within bounds.

Keys are asked for again when a token names one that is not known, at most once in a quarter of a minute per provider.
While metadata cannot be had, what was there last serves on for a day.
"""

import threading
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from app.services.client_keys import KeySet, choose_verification_keys, parse_key_set
from app.services.clock import Clock
from app.services.upstream_channel import Channel, ProviderUnavailable
from app.specs.oidc_discovery import (
    InvalidProviderMetadata,
    ProviderMetadata,
    discovery_url,
    read_provider_metadata,
)
from app.specs.rfc7515_jose import InvalidSignature, check_header, parse_unverified_header, verify_jws
from app.specs.rfc7517_jwk import InvalidKey
from app.specs.rfc9111_caching import find_freshness_s
from app.specs.strict_json import StrictJsonError, parse_json_object

MAX_DOCUMENT_BYTES: Final = 65_536
METADATA_FRESH_FOR_MS: Final = 3_600_000
METADATA_STALE_FOR_MS: Final = 86_400_000
METADATA_TRIED_AGAIN_AFTER_MS: Final = 60_000
KEYS_ASKED_AGAIN_AFTER_MS: Final = 15_000
_JSON: Final = "application/json"
_JWK_SET: Final = "application/jwk-set+json, application/json"


@dataclass(frozen=True, slots=True)
class _Metadata:
    metadata: ProviderMetadata
    fetched_at: int
    tried_at: int

    def is_good(self, now: int) -> bool:
        """Whether it is used as it is; nobody waits twice in a minute to hear that there is no newer one."""
        is_fresh = 0 <= now - self.fetched_at < METADATA_FRESH_FOR_MS
        return is_fresh or 0 <= now - self.tried_at < METADATA_TRIED_AGAIN_AFTER_MS


@dataclass(frozen=True, slots=True)
class _Keys:
    keys: KeySet
    fetched_at: int
    fresh_for_ms: int


class ProviderDocuments:
    """What one process knows of the providers. Safe for its threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._metadata: dict[int, _Metadata] = {}
        self._keys: dict[tuple[int, str], _Keys] = {}
        self._lock = threading.Lock()

    def get_metadata(self, channel: Channel, provider_id: int, issuer: str) -> ProviderMetadata:
        """The metadata of an issuer. Raises `ProviderUnavailable`, also where what it publishes cannot be used."""
        with self._lock:
            known = self._metadata.get(provider_id)
        now = self._clock()
        if known is not None and known.is_good(now):
            return known.metadata
        try:
            found = _Metadata(fetch_metadata(channel, issuer), fetched_at=now, tried_at=now)
        except ProviderUnavailable:
            if known is None or not 0 <= now - known.fetched_at < METADATA_STALE_FOR_MS:
                raise
            found = replace(known, tried_at=now)
        with self._lock:
            self._metadata[provider_id] = found
        return found.metadata

    def verify(
        self,
        channel: Channel,
        provider_id: int,
        jwks_uri: str,
        token: str,
        *,
        algorithms: Collection[str],
        typ: str | None = None,
    ) -> tuple[bytes, str]:
        """The payload of what the provider signed with any of its keys, and the algorithm.

        Raises `InvalidJws`, or `ProviderUnavailable`. A key that the token brings is not looked at: such a token is
        refused (RFC 8725 3.10). Does not look into the payload.
        """
        header = parse_unverified_header(token)
        # Before anything is fetched for it.
        check_header(header, algorithms=algorithms, typ=typ)
        keys = self._read_keys(channel, provider_id, jwks_uri, instead_of=None)
        payload = _verify(keys.keys, token, algorithms=algorithms, typ=typ)
        if payload is None:
            newer = self._read_keys(channel, provider_id, jwks_uri, instead_of=keys)
            payload = None if newer is keys else _verify(newer.keys, token, algorithms=algorithms, typ=typ)
        if payload is None:
            raise InvalidSignature("no key of the provider verifies the signature")
        return payload, header.alg

    def _read_keys(self, channel: Channel, provider_id: int, jwks_uri: str, *, instead_of: _Keys | None) -> _Keys:
        with self._lock:
            known = self._keys.get((provider_id, jwks_uri))
        now = self._clock()
        if known is not None:
            age = now - known.fetched_at
            is_wanted = known is not instead_of and 0 <= age < known.fresh_for_ms
            if is_wanted or (known is instead_of and 0 <= age < KEYS_ASKED_AGAIN_AFTER_MS):
                return known
        keys, fresh_for_s = fetch_keys(channel, jwks_uri)
        fetched = _Keys(keys, now, fresh_for_s * 1000)
        with self._lock:
            self._keys[provider_id, jwks_uri] = fetched
        return fetched


def fetch_metadata(channel: Channel, issuer: str) -> ProviderMetadata:
    """What the issuer publishes now. Raises `ProviderUnavailable`."""
    answer = channel.get(discovery_url(issuer), max_bytes=MAX_DOCUMENT_BYTES, accept=_JSON)
    if answer.status != 200:
        raise ProviderUnavailable(f"its metadata: answered {answer.status}")
    try:
        return read_provider_metadata(parse_json_object(answer.body, max_bytes=MAX_DOCUMENT_BYTES), issuer=issuer)
    except (StrictJsonError, InvalidProviderMetadata) as error:
        raise ProviderUnavailable(f"its metadata: {error}") from error


def fetch_keys(channel: Channel, jwks_uri: str) -> tuple[KeySet, int]:
    """The keys at the address now, and for how many seconds they count as fresh. Raises `ProviderUnavailable`."""
    answer = channel.get(jwks_uri, max_bytes=MAX_DOCUMENT_BYTES, accept=_JWK_SET)
    if answer.status != 200:
        raise ProviderUnavailable(f"its keys: answered {answer.status}")
    try:
        keys = parse_key_set(parse_json_object(answer.body, max_bytes=MAX_DOCUMENT_BYTES))
    except (StrictJsonError, InvalidKey) as error:
        raise ProviderUnavailable(f"its keys: {error}") from error
    return keys, find_freshness_s(answer.cache_control, default_s=300, least_s=60, most_s=3600)


def _verify(keys: KeySet, token: str, *, algorithms: Collection[str], typ: str | None) -> bytes | None:
    header = parse_unverified_header(token)
    for key in choose_verification_keys(keys, kid=header.kid, alg=header.alg):
        try:
            return verify_jws(token, key, algorithms=algorithms, typ=typ)
        except InvalidSignature:
            continue
    return None
