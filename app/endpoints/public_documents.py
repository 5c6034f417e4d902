"""GET /jwks and the metadata: public, served from memory, with ETag and max-age."""

import hashlib
from collections.abc import Callable
from contextlib import suppress

import orjson

from app.endpoints.answers import Answer, PublicDocument
from app.endpoints.router import Handler
from app.services.deployment import Deployment
from app.services.publish_metadata import publish_metadata
from app.services.signing_keys import SigningKeys
from app.specs.strict_request import ProtocolRequest
from app.storage.database import DatabaseUnavailable

CurrentDocument = Callable[[], PublicDocument]


def current_jwks(deployment: Deployment) -> CurrentDocument:
    """RFC 7517 5; the keys as of at most a second ago."""
    cache_control = f"public, max-age={deployment.settings.jwks_max_age_s}"

    def make(keys: SigningKeys) -> tuple[SigningKeys, PublicDocument]:
        return keys, PublicDocument.of(keys.jwks, etag=keys.etag, cache_control=cache_control)

    made = make(deployment.keys)

    def current() -> PublicDocument:
        nonlocal made
        keys = deployment.keys
        # One assignment, one reading: another thread may be here too.
        latest = made
        if keys is not latest[0]:
            latest = made = make(keys)
        return latest[1]

    return current


def current_metadata(deployment: Deployment) -> CurrentDocument:
    """RFC 8414 3.2. Made at the start and anew when the registered resources change; the last one outlives outages."""

    def make() -> tuple[int, PublicDocument]:
        generation, document = deployment.registry.generation, publish_metadata(deployment)
        return generation, PublicDocument.of(document.body, etag=document.etag, cache_control="public, max-age=300")

    made = make()

    def current() -> PublicDocument:
        nonlocal made
        deployment.notice_changes()
        latest = made
        if deployment.registry.generation != latest[0] and not deployment.is_cut_off:
            with suppress(DatabaseUnavailable):
                latest = made = make()
        return latest[1]

    return current


def passkey_endpoints(deployment: Deployment) -> CurrentDocument:
    """Passkey Endpoints 2: where a password manager sends somebody who wants to make a passkey here, or to sort them.

    It stands at the root of the host, so only an issuer without a path has it.
    """
    page = f"{deployment.issuer}/account/security"
    body = orjson.dumps({"enroll": page, "manage": page})
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    document = PublicDocument.of(body, etag=etag, cache_control="public, max-age=300")
    return lambda: document


def document_endpoint(current: CurrentDocument) -> Handler:
    """The handler of a public document, for every request that the edge does not answer by itself."""

    def answer(request: ProtocolRequest) -> Answer:
        return current().answer(request.headers.get("if-none-match", ""))

    return answer
