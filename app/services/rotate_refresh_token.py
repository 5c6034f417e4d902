"""Families of refresh tokens: how one begins, how a token is replaced, and how a lost answer is repeated.

Every step is one value, built whole before the database is written (minting and sealing need no lock), and carried out
by `take_step` inside the transaction of `issue_tokens`. The successor lies sealed beside the token that it replaced,
under a key that only this server together with that token can make: a client whose answer was lost on the way presents
the old token again and gets the same successor. That is the same client with the same key, from a network that the
grant is limited to, if it is; an address of its own is no condition, because phones change theirs in just such moments.
The copy is erased when it has served. Otherwise a copy of the database together with one old token would open link
after link, up to the living one.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Final

import orjson

from app.services.deployment import Deployment
from app.services.mint_secret import mint_secret
from app.services.record_event import Event
from app.services.seals import Bearer, SealError
from app.specs.protocol_error import InvalidAuthorizationDetails, InvalidGrant, InvalidScope, InvalidTarget
from app.storage.database import Connection
from app.storage.refresh_tokens import (
    RefreshTokenRow,
    count_retry,
    erase_copy_of,
    insert_refresh_token,
    keep_successor,
    prolong,
)

SECRET_TYPE: Final = "rt"  # noqa: S105 - a kind of secret
MOST_RETRIES: Final = 5
"""A client that lost an answer asks again once or twice; who asks on gets nothing, and ends nothing."""


NODES_MAY_DIFFER_BY_MS: Final = 10_000
"""Nodes whose clocks differ by this much still take each other's tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a rotation's request asked for: a retry may ask for that or for less. `jkt`: the key that it proved."""

    jkt: str | None
    audience: str
    scope: frozenset[str]
    authorization_details: str
    """Their canonical text, compared as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginFamily:
    """The first refresh token of a grant."""

    token: str = field(repr=False)
    row: RefreshTokenRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotate:
    """A new token for a spent one. `sealed`: the copy for retries; None where the deployment allows none."""

    spent: bytes
    token: str = field(repr=False)
    row: RefreshTokenRow
    sealed: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """The same successor once more, because the answer that held it seems to be lost."""

    spent: bytes
    token: str = field(repr=False)
    window_ms: int
    client_id: str
    subject: str
    grant_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """The client keeps its token, which lives on."""

    digest: bytes
    grant_id: str
    generation: int
    until: int


RefreshStep = BeginFamily | Rotate | Repeat | Keep


class StepOvertaken(Exception):
    """Somebody else used the token, or its successor, since it was read: look again."""


def begin_family(
    deployment: Deployment, *, grant_id: str, grant_expires_at: int, jkt: str | None, now: int
) -> BeginFamily:
    """The first token of a grant, bound to the key of thumbprint `jkt` where one is given."""
    token, row = _mint(deployment, grant_id, 0, jkt=jkt, grant_expires_at=grant_expires_at, now=now)
    return BeginFamily(token=token, row=row)


def rotate(
    deployment: Deployment,
    presented: str,
    spent: RefreshTokenRow,
    answered: Answered,
    *,
    grant_expires_at: int,
    now: int,
) -> Rotate:
    """The successor of a token, and its sealed copy. Does not check that the token may be used."""
    generation = spent.generation + 1
    token, row = _mint(
        deployment, spent.grant_id, generation, jkt=spent.jkt, grant_expires_at=grant_expires_at, now=now
    )
    sealed = None
    if deployment.settings.refresh_token_retry_window_s > 0:
        copy = {
            "token": token,
            "jkt": answered.jkt,
            "audience": answered.audience,
            "scope": sorted(answered.scope),
            "authorization_details": _digest_text(answered.authorization_details),
        }
        sealed = deployment.seals.seal_for_bearer(
            _bearer(presented, spent), orjson.dumps(copy), table="refresh_tokens", row=_place(spent)
        )
    return Rotate(spent=spent.digest, token=token, row=row, sealed=sealed)


def may_be_retried(deployment: Deployment, spent: RefreshTokenRow, *, now: int) -> bool:
    """Whether the answer to a spent token's use may be repeated: in the window, and its successor unused."""
    window_ms = deployment.settings.refresh_token_retry_window_s * 1000
    if spent.sealed_successor is None or spent.used_at is None:
        return False
    # A clock that was set back must not open the window again.
    return now - window_ms < spent.used_at <= now + NODES_MAY_DIFFER_BY_MS


