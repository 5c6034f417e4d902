"""The authorization code exchange (RFC 6749 4.1.3): every condition, in the order that keeps codes safe.

Whose code it is and where it was sent are checked first and spend nothing: another client's try must not burn it. A
wrong `code_verifier` does spend it, so that there is one guess and no second. A code that comes back ends everything
that it gave.
"""

import hmac
from dataclasses import dataclass, replace
from typing import Final

from app.features import effective_profile
from app.services.authenticate_client import AuthenticatedClient
from app.services.bind_sender import SenderBinding
from app.services.client_registry import Client
from app.services.decide_tokens import (
    Basis,
    TokenWish,
    check_grant_type_is_registered,
    choose_audience,
    decide_tokens,
)
from app.services.deployment import Deployment
from app.services.grant_snapshot import GrantSnapshot
from app.services.issue_tokens import AlreadySpent, IssuedTokens, Spend, issue_tokens
from app.services.mint_secret import is_well_formed
from app.services.narrow_details import narrow_details
from app.services.record_event import Event
from app.services.rotate_refresh_token import BeginFamily, begin_family
from app.specs.protocol_error import Difference, InvalidDpopProof, InvalidGrant
from app.specs.rfc7636_pkce import check_code_verifier, check_no_code_verifier
from app.specs.rfc9396_authorization_details import Details
from app.storage.database import Connection
from app.storage.grants import CodeRow, find_code
from app.storage.revocation import revoke_grant
from app.storage.single_use import redeem_once

GRANT_TYPE: Final = "authorization_code"
# Nodes whose clocks differ by this much still redeem each other's codes.
NODES_MAY_DIFFER_BY_MS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeExchange:
    """A token request with `grant_type=authorization_code`; the client has been authenticated."""

    authenticated: AuthenticatedClient
    binding: SenderBinding
    code: str
    redirect_uri: str | None
    code_verifier: str | None
    resources: tuple[str, ...]
    access_token_lifetime_s: int | None
    authorization_details: Details = ()

    @property
    def client(self) -> Client:
        """Whose request it is."""
        return self.authenticated.client

    def __repr__(self) -> str:
        return f"CodeExchange(client_id={self.client.client_id!r})"


def exchange_code(deployment: Deployment, exchange: CodeExchange) -> IssuedTokens:
    """The tokens of a code.

    Raises `InvalidGrant`, `InvalidDpopProof`, `InvalidTarget`, `InvalidAuthorizationDetails`, `UnauthorizedClient` or
    `TemporarilyUnavailable`.
    """
    now = deployment.clock()
    check_grant_type_is_registered(exchange.client, GRANT_TYPE)
    row = find_own_code(deployment, exchange)
    check_redirect_uri(exchange, row)
    check_is_unused(deployment, exchange, row, now=now)
    check_key(exchange, row)
    basis = find_basis(row)
    audience = choose_audience(deployment, basis.snapshot, exchange.resources)
    narrow_details(deployment, basis.snapshot, exchange.authorization_details, audience)
    check_verifier(deployment, exchange, row, now=now)
    wish = TokenWish(
        grant_type=GRANT_TYPE,
        resources=exchange.resources,
        access_token_lifetime_s=exchange.access_token_lifetime_s,
        authorization_details=exchange.authorization_details,
        nonce=row.request["nonce"],
    )
    spends = Spend(kind="authorization_codes", key=row.digest)
    issuance = decide_tokens(
        deployment, exchange.authenticated, basis, wish, sender=exchange.binding, spends=spends, now=now
    )
    issuance = replace(issuance, refresh=begin_family_if_granted(deployment, exchange, basis, now=now))
    try:
        return issue_tokens(deployment, issuance, now=now)
    except AlreadySpent:
        raise _end_replayed(deployment, exchange, row, now=now) from None


def find_own_code(deployment: Deployment, exchange: CodeExchange) -> CodeRow:
    """The code, if it was issued to this client; another client's looks like one that never existed."""
    if not is_well_formed("ac", exchange.code):
        raise InvalidGrant("the code is not valid", detail="not a code of ours")
    with deployment.database.reading() as connection:
        row = find_code(connection, deployment.seals.digests("ac", exchange.code))
    if row is None:
        raise InvalidGrant("the code is not valid", detail="unknown code")
    if row.client_pk != exchange.client.pk:
        raise InvalidGrant("the code is not valid", detail="the code was issued to another client")
    return row


def check_redirect_uri(exchange: CodeExchange, row: CodeRow) -> None:
    """RFC 6749 4.1.3: required and identical, if the authorization request had one; and registered still."""
    expected = row.request["redirect_uri"]
    registered = exchange.client.metadata.redirect_uris
    if expected is None and exchange.redirect_uri in (None, *registered):
        return
    if expected is not None and exchange.redirect_uri == expected:
        if exchange.client.owns_redirect_uri(expected):
            return
        raise InvalidGrant("the code is not valid", detail="its redirect_uri was deregistered meanwhile")
    difference = Difference(
        what="redirect_uri",
        expected=expected if expected is not None else "\n".join(registered),
        received=exchange.redirect_uri or "",
    )
    raise InvalidGrant("redirect_uri does not match the authorization request", differences=[difference])


