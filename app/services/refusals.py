"""Every refusal gets an incident code and leaves a trace for the operator; the caller learns the code only."""

from typing import Any, Final

from app.services.client_registry import BrokenClient
from app.services.deployment import Deployment
from app.services.incidents import new_incident
from app.services.mint_secret import without_secrets
from app.services.record_event import Event
from app.specs.protocol_error import ProtocolError
from app.specs.rfc7591_metadata import MIN_CHOSEN_SECRET_CHARACTERS
from app.storage.database import DatabaseUnavailable

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
            client_id=_name(deployment, client_id)[:300].replace("\0", "\ufffd") if client_id is not None else None,
            incident=incident,
            body={
                "where": without_secrets(where),
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


def name_unknown_client(client_id: str) -> str:
    """How a client_id that nobody has is written down: whole where it is one, and not where it may be a secret.

    A client that swaps its two credentials, one that an operator chose among them, sends its secret as its name.
    """
    if len(client_id) < MIN_CHOSEN_SECRET_CHARACTERS or client_id.startswith("https://"):
        return without_secrets(client_id)
    return f"{client_id[:6]}... ({len(client_id)} characters)"


def _name(deployment: Deployment, client_id: str) -> str:
    if len(client_id) < MIN_CHOSEN_SECRET_CHARACTERS:
        return without_secrets(client_id)
    try:
        is_known = deployment.registry.find_client(client_id) is not None
    except (BrokenClient, DatabaseUnavailable):
        is_known = False
    return client_id if is_known else name_unknown_client(client_id)


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
