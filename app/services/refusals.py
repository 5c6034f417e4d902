"""Every refusal gets an incident code and leaves a trace for the operator; the caller learns the code only."""

from typing import Any, Final

from app.services.deployment import Deployment
from app.services.incidents import new_incident
from app.services.mint_secret import without_secrets
from app.services.record_event import Event
from app.specs.protocol_error import ProtocolError

MOST_SHOWN: Final = 2000


def record_refusal(
    deployment: Deployment, error: ProtocolError, *, where: str, address: str, client_id: str | None = None
) -> str:
    """The incident code under which the refusal can be found in the audit trail and the log."""
    incident = new_incident()
    deployment.recorder.refuse(
        Event(
            type="request.refused",
            actor="anonymous",
            # PostgreSQL stores no NUL, and a row that cannot be written would hold up every later refusal.
            client_id=without_secrets(client_id)[:300].replace("\0", "\ufffd") if client_id is not None else None,
            incident=incident,
            body={
                "where": where,
                "error": error.error,
                "description": error.description,
                # A client that swaps its identifier and its secret must not find the secret in our trail.
                "detail": without_secrets(error.detail)[:2000],
                **_differences(error),
            },
            personal={"address": address},
        )
    )
    return incident


def _differences(error: ProtocolError) -> dict[str, Any]:
    """What `tokenhouse explain` points at; nothing where nothing was compared."""
    if not error.differences:
        return {}
    return {
        "differences": [
            {
                "what": difference.what,
                "expected": without_secrets(difference.expected)[:MOST_SHOWN],
                "received": without_secrets(difference.received)[:MOST_SHOWN],
            }
            for difference in error.differences
        ]
    }


def public_description(error: ProtocolError, incident: str) -> str:
    """The `error_description` on the wire: the public text and the incident code at its end."""
    return f"{error.description} [{incident}]" if error.description else f"[{incident}]"
