"""The only maker of tokens. Grants approve, they do not issue: each ends in one `Issuance`.

Signing comes before the write lock, because nothing leaves before the commit and signing is the slow part. Redeeming,
storing and auditing are one transaction, which holds user, client, session and grant, in that order, while it writes.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from app.services.allocate_status import ClientHasEnded, TokenStatus
from app.services.bind_sender import SenderBinding, use_proof
from app.services.client_assertions import use_assertion
from app.services.deployment import Deployment
from app.services.encrypt_for_client import Envelope
from app.services.exchanged_grant import ExchangedGrant, write_exchanged_grant
from app.services.identifiers import random_bytes
from app.services.keep_status_lists import NoStatusList
from app.services.mint_secret import mint_secret
from app.services.record_event import Event
from app.services.rotate_refresh_token import RefreshStep, take_step
from app.services.signing_keys import NoSigningKey
from app.specs.oidc_core import at_hash, build_id_token_claims
from app.specs.protocol_error import InvalidGrant, TemporarilyUnavailable, UnauthorizedClient
from app.specs.rfc7515_jose import sign_jws
from app.specs.rfc9068_access_token import TYP, build_claims
from app.specs.rfc9396_authorization_details import CLAIM
from app.specs.token_status_list import status_claim
from app.specs.tokenhouse_networks import CLAIM as NETWORKS_CLAIM
from app.specs.tokenhouse_networks import Networks, format_networks
from app.storage.clients import lock_live_client
from app.storage.database import Connection
from app.storage.grants import insert_access_token, lock_live_grant, use_live_grant
from app.storage.single_use import redeem_once
from app.storage.token_states import insert_opaque_token


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What an issuance redeems: a row that can be spent once."""

    kind: str
    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class IdTokenIssuance:
    """The ID token beside an access token."""

    subject: str
    signing_alg: str
    lifetime_s: int
    nonce: str | None
    sid: str | None
    claims: Mapping[str, Any]
    envelope: Envelope | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuance:
    """One decision to issue, whole. Times are wire seconds; `scope` is that of the access token alone.

    `subject`: the person, or the machine, as our own records name them; `access_token_subject`: as the API is told.
    `grant_id` None: a machine's token, which hangs on no grant. `session_id`: the session that the grant dies with.
    `grant_narrowing`: what had been taken back of the grant when this was decided.
    `networks`: from where the access token may be used, None for anywhere. `sender`: who asks, and to whose key it is
    bound.
    `exchanged`: the grant itself is new, the child of the one behind the token that is exchanged.
    """

    grant_type: str
    client_id: str
    client_pk: int
    client_authentication: Mapping[str, Any]
    subject: str
    access_token_subject: str
    grant_id: str | None
    session_id: int | None
    audience: str
    scope: tuple[str, ...]
    response_scope: str
    access_token_format: Literal["jwt", "opaque"]
    signing_alg: str
    lifetime_s: int
    auth_time_s: int | None
    acr: str | None
    amr: tuple[str, ...]
    id_token: IdTokenIssuance | None
    networks: Networks | None
    sender: SenderBinding
    spends: Spend | None
    refresh: RefreshStep | None = None
    authorization_details: tuple[Mapping[str, Any], ...] = ()
    exchanged: ExchangedGrant | None = None
    grant_narrowing: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedTokens:
    """What goes to the client, once."""

    access_token: str
    token_type: Literal["Bearer", "DPoP"]
    expires_in_s: int
    scope: str
    id_token: str | None
    refresh_token: str | None
    authorization_details: tuple[Mapping[str, Any], ...] = ()

    def __repr__(self) -> str:
        return f"IssuedTokens(scope={self.scope!r})"


class AlreadySpent(Exception):
    """What the issuance redeems was used, or ran out, before this transaction could have it."""


