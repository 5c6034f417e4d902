"""The doctor on clients and resources: what is damaged, and what is weaker than it need be."""

from collections.abc import Iterator, Sequence

from app.features import PROFILES
from app.services.client_registry import BrokenClient, Client, read_client
from app.services.findings import Finding, error, ok, warning
from app.services.sealed_secrets import READABLE_METHODS
from app.settings import Settings
from app.specs.protocol_error import ProtocolError
from app.specs.resource_metadata import parse_resource_metadata
from app.specs.rfc7591_metadata import SECRET_METHODS
from app.specs.rfc8252_redirects import redirect_kind
from app.storage.clients import ClientRow, SecretRow, list_client_secrets, list_clients
from app.storage.database import Connection
from app.storage.resources import ResourceRow, list_resources


def examine_clients(settings: Settings, connection: Connection, *, now: int) -> Iterator[Finding]:
    """A finding per weakness, or one that says that there is none."""
    clients, secrets = list_clients(connection), list_client_secrets(connection)
    resources = list_resources(connection)
    findings = [*_examine_resources(resources), *_examine_registration(settings)]
    known = {identifier for resource in resources for identifier in resource.identifiers}
    for row in clients:
        own = tuple(secret for secret in secrets if secret.client_pk == row.id)
        findings += _examine_client(settings, row, own, known, now=now)
    yield from findings
    if not findings:
        yield ok("clients", f"{len(clients)} clients and {len(resources)} resources, none of them weak")


def _examine_registration(settings: Settings) -> Iterator[Finding]:
    policy = settings.registration_policy
    if settings.registration == "open" and (policy is None or policy.resources is None):
        yield warning(
            "TOKENHOUSE_REGISTRATION",
            "anybody's application may ask people for any API: let TOKENHOUSE_REGISTRATION_POLICY name its resources",
        )


def _examine_resources(resources: Sequence[ResourceRow]) -> Iterator[Finding]:
    for row in resources:
        try:
            parse_resource_metadata(row.metadata)
        except ProtocolError as problem:
            yield error(f"resource {row.resource}", f"its stored metadata is damaged: {problem.description}")


def _examine_client(
    settings: Settings, row: ClientRow, secrets: Sequence[SecretRow], known_resources: set[str], *, now: int
) -> Iterator[Finding]:
    check = f"client {row.client_id}"
    live = [secret for secret in secrets if secret.expires_at is None or secret.expires_at > now]
    try:
        client = read_client(row, tuple(secrets))
    except BrokenClient:
        yield error(check, "its stored metadata is damaged: it cannot be used")
        return
    if client.security_profile not in PROFILES:
        yield error(check, f"its security profile {client.security_profile!r} is not known")
    method = client.metadata.token_endpoint_auth_method
    if method in SECRET_METHODS and not live:
        yield warning(check, "it has no secret that still counts: run `tokenhouse client rotate-secret`")
    if not client.is_confidential and live:
        yield error(check, "it is public, but has a secret: whoever has the application has the secret")
    if method in READABLE_METHODS and not settings.seals_client_secrets:
        yield warning(check, f"its {method} is ruled out by TOKENHOUSE_SEALED_CLIENT_SECRETS=off")
    if client.origin is None:
        # Of the others there may be thousands, and an operator can mend none of them.
        yield from _examine_redirects(settings, check, client)
    policy = client.metadata.policy
    exchanged = {entry.resource for entry in policy.token_exchange_audiences or ()}
    unknown = sorted({*(policy.resources or ()), *(policy.introspects or ()), *exchanged} - known_resources)
    if unknown:
        yield warning(check, f"its policy names resources that are not registered: {', '.join(unknown)}")
    if policy.introspects and not client.is_confidential:
        yield warning(check, "it is public, so that it cannot introspect anything")
    if policy.skip_consent and not client.is_confidential:
        yield warning(check, "nobody is asked for consent, and it is public: any application can pretend to be it")


def _examine_redirects(settings: Settings, check: str, client: Client) -> Iterator[Finding]:
    kinds = {redirect_kind(uri) for uri in client.metadata.redirect_uris}
    if settings.is_https and "loopback" in kinds and client.metadata.application_type == "web":
        yield warning(check, "a web application with a redirect URI over http to its user's own machine")
    if "custom" in kinds and client.is_confidential:
        yield warning(check, "a confidential client with a custom-scheme redirect URI: any application can claim one")
