"""Whether the issuer signed something: its access tokens, and its status lists."""

from collections.abc import Collection

from ..specs.rfc7515_jose import (
    InvalidSignature,
    UnverifiedHeader,
    check_header,
    parse_unverified_header,
    verify_jws,
)
from .key_set import Keys, KeySet


class IssuerSignatures:
    """Verifies with the keys of one issuer, and fetches them anew when a key is unknown."""

    def __init__(self, key_set: KeySet, algorithms: Collection[str]) -> None:
        self.key_set = key_set
        self._algorithms = frozenset(algorithms)

    def verify(self, unverified_token: str, *, typ: str, max_bytes: int, wait: bool) -> tuple[bytes, Keys]:
        """Returns the payload and the state of the key set that vouches for it; raises InvalidJws.

        Raises TemporarilyUnavailable where there are no keys, and WouldWait instead of waiting for some.
        """
        header = parse_unverified_header(unverified_token)
        # Before any key is looked for: a token that is refused anyway must not cause a fetch.
        check_header(header, algorithms=self._algorithms, typ=typ)
        keys = self.key_set.get_keys(wait=wait)
        payload = self._try_keys(unverified_token, header, keys, typ=typ, max_bytes=max_bytes)
        if payload is not None:
            return payload, keys
        if header.kid in keys.by_kid:
            raise InvalidSignature("the signature does not verify")
        newer_keys = self.key_set.find_newer_keys(keys, wait=wait)
        if newer_keys is not None:
            payload = self._try_keys(unverified_token, header, newer_keys, typ=typ, max_bytes=max_bytes)
            if payload is not None:
                return payload, newer_keys
        raise InvalidSignature("no key of the issuer verifies the signature")

    def _try_keys(
        self, unverified_token: str, header: UnverifiedHeader, keys: Keys, *, typ: str, max_bytes: int
    ) -> bytes | None:
        for key in keys.candidates(kid=header.kid, alg=header.alg):
            try:
                return verify_jws(unverified_token, key, algorithms=self._algorithms, typ=typ, max_bytes=max_bytes)
            except InvalidSignature:
                continue
        return None
