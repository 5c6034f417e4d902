"""Other providers, as the operator manages them: each change is one transaction with its audit event."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.services.deployment import Deployment
from app.services.identity_providers import Provider, read_provider, seal_client_secret
from app.services.record_event import Event
from app.services.refusal import Refusal
from app.specs.identity_provider_document import IdentityProvider, parse_identity_provider
from app.specs.protocol_error import InvalidRequest
from app.storage import identity_providers
from app.storage.conflicts import AlreadyTaken
from app.storage.database import Connection
from app.storage.identity_providers import ProviderRow

_SECRET = re.compile(r"[\x21-\x7e]{1,2048}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredProvider:
    """A provider, as the operator sees it: never its secret."""

    document: Mapping[str, Any]
    callback_url: str
    backchannel_logout_uri: str | None
    disabled: bool

    def to_document(self) -> dict[str, Any]:
        """The document that was registered, with its defaults, and what has to be registered there."""
        shown = {**self.document, "disabled": self.disabled, "callback_url": self.callback_url}
        if self.backchannel_logout_uri is not None:
            shown["backchannel_logout_uri"] = self.backchannel_logout_uri
        return shown


def callback_url(issuer: str, name: str) -> str:
    """Where a provider sends people back: an address of its own, so that no other can answer in its place."""
    return f"{issuer}/login/callback/{name}"


def backchannel_logout_uri(issuer: str, name: str) -> str:
    """Where a provider says that somebody has logged out there."""
    return f"{issuer}/backchannel-logout/{name}"


def add_provider(deployment: Deployment, document: Mapping[str, Any]) -> RegisteredProvider:
    """A new provider. Raises `InvalidRequest` or `Refusal`. Asks the provider nothing: see `test_provider`."""
    members = dict(document)
    secret = members.pop("client_secret", None)
    provider = parse_identity_provider(members)
    _check_secret(provider, secret)

    def work(connection: Connection) -> RegisteredProvider:
        sealed, key_id = (None, None)
        if secret is not None:
            sealed, key_id = seal_client_secret(deployment.seals, secret, name=provider.name)
        _insert(connection, provider, sealed, key_id, now=deployment.clock())
        body = {"provider": provider.name, "issuer": provider.identity, "provisioning": provider.provisioning}
        deployment.recorder.record(connection, Event(type="provider.created", actor="operator", body=body))
        return _registered(deployment, provider, is_disabled=False)

    return deployment.database.transact(work)


def list_registered(deployment: Deployment) -> tuple[RegisteredProvider, ...]:
    """Every provider, the oldest first, disabled ones too."""
    with deployment.database.reading() as connection:
        rows = identity_providers.list_providers(connection)
    return tuple(_from_row(deployment, row) for row in rows)


def show_provider(deployment: Deployment, name: str) -> RegisteredProvider:
    """One provider. Raises `Refusal`."""
    with deployment.database.reading() as connection:
        return _from_row(deployment, _get(connection, name))


def get_provider(deployment: Deployment, name: str) -> Provider:
    """One provider, to be used. Raises `Refusal`."""
    with deployment.database.reading() as connection:
        return read_provider(deployment.seals, _get(connection, name))


def set_disabled(deployment: Deployment, name: str, *, is_disabled: bool) -> RegisteredProvider:
    """Let nobody in by a provider any more, or again. Sessions that began by it go on. Raises `Refusal`."""

    def work(connection: Connection) -> RegisteredProvider:
        row = _get(connection, name)
        disabled_at = (row.disabled_at or deployment.clock()) if is_disabled else None
        identity_providers.set_provider_disabled(connection, row.id, disabled_at)
        event_type = "provider.disabled" if is_disabled else "provider.enabled"
        deployment.recorder.record(connection, Event(type=event_type, actor="operator", body={"provider": name}))
        return _registered(deployment, IdentityProvider.model_validate(row.document), is_disabled=is_disabled)

    return deployment.database.transact(work)


def _check_secret(provider: IdentityProvider, secret: object) -> None:
    needs_one = provider.token_endpoint_auth_method.startswith("client_secret_")
    if needs_one and secret is None:
        raise InvalidRequest("client_secret: is required by token_endpoint_auth_method")
    if not needs_one and secret is not None:
        raise InvalidRequest("client_secret: token_endpoint_auth_method uses none")
    if secret is not None and (not isinstance(secret, str) or _SECRET.fullmatch(secret) is None):
        raise InvalidRequest("client_secret: must have 1 to 2048 visible ASCII characters")


def _insert(
    connection: Connection, provider: IdentityProvider, sealed: bytes | None, key_id: str | None, *, now: int
) -> None:
    try:
        provider_id = identity_providers.insert_provider(
            connection,
            name=provider.name,
            kind=provider.kind,
            issuer=provider.identity,
            document=provider.to_document(),
            sealed_client_secret=sealed,
            seal_key_id=key_id,
            created_at=now,
        )
    except AlreadyTaken:
        raise Refusal("provider_exists", f"there is or was a provider {provider.name!r} already") from None
    try:
        identity_providers.insert_domains(connection, provider_id, provider.email_domains)
    except AlreadyTaken:
        raise Refusal("domain_taken", "one of the email_domains belongs to another provider already") from None


def _get(connection: Connection, name: str) -> ProviderRow:
    row = identity_providers.find_provider(connection, name)
    if row is None:
        raise Refusal("unknown_provider", f"there is no provider {name!r}")
    return row


def _from_row(deployment: Deployment, row: ProviderRow) -> RegisteredProvider:
    document = IdentityProvider.model_validate(row.document)
    return _registered(deployment, document, is_disabled=row.disabled_at is not None)


def _registered(deployment: Deployment, provider: IdentityProvider, *, is_disabled: bool) -> RegisteredProvider:
    has_logout = provider.kind == "openid"
    return RegisteredProvider(
        document=provider.to_document(),
        callback_url=callback_url(deployment.issuer, provider.name),
        backchannel_logout_uri=backchannel_logout_uri(deployment.issuer, provider.name) if has_logout else None,
        disabled=is_disabled,
    )
