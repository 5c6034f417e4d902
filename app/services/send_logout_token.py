"""Back-Channel Logout 1.0: a logout token, signed at each delivery, posted to a client that took part in a session.

The address and the algorithm are those that the client has now, not those of the moment of the logout: a client that
moved is told at its new place. It goes out by the rules of `fetch_document`, as everything to URLs that others chose.
"""

from http import HTTPStatus
from typing import Final

import orjson

from app.services.client_registry import BrokenClient
from app.services.deployment import Deployment
from app.services.fetch_document import DocumentFetcher, FetchError
from app.services.identifiers import random_bytes
from app.services.issue_tokens import encode_jti
from app.services.outbox import Delivery, DeliveryFailed, Sender
from app.services.signing_keys import NoSigningKey
from app.services.subjects import get_client_subject
from app.specs.oidc_logout import LOGOUT_TOKEN_TYP, build_backchannel_body, build_logout_token_claims
from app.specs.rfc7515_jose import sign_jws

_FORM: Final = "application/x-www-form-urlencoded"
_MOST_ANSWER_BYTES: Final = 16_384
# Section 2.8: "If the logout succeeded, the RP MUST respond with HTTP 200 OK. However, note that some Web frameworks
# will substitute an HTTP 204 No Content response ... Therefore, OPs should be prepared to also process" it.
_SUCCESS: Final = frozenset({HTTPStatus.OK, HTTPStatus.NO_CONTENT})


def logout_token_sender(deployment: Deployment, fetcher: DocumentFetcher) -> Sender:
    """What delivers messages of the kind `backchannel_logout`."""

    def send(delivery: Delivery) -> None:
        try:
            client = deployment.registry.find_client(delivery.body["client_id"])
        except BrokenClient as error:
            raise DeliveryFailed("the client's registration cannot be read") from error
        if client is None or client.is_disabled or client.metadata.backchannel_logout_uri is None:
            # It does not want to hear any more, or nobody should speak to it: there is nothing left to do.
            return
        token = sign_logout_token(
            deployment,
            client_id=client.client_id,
            # As in the client's ID tokens of then, which may be one for its sector alone. Its sector of now may be one
            # that it moved to, to hear what others call the person.
            subject=delivery.body.get("sub") or get_client_subject(deployment, client, delivery.body["user"]),
            sid=delivery.body["sid"],
            alg=client.metadata.id_token_signed_response_alg,
        )
        try:
            answer = fetcher.post(
                client.metadata.backchannel_logout_uri,
                build_backchannel_body(token),
                content_type=_FORM,
                max_bytes=_MOST_ANSWER_BYTES,
            )
        except FetchError as error:
            raise DeliveryFailed(error.reason) from error
        if answer.status not in _SUCCESS:
            raise DeliveryFailed(f"answered {answer.status}")

    return send


def sign_logout_token(deployment: Deployment, *, client_id: str, subject: str, sid: str, alg: str) -> str:
    """Section 2.4, with the two minutes counted from now and a `jti` of its own: a client that refuses replays must not
    take the second attempt for one. Raises `DeliveryFailed`.
    """
    claims = build_logout_token_claims(
        issuer=deployment.issuer,
        client_id=client_id,
        subject=subject,
        sid=sid,
        jti=encode_jti(random_bytes(16)),
        issued_at_s=deployment.clock() // 1000,
    )
    try:
        key = deployment.get_signing_key(alg)
    except NoSigningKey as error:
        raise DeliveryFailed(str(error)) from error
    return sign_jws({"typ": LOGOUT_TOKEN_TYP}, orjson.dumps(claims), key, alg)