def repeat(
    deployment: Deployment,
    presented: str,
    spent: RefreshTokenRow,
    asked: Answered,
    *,
    client_id: str,
    subject: str,
) -> Repeat:
    """The successor that a spent token was replaced by, for a request that asks for as much or for less.

    Of authorization details it must ask for the same. Raises `InvalidTarget`, `InvalidScope` or
    `InvalidAuthorizationDetails` for anything else, `InvalidGrant` for another key, for too many retries and for a copy
    that does not open.
    """
    if spent.retries >= MOST_RETRIES:
        raise InvalidGrant("the refresh token has been used already", detail="retried too often")
    try:
        opened = deployment.seals.unseal_for_bearer(
            _bearer(presented, spent), spent.sealed_successor or b"", table="refresh_tokens", row=_place(spent)
        )
    except SealError as error:
        raise InvalidGrant("the refresh token has been used already", detail=str(error)) from error
    copy = json.loads(opened)
    # A confidential client may change its key from one refresh to the next, but the lost answer was for one of them.
    if asked.jkt != copy.get("jkt"):
        raise InvalidGrant("a retry must prove the key that was proved at first")
    if asked.audience != copy["audience"]:
        raise InvalidTarget("a retry must name the resource that was asked for at first")
    if not asked.scope <= set(copy["scope"]):
        raise InvalidScope("a retry must not ask for more than was asked for at first")
    if _digest_text(asked.authorization_details) != copy["authorization_details"]:
        raise InvalidAuthorizationDetails("a retry must ask for the authorization_details that were asked for at first")
    return Repeat(
        spent=spent.digest,
        token=copy["token"],
        window_ms=deployment.settings.refresh_token_retry_window_s * 1000,
        client_id=client_id,
        subject=subject,
        grant_id=spent.grant_id,
    )


def _digest_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def keep(deployment: Deployment, row: RefreshTokenRow, *, grant_expires_at: int, now: int) -> Keep:
    """The token stays as it is, with a new idle lifetime."""
    until = _idle_end(deployment, grant_expires_at, now=now)
    return Keep(digest=row.digest, grant_id=row.grant_id, generation=row.generation, until=until)


def take_step(deployment: Deployment, connection: Connection, step: RefreshStep) -> str | None:
    """Write the step; the refresh token that goes to the client, None where it keeps the one that it has.

    Where a token is spent by it, the caller has redeemed that in this transaction. Raises `StepOvertaken`.
    """
    # Not the time at which the request came: the window begins when the rotation is about to be committed.
    at = deployment.clock()
    match step:
        case BeginFamily():
            insert_refresh_token(connection, step.row)
            return step.token
        case Rotate():
            keep_successor(connection, step.spent, sealed=step.sealed, at=at)
            insert_refresh_token(connection, step.row)
            # The spent one is itself a successor, and has now been used.
            erase_copy_of(connection, step.row.grant_id, generation=step.row.generation - 1)
            return step.token
        case Repeat():
            number = count_retry(connection, step.spent, since=at - step.window_ms, most=MOST_RETRIES)
            if number is None:
                raise StepOvertaken
            event = Event(
                type="refresh_token.retried",
                actor="client",
                sub=step.subject,
                client_id=step.client_id,
                grant_id=step.grant_id,
                body={"retry": number},
            )
            deployment.recorder.record(connection, event)
            return step.token
        case Keep():
            if not prolong(connection, step.digest, until=step.until, now=at):
                raise StepOvertaken
            # It may be a successor that has now been used.
            erase_copy_of(connection, step.grant_id, generation=step.generation)
            return None


def _mint(
    deployment: Deployment, grant_id: str, generation: int, *, jkt: str | None, grant_expires_at: int, now: int
) -> tuple[str, RefreshTokenRow]:
    token = mint_secret(SECRET_TYPE)
    digest, digest_key_id = deployment.seals.digest(SECRET_TYPE, token)
    row = RefreshTokenRow(
        digest=digest,
        digest_key_id=digest_key_id,
        grant_id=grant_id,
        generation=generation,
        jkt=jkt,
        created_at=now,
        expires_at=_idle_end(deployment, grant_expires_at, now=now),
        used_at=None,
        sealed_successor=None,
        retries=0,
    )
    return token, row


def _idle_end(deployment: Deployment, grant_expires_at: int, *, now: int) -> int:
    return min(now + deployment.settings.refresh_token_idle_lifetime_s * 1000, grant_expires_at)


def _bearer(presented: str, row: RefreshTokenRow) -> Bearer:
    return Bearer(secret_type=SECRET_TYPE, secret=presented, digest_key_id=row.digest_key_id)


def _place(row: RefreshTokenRow) -> str:
    """What a sealed copy is bound to: the family and the very token beside which it lies."""
    return f"{row.grant_id}\0{row.digest.hex()}"
