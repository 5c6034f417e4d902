"""Initial access tokens (RFC 7591 3), as the operator manages them: so many clients, of this policy, until then."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from app.services.deployment import Deployment
from app.services.manage_clients import canonical_policy, check_profile
from app.services.mint_secret import mint_secret
from app.services.record_event import Event
from app.services.refusal import Refusal
from app.specs.metadata_values import is_display_text, validate_document
from app.specs.protocol_error import InvalidClientMetadata
from app.specs.rfc7591_metadata import ClientPolicy
from app.storage import registrations
from app.storage.database import Connection
from app.storage.registrations import InitialAccessTokenRow

MAX_USES: Final = 1_000_000
MAX_LIFETIME_S: Final = 400 * 86_400
MAX_LABEL_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialAccessToken:
    """A token, as the operator sees it."""

    row: InitialAccessTokenRow
    token: str | None = field(default=None, repr=False)
    """Only in the answer to the command that made it: nobody can read it back."""

    def to_document(self) -> dict[str, Any]:
        """For programs; times in seconds."""
        row = self.row
        document: dict[str, Any] = {"id": row.id, "label": row.label}
        if self.token is not None:
            document["initial_access_token"] = self.token
        return {
            **document,
            "policy": row.policy,
            "max_uses": row.max_uses,
            "uses": row.uses,
            "created_at": row.created_at // 1000,
            "expires_at": row.expires_at // 1000,
            "revoked": row.revoked_at is not None,
        }


def add_initial_access_token(
    deployment: Deployment, *, label: str, max_uses: int, expires_in_s: int, policy: Mapping[str, Any]
) -> InitialAccessToken:
    """A new token, shown this once. Raises `Refusal` or `InvalidClientMetadata`."""
    if not is_display_text(label) or len(label) > MAX_LABEL_CHARACTERS:
        raise Refusal("invalid_request", f"the label must be visible text of at most {MAX_LABEL_CHARACTERS} characters")
    if not 1 <= max_uses <= MAX_USES:
        raise Refusal("invalid_request", f"the uses must be 1 to {MAX_USES}")
    if not 1 <= expires_in_s <= MAX_LIFETIME_S:
        raise Refusal("invalid_request", f"the lifetime must be 1 to {MAX_LIFETIME_S} seconds")
    parsed = validate_document(ClientPolicy, policy, InvalidClientMetadata)
    check_profile(parsed.security_profile, server=deployment.profile)
    token = mint_secret("ia")

    def work(connection: Connection) -> InitialAccessTokenRow:
        now = deployment.clock()
        digest, digest_key_id = deployment.seals.digest("ia", token)
        # Only what was said: the rest is left to what is the default when a client comes.
        said = parsed.model_dump(mode="json", exclude_unset=True)
        kept = canonical_policy(connection, said)
        if parsed.security_profile is not None:
            kept["security_profile"] = parsed.security_profile
        row = registrations.insert_initial_access_token(
            connection,
            digest=digest,
            digest_key_id=digest_key_id,
            label=label,
            policy=kept,
            max_uses=max_uses,
            created_at=now,
            expires_at=now + expires_in_s * 1000,
        )
        _record(deployment, connection, "initial_access_token.created", row)
        return row

    return InitialAccessToken(row=deployment.database.transact(work), token=token)


def list_initial_access_tokens(deployment: Deployment) -> tuple[InitialAccessToken, ...]:
    """Every token, the oldest first."""
    with deployment.database.reading() as connection:
        return tuple(InitialAccessToken(row=row) for row in registrations.list_initial_access_tokens(connection))


def revoke_initial_access_token(deployment: Deployment, token_id: int) -> InitialAccessToken:
    """No further client may register with it; those that did stay. Raises `Refusal`."""

    def work(connection: Connection) -> InitialAccessTokenRow:
        row = registrations.revoke_initial_access_token(connection, token_id, now=deployment.clock())
        if row is None:
            raise Refusal("unknown_initial_access_token", f"there is no initial access token {token_id}")
        _record(deployment, connection, "initial_access_token.revoked", row)
        return row

    return InitialAccessToken(row=deployment.database.transact(work))


def _record(deployment: Deployment, connection: Connection, event_type: str, row: InitialAccessTokenRow) -> None:
    body = {"initial_access_token": row.id, "label": row.label, "max_uses": row.max_uses}
    deployment.recorder.record(connection, Event(type=event_type, actor="operator", body=body))
