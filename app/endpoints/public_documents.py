"""GET /jwks and the metadata: public, served from memory, with ETag and max-age."""

import threading

from app.endpoints.answers import JSON, Answer
from app.endpoints.router import Handler
from app.services.deployment import Deployment
from app.services.publish_metadata import Document, publish_metadata
from app.specs.strict_request import ProtocolRequest


def jwks_endpoint(deployment: Deployment) -> Handler:
    """RFC 7517 5; the keys as of at most a second ago."""
    cache_control = f"public, max-age={deployment.settings.jwks_max_age_s}"

    def answer(request: ProtocolRequest) -> Answer:
        keys = deployment.keys
        return _serve(request, keys.jwks, keys.etag, cache_control)

    return answer


def metadata_endpoint(deployment: Deployment) -> Handler:
    """RFC 8414 3.2. The document is made anew when the registered resources change."""
    lock = threading.Lock()
    made: dict[int, Document] = {}

    def answer(request: ProtocolRequest) -> Answer:
        deployment.notice_changes()
        generation = deployment.registry.generation
        document = made.get(generation)
        if document is None:
            document = publish_metadata(deployment)
            with lock:
                made.clear()
                made[generation] = document
        return _serve(request, document.body, document.etag, "public, max-age=300")

    return answer


def _serve(request: ProtocolRequest, body: bytes, etag: str, cache_control: str) -> Answer:
    headers = [("Cache-Control", cache_control), ("ETag", etag), ("X-Content-Type-Options", "nosniff")]
    if etag in request.headers.get("if-none-match", ""):
        return Answer(304, headers, b"")
    return Answer(200, [JSON, *headers], body)