def check_is_unused(deployment: Deployment, exchange: CodeExchange, row: CodeRow, *, now: int) -> None:
    """A used code ends the tokens that it gave. One that is not of this time is ended too, not only refused:

    otherwise a clock that is set back would bring it to life again, or let it live until that clock has caught up.
    """
    if row.used_at is not None:
        raise _end_replayed(deployment, exchange, row, now=now)
    if row.expires_at <= now:
        _end_grant(deployment, exchange, row, event_type="code.expired", now=now)
        ended = Difference(what="exp", expected=str(now // 1000), received=str(row.expires_at // 1000))
        raise InvalidGrant("the code is not valid", detail="the code has expired", differences=[ended])
    if row.created_at > now + NODES_MAY_DIFFER_BY_MS:
        _end_grant(deployment, exchange, row, event_type="code.expired", now=now)
        raise InvalidGrant("the code is not valid", detail="the code is from the future: some clock is wrong")
    if row.grant_revoked_at is not None or row.grant_expires_at <= now:
        raise InvalidGrant("the grant has ended", detail="the grant was revoked or has expired")


def check_key(exchange: CodeExchange, row: CodeRow) -> None:
    """RFC 9449 10: a code that was asked for with `dpop_jkt` is for that key alone. Spends nothing."""
    expected = row.request.get("dpop_jkt")
    if expected is None:
        return
    if exchange.binding.jkt is None:
        raise InvalidDpopProof("the code is bound to a key; a DPoP proof is needed")
    if not hmac.compare_digest(exchange.binding.jkt, expected):
        difference = Difference(what="dpop_jkt", expected=expected, received=exchange.binding.jkt)
        raise InvalidGrant("the code is bound to another key than the DPoP proof's", differences=[difference])


def check_verifier(deployment: Deployment, exchange: CodeExchange, row: CodeRow, *, now: int) -> None:
    """RFC 7636 4.6. Spends the code when it fails, also where a verifier comes for a code without a challenge."""
    code_challenge = row.request["code_challenge"]
    rules = effective_profile(server=deployment.profile, client=exchange.client.security_profile)
    try:
        if code_challenge is not None:
            check_code_verifier(exchange.code_verifier, code_challenge)
            return
        check_no_code_verifier(exchange.code_verifier)
        if not (rules.pkce_optional_for_confidential_clients and exchange.client.is_confidential):
            raise InvalidGrant("the code was issued without code_challenge")
    except InvalidGrant:
        _spend(deployment, exchange, row, now=now)
        raise


def find_basis(row: CodeRow) -> Basis:
    """The grant that the code was issued on."""
    return Basis(
        grant_id=row.grant_id,
        session_id=row.session_id,
        subject=row.sub,
        user_claims=row.user_claims,
        snapshot=GrantSnapshot.from_document(row.snapshot),
        expires_at=row.grant_expires_at,
        narrowing=row.grant_narrowing,
    )


def begin_family_if_granted(
    deployment: Deployment, exchange: CodeExchange, basis: Basis, *, now: int
) -> BeginFamily | None:
    """The first refresh token, where the grant was made to have one and the client is still registered for them.

    RFC 9449 5: a public client's is bound to the key that it proved; others prove who they are by themselves.
    """
    client = exchange.client
    if basis.snapshot.refresh_tokens is None or "refresh_token" not in client.metadata.grant_types:
        return None
    jkt = None if client.is_confidential else exchange.binding.jkt
    return begin_family(deployment, grant_id=basis.grant_id, grant_expires_at=basis.expires_at, jkt=jkt, now=now)


def _spend(deployment: Deployment, exchange: CodeExchange, row: CodeRow, *, now: int) -> None:
    def write(connection: Connection) -> None:
        redeem_once(connection, "authorization_codes", row.digest, now=now)
        revoke_grant(connection, row.grant_id, now=now)
        event = Event(
            type="code.spent_by_failure",
            actor="client",
            sub=row.sub,
            client_id=exchange.client.client_id,
            grant_id=row.grant_id,
        )
        deployment.recorder.record(connection, event)

    deployment.database.transact(write)


def _end_replayed(deployment: Deployment, exchange: CodeExchange, row: CodeRow, *, now: int) -> InvalidGrant:
    """Commit the end of the grant, and return the refusal for the caller to raise.

    RFC 6749 4.1.2: "If an authorization code is used more than once, the authorization server MUST deny the request
    and SHOULD revoke (when possible) all tokens previously issued based on that authorization code."
    """

    _end_grant(deployment, exchange, row, event_type="code.replayed", now=now)
    return InvalidGrant("the code is not valid", detail="the code has been used before; its grant has been ended")


def _end_grant(deployment: Deployment, exchange: CodeExchange, row: CodeRow, *, event_type: str, now: int) -> None:
    def write(connection: Connection) -> None:
        if revoke_grant(connection, row.grant_id, now=now):
            event = Event(
                type=event_type,
                actor="client",
                sub=row.sub,
                client_id=exchange.client.client_id,
                grant_id=row.grant_id,
            )
            deployment.recorder.record(connection, event)

    deployment.database.transact(write)
