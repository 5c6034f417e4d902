"""GET /status-lists and /status-lists/<id>: draft-ietf-oauth-status-list 8 and 9, from memory."""

import hashlib

import orjson

from app.endpoints.answers import Answer, PublicDocument, json_answer
from app.endpoints.public_documents import CurrentDocument
from app.endpoints.router import Handler
from app.services.deployment import Deployment
from app.services.publish_status_lists import SignedList
from app.services.status_lists import StatusListReader
from app.specs.strict_request import ProtocolRequest
from app.specs.token_status_list import MEDIA_TYPE

# A verifier that wants to know within seconds must not get an older copy from a cache on the way.
_CACHE_CONTROL = "public, max-age=1"


def status_list_endpoint(deployment: Deployment) -> Handler:
    """The handler of one list, by the last segment of its path."""
    reader = StatusListReader(deployment)

    def answer(request: ProtocolRequest) -> Answer:
        if request.parameters.get("time") is not None:
            # Section 8.4: whoever asks about the past must not be told about now.
            error = {"error": "not_implemented", "error_description": "lists of the past are not kept"}
            return json_answer(501, error)
        signed = reader.find(request.path.rpartition("/")[2])
        if signed is None:
            return json_answer(404, {"error": "not_found", "error_description": "there is no such status list"})
        return _document_of(signed).answer(request.headers.get("if-none-match", ""))

    return answer


def current_aggregation(deployment: Deployment) -> CurrentDocument:
    """Every list that may hold a living token (section 9.1), and the next one before it is used."""

    def make(uris: tuple[str, ...]) -> tuple[tuple[str, ...], PublicDocument]:
        body = orjson.dumps({"status_lists": uris})
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        return uris, PublicDocument.of(body, etag=etag, cache_control=_CACHE_CONTROL)

    made = make(deployment.status_lists.uris)

    def current() -> PublicDocument:
        nonlocal made
        deployment.notice_changes()
        uris, latest = deployment.status_lists.uris, made
        if uris is not latest[0]:
            latest = made = make(uris)
        return latest[1]

    return current


def _document_of(signed: SignedList) -> PublicDocument:
    return PublicDocument.of(signed.token, etag=signed.etag, cache_control=_CACHE_CONTROL, media_type=MEDIA_TYPE)
