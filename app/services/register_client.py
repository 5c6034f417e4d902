"""Dynamic client registration (RFC 7591, OpenID Connect Registration 1.0): a client that comes by itself.

What it says about itself becomes its metadata; what an operator decides about clients comes from the initial access
token that it holds, or from the setting for those that hold none, and from nowhere else. Nobody stands behind such a
client, so it gets tokens that no person agreed to only where an operator named the APIs for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from app.features import PROFILES, Profile
from app.services.deployment import Deployment
from app.services.manage_clients import NewClient, choose_secret, new_client_id, store_client
from app.services.mint_secret import mint_secret
from app.services.record_event import Event
from app.services.sector_identifier import check_sector_identifier
from app.services.software_statements import verify_software_statement
from app.services.whereabouts import network_of
from app.specs.protocol_error import InvalidClientMetadata, InvalidToken, TooManyRequests
from app.specs.rfc7591_metadata import OPERATOR_ONLY_MEMBERS, ClientMetadata, parse_client_metadata
from app.specs.rfc8414_metadata import endpoint_url
from app.storage.clients import ClientRow
from app.storage.database import Connection
from app.storage.registrations import (
    ORIGIN,
    InitialAccessTokenRow,
    count_registered_clients,
    find_initial_access_token,
    insert_registration_token,
    use_initial_access_token,
)
from app.storage.throttle import count_attempt

MAX_TOKEN_CHARACTERS: Final = 512
_KEY_MEMBERS: Final = frozenset({"jwks", "jwks_uri"})
_DAY_MS: Final = 86_400_000
_STRICTEST: Final[Profile] = max(PROFILES, key=lambda name: PROFILES[name].strictness)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationRequest:
    """What a client says about itself, the initial access token that it holds, and where it comes from."""

    document: Mapping[str, Any]
    initial_access_token: str | None = field(repr=False)
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A client's registration, as the client is told it (RFC 7591 3.2.1, RFC 7592 3)."""

    client_id: str
    issued_at: int
    metadata: Mapping[str, Any]
    registration_client_uri: str
    registration_access_token: str = field(repr=False)
    client_secret: str | None = field(default=None, repr=False)
    """Only where it was made just now: nobody can read it back."""

    def to_document(self) -> dict[str, Any]:
        """All that is registered, the server's own choices too."""
        document: dict[str, Any] = {"client_id": self.client_id, "client_id_issued_at": self.issued_at // 1000}
        if self.client_secret is not None:
            # RFC 7591 3.2.1: "REQUIRED if "client_secret" is issued. [...] or 0 if it will not expire."
            document |= {"client_secret": self.client_secret, "client_secret_expires_at": 0}
        management = {
            "registration_client_uri": self.registration_client_uri,
            "registration_access_token": self.registration_access_token,
        }
        return {**document, **self.metadata, **management}


def register_client(deployment: Deployment, request: RegistrationRequest) -> Registration:
    """A new client. Raises `InvalidToken`, `InvalidClientMetadata`, `InvalidRedirectUri` or `TooManyRequests`."""
    voucher = find_voucher(deployment, request.initial_access_token)
    with deployment.database.reading() as connection:
        # Before anything is fetched or written for who would be refused anyway.
        check_capacity(deployment, connection, has_voucher=voucher is not None, room_for=1)
    policy = choose_policy(deployment, voucher)
    statement = request.document.get("software_statement")
    attested = {} if statement is None else verify_software_statement(deployment, statement)
    metadata = parse_own_metadata(request.document, attested=attested, policy=policy)
    check_sector_identifier(deployment.fetcher, metadata)
    secret, token = choose_secret(metadata), mint_secret("rg")
    new = NewClient(
        client_id=new_client_id(),
        metadata=metadata,
        security_profile=choose_profile(metadata, server=deployment.profile),
        client_secret=secret,
        origin=ORIGIN,
        initial_access_token_id=None if voucher is None else voucher.id,
        software_statement=statement,
    )

    def work(connection: Connection) -> ClientRow:
        now = deployment.clock()
        row = store_client(deployment, connection, new, now=now)
        check_quotas(deployment, connection, address=request.address, has_voucher=voucher is not None, now=now)
        if voucher is not None and not use_initial_access_token(connection, voucher.id, now=now):
            raise InvalidToken(
                "the initial access token is not valid", detail=f"{voucher.label!r} was used up meanwhile"
            )
        digest, digest_key_id = deployment.seals.digest("rg", token)
        insert_registration_token(connection, row.id, digest=digest, digest_key_id=digest_key_id, created_at=now)
        _record(deployment, connection, new, voucher, address=request.address)
        return row

    row = deployment.database.transact(work)
    return describe_registration(deployment, row, registration_access_token=token, client_secret=secret)


def find_voucher(deployment: Deployment, initial_access_token: str | None) -> InitialAccessTokenRow | None:
    """The usable initial access token, or None where none is needed. Raises `InvalidToken`.

    One that is presented must be good even where none is needed: who sends it counts on its policy.
    """
    if initial_access_token is None:
        if deployment.settings.registration == "open":
            return None
        raise InvalidToken("an initial access token is needed")
    row = None
    if len(initial_access_token) <= MAX_TOKEN_CHARACTERS:
        digests = deployment.seals.digests("ia", initial_access_token)
        with deployment.database.reading() as connection:
            row = find_initial_access_token(connection, digests)
    if row is None or not row.is_usable(deployment.clock()):
        detail = "no such token" if row is None else f"{row.label!r} is used up, expired or revoked"
        raise InvalidToken("the initial access token is not valid", detail=detail)
    return row


def choose_policy(deployment: Deployment, voucher: InitialAccessTokenRow | None) -> Mapping[str, Any]:
    """What the operator decided about clients that come this way."""
    if voucher is not None:
        return voucher.policy
    policy = deployment.settings.registration_policy
    return {} if policy is None else policy.model_dump(mode="json", exclude_none=True)


def parse_own_metadata(
    document: Mapping[str, Any], *, attested: Mapping[str, Any], policy: Mapping[str, Any]
) -> ClientMetadata:
    """The metadata of a client that describes itself, checked as a whole together with the operator's `policy`.

    `attested` is what a software statement says of it. Members that only an operator sets are not looked at (RFC 7591
    2: what is not understood MUST be ignored).
    """
    merged = prefer_attested(document, attested)
    own = {name: value for name, value in merged.items() if name not in OPERATOR_ONLY_MEMBERS}
    metadata = parse_client_metadata({**own, "policy": dict(policy)})
    if "client_credentials" in metadata.grant_types and metadata.policy.resources is None:
        # Nobody agrees to what a machine gets, so that an operator must have said which APIs that may be.
        raise InvalidClientMetadata("grant_types: client_credentials is not for clients that register themselves here")
    return metadata


def prefer_attested(document: Mapping[str, Any], attested: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7591 3.1.1: values of a software statement "MUST take precedence over those conveyed using plain JSON".

    So must an attested name over the same in another language, and attested keys over others elsewhere.
    """
    said_better = {*attested, *(() if _KEY_MEMBERS.isdisjoint(attested) else _KEY_MEMBERS)}
    rest = {name: value for name, value in document.items() if name.partition("#")[0] not in said_better}
    return {**rest, **attested}


def choose_profile(metadata: ClientMetadata, *, server: Profile) -> Profile:
    """The security profile that a client begins with: what the operator said, and no laxer than the server's.

    Confidential clients of a server under `openid` begin lax, because OpenID Connect's own clients send no
    code_challenge; everybody else begins strict.
    """
    wanted = metadata.policy.security_profile
    if wanted is None:
        is_lax = server == "openid" and metadata.token_endpoint_auth_method != "none"  # noqa: S105 - a method's name
        wanted = "openid" if is_lax else _STRICTEST
    return max(wanted, server, key=lambda name: PROFILES[name].strictness)


def check_quotas(deployment: Deployment, connection: Connection, *, address: str, has_voucher: bool, now: int) -> None:
    """Raises `TooManyRequests` where a new client is one too many. The new one is stored already, and counted."""
    settings = deployment.settings
    key = deployment.seals.digest("throttle-registration", network_of(address))[0]
    count = count_attempt(connection, key, now=now, window_ms=_DAY_MS)
    if count.attempts > settings.registration_max_clients_per_address_per_day:
        retry_after_s = max(1, (count.window_ends_at - now + 999) // 1000)
        raise TooManyRequests("too many clients were registered", headers={"Retry-After": str(retry_after_s)})
    check_capacity(deployment, connection, has_voucher=has_voucher, room_for=0)


def check_capacity(deployment: Deployment, connection: Connection, *, has_voucher: bool, room_for: int) -> None:
    """Raises `TooManyRequests` where there would be more clients that registered themselves than there may be.

    Those with an initial access token are counted apart: strangers must not be able to take their places.
    """
    if (
        count_registered_clients(connection, with_token=has_voucher) + room_for
        > deployment.settings.registration_max_clients
    ):
        raise TooManyRequests("there are too many registered clients", headers={"Retry-After": "3600"})


def describe_registration(
    deployment: Deployment, row: ClientRow, *, registration_access_token: str, client_secret: str | None = None
) -> Registration:
    """What the client is told. Its `scope` is absent where it may ask for whatever there is."""
    return Registration(
        client_id=row.client_id,
        issued_at=row.created_at,
        metadata=row.metadata,
        registration_client_uri=endpoint_url(deployment.issuer, f"/register/{row.client_id}"),
        registration_access_token=registration_access_token,
        client_secret=client_secret,
    )


def _record(
    deployment: Deployment,
    connection: Connection,
    new: NewClient,
    voucher: InitialAccessTokenRow | None,
    *,
    address: str,
) -> None:
    body = {
        "method": new.metadata.token_endpoint_auth_method,
        "security_profile": new.security_profile,
        "initial_access_token": None if voucher is None else voucher.id,
    }
    event = Event(
        type="client.registered", actor="client", client_id=new.client_id, body=body, personal={"address": address}
    )
    deployment.recorder.record(connection, event)