def issue_tokens(deployment: Deployment, issuance: Issuance, *, now: int) -> IssuedTokens:
    """Sign, and then redeem, store and audit in one transaction.

    Raises `AlreadySpent`, `StepOvertaken`, `AssertionReplayed` and `InvalidDpopProof` for what came before,
    `InvalidGrant` when grant, session, user or client have ended, `UnauthorizedClient` for a machine that has, and
    `TemporarilyUnavailable` when we have no key or no place on a status list: never a token that cannot be revoked.
    Does not judge whether the client may have the tokens.
    """
    jti = random_bytes(16)
    expires_at_s = now // 1000 + issuance.lifetime_s
    is_opaque = issuance.access_token_format == "opaque"  # noqa: S105 - a format's name
    # What is looked up at every use needs no place on a list.
    status = None if is_opaque else _allocate_status(deployment, issuance)
    claims = _build_access_token_claims(
        deployment, issuance, jti, status, issued_at_s=now // 1000, expires_at_s=expires_at_s
    )
    try:
        access_token = mint_secret("at") if is_opaque else _sign_access_token(deployment, issuance, claims)
        id_token = _sign_id_token(deployment, issuance, access_token, issued_at_s=now // 1000)
    except NoSigningKey as error:
        come_back = {"Retry-After": "2"}
        raise TemporarilyUnavailable("no signing key is available", detail=str(error), headers=come_back) from error

    event = _describe(issuance, expires_at_s=expires_at_s)

    def write(connection: Connection) -> str | None:
        deployment.failpoint("issue.before_redeem")
        if issuance.sender.assertion is not None:
            # Before anything is redeemed: the replay of a request must not look like the replay of its code.
            use_assertion(connection, issuance.sender.assertion)
        spends, grant_id = issuance.spends, issuance.grant_id
        if spends is not None and not redeem_once(connection, spends.kind, spends.key, now=now):
            raise AlreadySpent
        if issuance.sender.proof is not None:
            use_proof(connection, issuance.sender.proof, now=now)
        if issuance.exchanged is not None:
            write_exchanged_grant(connection, deployment.recorder, issuance.exchanged, now=now)
        if grant_id is not None:
            _hold_grant(deployment, connection, issuance, grant_id, now=now)
            if status is not None:
                insert_access_token(
                    connection,
                    jti=jti,
                    grant_id=grant_id,
                    expires_at=expires_at_s * 1000,
                    status_list_pk=status.status_list_pk,
                    status_index=status.index,
                )
        if is_opaque:
            _store_opaque_token(deployment, connection, issuance, access_token, jti, claims)
        refresh_token = None
        if issuance.refresh is not None:
            refresh_token = take_step(deployment, connection, issuance.refresh)
        deployment.recorder.record(connection, event)
        deployment.failpoint("issue.before_commit")
        return refresh_token

    refresh_token = None
    sender = issuance.sender
    uses_up = issuance.grant_id is not None or sender.proof is not None or sender.assertion is not None
    writes_event_only = not uses_up and not is_opaque
    if writes_event_only and deployment.settings.batches_machine_audit:
        deployment.recorder.record_in_batches(event)
    else:
        refresh_token = deployment.database.transact(write)
    deployment.failpoint("issue.after_commit")
    return IssuedTokens(
        access_token=access_token,
        token_type="Bearer" if issuance.sender.proof is None else "DPoP",
        expires_in_s=issuance.lifetime_s,
        scope=issuance.response_scope,
        id_token=id_token,
        refresh_token=refresh_token,
        authorization_details=issuance.authorization_details,
    )


def _hold_grant(deployment: Deployment, connection: Connection, issuance: Issuance, grant_id: str, *, now: int) -> None:
    """Hold the grant while its token is written, and write down that it was used; a new one was not used before."""
    if issuance.exchanged is not None:
        held = lock_live_grant(connection, grant_id, session_id=issuance.session_id, now=now)
    else:
        use = {"address": issuance.sender.address}
        sealed = deployment.recorder.seal_for_person(connection, issuance.subject, use, table="grants", row=grant_id)
        held = use_live_grant(connection, grant_id, session_id=issuance.session_id, now=now, sealed_use=sealed)
    if held is None:
        raise InvalidGrant("the grant has ended", detail="grant, session, user or client is no longer alive")
    if held.narrowing != issuance.grant_narrowing:
        # What was decided may be more than what is left. Nothing is spent: the same request gets what is left.
        raise TemporarilyUnavailable("the grant has just been changed", headers={"Retry-After": "1"})


def _describe(issuance: Issuance, *, expires_at_s: int) -> Event:
    return Event(
        type="token.issued",
        actor="client",
        sub=issuance.subject,
        client_id=issuance.client_id,
        grant_id=issuance.grant_id,
        body={
            "grant_type": issuance.grant_type,
            "client_authentication": issuance.client_authentication,
            "aud": issuance.audience,
            "scope": " ".join(issuance.scope),
            "expires_at": expires_at_s,
            "id_token": issuance.id_token is not None,
            **({} if issuance.sender.jkt is None else {"jkt": issuance.sender.jkt}),
        },
    )


def _allocate_status(deployment: Deployment, issuance: Issuance) -> TokenStatus:
    try:
        # A machine's token has no row of its own to tell where its bit is, so it shares its client's blocks.
        client_pk = issuance.client_pk if issuance.grant_id is None else None
        return deployment.status_allocator.allocate(client_pk=client_pk)
    except ClientHasEnded:
        raise UnauthorizedClient("the client is disabled") from None
    except NoStatusList as error:
        come_back = {"Retry-After": "2"}
        raise TemporarilyUnavailable("no status list has room", detail=str(error), headers=come_back) from error


def _build_access_token_claims(
    deployment: Deployment,
    issuance: Issuance,
    jti: bytes,
    status: TokenStatus | None,
    *,
    issued_at_s: int,
    expires_at_s: int,
) -> dict[str, Any]:
    place = {} if status is None else {"status": status_claim(status.uri, status.index)}
    return build_claims(
        issuer=deployment.issuer,
        subject=issuance.access_token_subject,
        audience=issuance.audience,
        client_id=issuance.client_id,
        scope=" ".join(issuance.scope),
        issued_at_s=issued_at_s,
        expires_at_s=expires_at_s,
        jti=encode_jti(jti),
        auth_time_s=issuance.auth_time_s,
        acr=issuance.acr,
        amr=issuance.amr,
        extra={**_further_claims(issuance), **_details_claim(issuance), **place},
    )


def _sign_access_token(deployment: Deployment, issuance: Issuance, claims: Mapping[str, Any]) -> str:
    key = deployment.get_signing_key(issuance.signing_alg)
    return sign_jws({"typ": TYP}, orjson.dumps(claims), key, issuance.signing_alg)


def _further_claims(issuance: Issuance) -> dict[str, Any]:
    claims: dict[str, Any] = {}
    if issuance.sender.confirmation is not None:
        claims["cnf"] = issuance.sender.confirmation
    if issuance.networks is not None:
        claims[NETWORKS_CLAIM] = format_networks(issuance.networks)
    if issuance.exchanged is not None:
        claims["act"] = issuance.exchanged.act
    return claims


def _store_opaque_token(
    deployment: Deployment,
    connection: Connection,
    issuance: Issuance,
    access_token: str,
    jti: bytes,
    claims: Mapping[str, Any],
) -> None:
    # A grant was locked with its client; a machine's token has none, and must not come to be while its client ends.
    if issuance.grant_id is None and not lock_live_client(connection, issuance.client_pk):
        raise UnauthorizedClient("the client may not do this at present", detail="the client is disabled or removed")
    digest, digest_key_id = deployment.seals.digest("at", access_token)
    insert_opaque_token(
        connection,
        digest=digest,
        digest_key_id=digest_key_id,
        jti=jti,
        grant_id=issuance.grant_id,
        client_pk=issuance.client_pk,
        claims=orjson.dumps(claims).decode(),
        expires_at=claims["exp"] * 1000,
    )


def _details_claim(issuance: Issuance) -> dict[str, Any]:
    """RFC 9396 9.1; a token without details has no such claim."""
    return {CLAIM: list(issuance.authorization_details)} if issuance.authorization_details else {}


def _sign_id_token(deployment: Deployment, issuance: Issuance, access_token: str, *, issued_at_s: int) -> str | None:
    wanted = issuance.id_token
    if wanted is None:
        return None
    claims = build_id_token_claims(
        issuer=deployment.issuer,
        subject=wanted.subject,
        client_id=issuance.client_id,
        issued_at_s=issued_at_s,
        lifetime_s=wanted.lifetime_s,
        auth_time_s=issuance.auth_time_s,
        nonce=wanted.nonce,
        acr=issuance.acr,
        amr=issuance.amr,
        sid=wanted.sid,
        at_hash=at_hash(access_token, wanted.signing_alg),
    )
    # The person's own claims never replace one of the protocol's.
    claims = {**wanted.claims, **claims}
    key = deployment.get_signing_key(wanted.signing_alg)
    signed = sign_jws({"typ": "JWT"}, orjson.dumps(claims), key, wanted.signing_alg)
    # OpenID Connect Core 2: "it MUST be signed then encrypted, with the result being a Nested JWT".
    return signed if wanted.envelope is None else wanted.envelope.seal(signed.encode("ascii"), is_jwt=True)


def encode_jti(jti: bytes) -> str:
    """The wire form of a token's identifier."""
    return base64.urlsafe_b64encode(jti).rstrip(b"=").decode()


def decode_jti(jti: str) -> bytes | None:
    """The stored form; None for anything that we did not make."""
    if len(jti) != 22:
        return None
    try:
        return base64.b64decode(jti + "==", altchars=b"-_", validate=True)
    except ValueError:
        return None
