"""The verifier: one token in, its checked claims out, without asking anybody.

The order of the checks is part of the contract, because the first that fails is the reason that the caller sees:
size, form, header (`alg`, `typ`, no key of its own), key, signature, claims (`iss`, `aud`, times, constraints,
required members), scope. Nothing in the payload is read before the signature held.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from ..specs.protocol_error import InsufficientScope, InvalidToken
from ..specs.rfc7515_jose import (
    VERIFICATION_ALGORITHMS,
    InvalidJws,
    InvalidSignature,
    UnverifiedHeader,
    check_header,
    import_jwk_set,
    parse_unverified_header,
    verify_jws,
)
from ..specs.rfc9068_access_token import TYP, AccessTokenClaims, check_claims
from ..specs.strict_json import StrictJsonError, parse_json_object
from .https import DocumentClient, check_url
from .issuer_keys import IssuerKeys
from .key_set import FetchedKeySet, FixedKeySet, Keys, KeySet

# Servers cut header lines at 8 to 16 KiB; a longer token never arrived in one.
MAX_TOKEN_BYTES: Final = 16384


class AccessTokenVerifier:
    """Verifies access tokens of one issuer for one resource server. Safe for threads; make one and keep it.

    One issuer's keys never verify another's tokens: a resource server that trusts two issuers makes two verifiers.

    `issuer`      exactly as in the tokens' `iss`.
    `audience`    the resource's identifier, or every name that it goes by; the first is the realm of refusals.
    `keys`        a JWK Set, or JWKs, instead of fetching; otherwise `jwks_uri`, otherwise the issuer's metadata says.
    `algorithms`  what is accepted at all; every one of them is asymmetric.
    `leeway_s`    for clocks that differ.
    `ca_file`     certificates to trust instead of the system's.
    `max_age_s`   how long fetched keys are kept at most; `max_stale_s` how long at most when the issuer is down;
                  `unknown_key_interval_s` the least time between two fetches for the sake of unknown key ids.
    `clock`       seconds since 1970; `monotonic` for ages. Both are there for tests.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str | Collection[str],
        keys: Mapping[str, Any] | Iterable[Mapping[str, Any]] | None = None,
        jwks_uri: str | None = None,
        algorithms: Collection[str] = VERIFICATION_ALGORITHMS,
        leeway_s: float = 10,
        ca_file: str | None = None,
        timeout_s: float = 5,
        max_age_s: float = 300,
        max_stale_s: float = 86_400,
        unknown_key_interval_s: float = 10,
        max_token_bytes: int = MAX_TOKEN_BYTES,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = issuer
        self.audience = (audience,) if isinstance(audience, str) else tuple(audience)
        self._algorithms = frozenset(algorithms)
        self._leeway_s = leeway_s
        self._max_token_bytes = max_token_bytes
        self._clock = clock
        self._check_configuration(fetches=keys is None)
        if keys is not None:
            if jwks_uri is not None:
                raise ValueError("keys and jwks_uri exclude each other")
            document = keys if isinstance(keys, Mapping) else {"keys": [dict(jwk) for jwk in keys]}
            usable_keys = import_jwk_set(document)
            if not usable_keys:
                raise ValueError("none of the given keys can verify a signature")
            self._key_set: KeySet = FixedKeySet(usable_keys)
            return
        if jwks_uri is not None:
            check_url(jwks_uri)
        source = IssuerKeys(
            issuer=issuer, jwks_uri=jwks_uri, client=DocumentClient(timeout_s=timeout_s, ca_file=ca_file)
        )
        self._key_set = FetchedKeySet(
            source.fetch,
            max_age_s=max_age_s,
            max_stale_s=max_stale_s,
            unknown_key_interval_s=unknown_key_interval_s,
            # Metadata at one of three addresses, then the keys; a fast refusal or answer is the usual case.
            wait_s=2 * timeout_s,
            monotonic=monotonic,
        )

    def verify(self, token: str, *, scope: str | Collection[str] = ()) -> AccessTokenClaims:
        """Returns the claims of a token that is valid here and now and has every scope asked for.

        Raises InvalidToken (401) or InsufficientScope (403), whose description says why; TemporarilyUnavailable (503)
        when no key could ever be fetched, or not for too long. May wait for the network then, `2 * timeout_s` at most.
        Does **not** check revocation; a token lives until its `exp`.
        """
        return self._verify(token, scope=scope, wait=True)

    def verify_at_once(self, token: str, *, scope: str | Collection[str] = ()) -> AccessTokenClaims:
        """Like verify, but raises KeysNotAtHand instead of waiting for the network: for event loops."""
        return self._verify(token, scope=scope, wait=False)

    def fetch_keys(self) -> None:
        """Fetches the keys before the first token comes; raises TemporarilyUnavailable. Calling it is optional."""
        self._key_set.get_keys(wait=True)

    def _verify(self, token: str, *, scope: str | Collection[str], wait: bool) -> AccessTokenClaims:
        if len(token) > self._max_token_bytes:
            raise InvalidToken("the token is too long")
        try:
            raw_claims = self._verify_signature(token, wait=wait)
            unchecked_claims = parse_json_object(raw_claims, max_bytes=self._max_token_bytes)
        except InvalidJws as error:
            raise InvalidToken(str(error)) from error
        except StrictJsonError as error:
            raise InvalidToken("the token's claims are not a JSON object that can be read in one way only") from error
        claims = check_claims(
            unchecked_claims,
            issuer=self.issuer,
            audience=self.audience,
            now_s=self._clock(),
            leeway_s=self._leeway_s,
        )
        check_scope(claims.scope, scope)
        return claims

    def _verify_signature(self, token: str, *, wait: bool) -> bytes:
        header = parse_unverified_header(token)
        # Before any key is looked for: a token that is refused anyway must not cause a fetch.
        check_header(header, algorithms=self._algorithms, typ=TYP)
        keys = self._key_set.get_keys(wait=wait)
        raw_claims = self._try_keys(token, header, keys)
        if raw_claims is not None:
            return raw_claims
        if header.kid in keys.by_kid:
            raise InvalidSignature("the signature does not verify")
        newer_keys = self._key_set.find_newer_keys(keys, wait=wait)
        raw_claims = None if newer_keys is None else self._try_keys(token, header, newer_keys)
        if raw_claims is None:
            raise InvalidSignature("no key of the issuer verifies the signature")
        return raw_claims

    def _try_keys(self, token: str, header: UnverifiedHeader, keys: Keys) -> bytes | None:
        for key in keys.candidates(kid=header.kid, alg=header.alg):
            try:
                return verify_jws(token, key, algorithms=self._algorithms, typ=TYP, max_bytes=self._max_token_bytes)
            except InvalidSignature:
                continue
        return None

    def _check_configuration(self, *, fetches: bool) -> None:
        if not self.audience or "" in self.audience:
            raise ValueError("audience must name this resource server")
        if not self._algorithms or not self._algorithms.issubset(VERIFICATION_ALGORITHMS):
            raise ValueError(f"algorithms must be some of {', '.join(VERIFICATION_ALGORITHMS)}")
        if fetches:
            check_url(self.issuer)


def check_scope(granted: Collection[str], required: str | Collection[str]) -> None:
    """Raises InsufficientScope unless every required scope was granted. A string is a list with spaces (RFC 6749)."""
    missing = set(required.split() if isinstance(required, str) else required).difference(granted)
    if missing:
        raise InsufficientScope("the token lacks the scope " + " ".join(sorted(missing)))
