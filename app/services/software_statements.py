"""Whose software statements count (RFC 7591 2.3): those of the issuers that the operator configured, by their keys."""

from collections.abc import Mapping
from typing import Any

from app.services.client_registry import Client
from app.services.deployment import Deployment
from app.specs.protocol_error import InvalidSoftwareStatement, UnapprovedSoftwareStatement
from app.specs.rfc7515_jose import InvalidJws
from app.specs.rfc7591_metadata import ClientMetadata
from app.specs.rfc7591_software_statement import (
    ALGORITHMS,
    MAX_STATEMENT_BYTES,
    read_statement_metadata,
    read_unverified_issuer,
)


def verify_software_statement(deployment: Deployment, statement: object) -> Mapping[str, Any]:
    """The client metadata that the statement attests.

    Raises `InvalidSoftwareStatement`, `UnapprovedSoftwareStatement`, or `TemporarilyUnavailable` where too many wait
    for keys. Fetches keys from where the operator said that they are, never from where a statement says.
    """
    if not isinstance(statement, str):
        raise InvalidSoftwareStatement("the software statement is not a signed JWT")
    issuer = read_unverified_issuer(statement)
    keys = find_issuer(deployment, issuer)
    if keys is None:
        raise UnapprovedSoftwareStatement(
            "the issuer of the software statement is not known here", detail=f"{issuer!r:.300}"
        )
    try:
        payload = deployment.client_keys.verify_jws(
            keys, statement, algorithms=ALGORITHMS, typ=None, max_bytes=MAX_STATEMENT_BYTES
        )
    except InvalidJws as cause:
        raise InvalidSoftwareStatement("the software statement does not verify", detail=str(cause)) from cause
    return read_statement_metadata(payload, issuer=issuer, audience=deployment.issuer, now_s=deployment.clock() // 1000)


def find_issuer(deployment: Deployment, issuer: str) -> Client | None:
    """An issuer that is trusted, as a holder of keys like any client, by a name that no client can have."""
    for trusted in deployment.settings.software_statement_issuers:
        if trusted.issuer == issuer:
            return Client(
                pk=0,
                client_id=f"software statements of {issuer}",
                metadata=ClientMetadata(jwks=trusted.jwks, jwks_uri=trusted.jwks_uri),
                policy_version=0,
                security_profile=deployment.profile,
                is_disabled=False,
                secrets=(),
            )
    return None
