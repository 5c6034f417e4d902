"""Where an issuer's keys are: its metadata (RFC 8414 or OpenID Connect Discovery) names `jwks_uri`, or the operator."""

import logging
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..specs.rfc7515_jose import InvalidKey, PublicKey, import_jwk_set
from ..specs.rfc8414_metadata import well_known_paths
from .https import DocumentClient, FetchError, Unreachable, check_url

logger = logging.getLogger("tokenhouse_verifier")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedKeys:
    """The usable keys that the issuer publishes, and for how long its answer says that they may be kept."""

    keys: tuple[PublicKey, ...]
    max_age_s: int | None


class IssuerKeys:
    """Fetches the key set of one issuer, and of no other. Not for two threads at once: `key_set` sees to that."""

    def __init__(self, *, issuer: str, jwks_uri: str | None, client: DocumentClient) -> None:
        self._issuer = issuer
        self._configured_jwks_uri = jwks_uri
        self._known_jwks_uri = jwks_uri
        self._client = client

    def fetch(self) -> FetchedKeys:
        """Returns what is published now; raises FetchError. Does **not** retry and does not remember keys."""
        jwks_uri = self._known_jwks_uri or self._discover()
        try:
            document = self._client.fetch(jwks_uri)
            keys = import_jwk_set(document.members)
        except (FetchError, InvalidKey) as error:
            # The address may have moved; the next attempt asks the metadata again.
            self._known_jwks_uri = self._configured_jwks_uri
            raise FetchError(f"{jwks_uri}: {error}" if isinstance(error, InvalidKey) else str(error)) from error
        self._known_jwks_uri = jwks_uri
        return FetchedKeys(keys=keys, max_age_s=document.max_age_s)

    def _discover(self) -> str:
        parts = urlsplit(self._issuer)
        failures = []
        for path in well_known_paths(self._issuer):
            url = f"{parts.scheme}://{parts.netloc}{path}"
            try:
                return self._read_metadata(url)
            except Unreachable:
                raise
            except FetchError as error:
                failures.append(str(error))
        raise FetchError("no metadata: " + "; ".join(failures))

    def _read_metadata(self, url: str) -> str:
        metadata = self._client.fetch(url).members
        # RFC 8414 3.3: "The "issuer" value returned MUST be identical to the authorization server's issuer identifier
        # value into which the well-known URI string was inserted [...] If these values are not identical, the data
        # contained in the response MUST NOT be used."
        if metadata.get("issuer") != self._issuer:
            raise FetchError(f"{url} describes another issuer: {metadata.get('issuer')!r:.200}")
        jwks_uri = metadata.get("jwks_uri")
        if not isinstance(jwks_uri, str):
            raise FetchError(f"{url} names no jwks_uri")
        try:
            check_url(jwks_uri)
        except ValueError as error:
            raise FetchError(f"{url} names a jwks_uri that is not fetched: {error}") from error
        if self._issuer.startswith("https:") and not jwks_uri.startswith("https:"):
            raise FetchError(f"{url} names a jwks_uri without TLS")
        logger.info("the keys of %s are at %s", self._issuer, jwks_uri)
        return jwks_uri
