"""GET /jwks and the metadata: public, served from memory, with ETag and max-age."""

from contextlib import suppress

from app.endpoints.answers import JSON, Answer
from app.endpoints.router import Handler
from app.services.deployment import Deployment
from app.services.publish_metadata import Document, publish_metadata
from app.specs.strict_request import ProtocolRequest
from app.storage.database import DatabaseUnavailable


def jwks_endpoint(deployment: Deployment) -> Handler:
    """RFC 7517 5; the keys as of at most a second ago."""
    cache_control = f"public, max-age={deployment.settings.jwks_max_age_s}"

    def answer(request: ProtocolRequest) -> Answer:
        keys = deployment.keys
        return _serve(request, keys.jwks, keys.etag, cache_control)

    return answer


def metadata_endpoint(deployment: Deployment) -> Handler:
    """RFC 8414 3.2. Made at the start and anew when the registered resources change; the last one outlives outages."""
    made: tuple[int, Document] = (deployment.registry.generation, publish_metadata(deployment))

    def answer(request: ProtocolRequest) -> Answer:
        nonlocal made
        deployment.notice_changes()
        generation, document = deployment.registry.generation, made[1]
        if generation != made[0] and not deployment.is_cut_off:
            with suppress(DatabaseUnavailable):
                document = publish_metadata(deployment)
                made = (generation, document)
        return _serve(request, document.body, document.etag, "public, max-age=300")

    return answer


def _serve(request: ProtocolRequest, body: bytes, etag: str, cache_control: str) -> Answer:
    headers = [("Cache-Control", cache_control), ("ETag", etag), ("X-Content-Type-Options", "nosniff")]
    known = request.headers.get("if-none-match", "")
    # RFC 9110 13.1.2: a list of tags, compared weakly; "*" is whatever we have.
    if etag in known or known.strip() == "*":
        return Answer(304, headers, b"")
    return Answer(200, [JSON, *headers], body)
