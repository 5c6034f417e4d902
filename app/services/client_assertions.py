"""Client assertions (RFC 7523): whose key or secret made them, whether they are for us, and that they come once.

An assertion is verified before anything else happens and used up in the transaction that does what it was made for, so
that a token costs one commit; where nothing comes of the request, it is used up by itself. Whoever may spend or end
something on the way there looks for a replay first (`check_is_unused`).
"""

from dataclasses import dataclass

from app.features import effective_profile
from app.services.client_registry import Client
from app.services.deployment import Deployment
from app.services.sealed_secrets import open_secret
from app.services.seals import SealError
from app.specs.protocol_error import InvalidClient
from app.specs.rfc7515_jose import InvalidJws
from app.specs.rfc7523_client_assertion import (
    MAC_ALGORITHM,
    MAX_ASSERTION_BYTES,
    SIGNATURE_ALGORITHMS,
    ClientAssertion,
    UnverifiedAssertion,
    check_claims,
    is_mac_valid,
)
from app.specs.rfc8414_metadata import endpoint_url
from app.storage.clients import SecretRow
from app.storage.database import Connection
from app.storage.single_use import is_used, use_once

# An assertion is remembered until every node refuses it by its `exp`, whichever of their clocks is behind.
_NODES_MAY_DIFFER_BY_MS = 20_000
_FAILED = "client authentication failed"


class AssertionReplayed(InvalidClient):
    """`invalid_client` for an assertion that was used up already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedAssertion:
    """An assertion that the client made, and by what: a key's `kid`, or one of its secrets. It is not yet used up."""

    assertion: ClientAssertion
    kid: str | None
    secret: SecretRow | None


def verify_client_assertion(
    deployment: Deployment, client: Client, unverified: UnverifiedAssertion, text: str
) -> VerifiedAssertion:
    """The assertion, if this client made it for us. `unverified` is read from `text`.

    Raises `InvalidClient`, and `TemporarilyUnavailable` where its keys cannot be looked for now. Does not compare the
    client's registered method, does not look for replays, and does not use the assertion up: `use_assertion` does.
    """
    # What costs nothing comes first: an assertion for somebody else needs no key, and none is fetched for it.
    rules = effective_profile(server=deployment.profile, client=client.security_profile)
    audiences = [deployment.issuer]
    if rules.assertions_may_name_the_token_endpoint:
        audiences.append(endpoint_url(deployment.issuer, "/token"))
    assertion = check_claims(
        unverified.claims,
        audiences=audiences,
        may_be_listed=rules.assertions_may_name_the_token_endpoint,
        now_s=deployment.clock() / 1000,
    )
    wanted = client.metadata.token_endpoint_auth_signing_alg
    if wanted is not None and unverified.header.alg != wanted:
        raise InvalidClient(_FAILED, detail=f"the assertion must be made by {wanted}")
    secret = None
    if unverified.header.alg == MAC_ALGORITHM:
        secret = _find_secret(deployment, client, unverified)
    else:
        _verify_signature(deployment, client, text)
    return VerifiedAssertion(assertion=assertion, kid=unverified.header.kid, secret=secret)


def use_assertion(connection: Connection, assertion: ClientAssertion) -> None:
    """Use an assertion up, in the transaction that does what it was made for. Raises `AssertionReplayed`."""
    if not use_once(connection, assertion.replay_key, expires_at=_remembered_until(assertion)):
        raise _replayed()


def use_assertion_alone(deployment: Deployment, assertion: ClientAssertion) -> None:
    """Use an assertion up where nothing else is written. Returns when that is on disk; raises `AssertionReplayed`."""
    deployment.database.transact(lambda connection: use_assertion(connection, assertion))


def check_is_unused(deployment: Deployment, assertion: ClientAssertion) -> None:
    """Raises `AssertionReplayed` for what is known to be used up; two at the same moment both pass."""
    with deployment.database.reading() as connection:
        if is_used(connection, assertion.replay_key):
            raise _replayed()


def _verify_signature(deployment: Deployment, client: Client, text: str) -> None:
    try:
        # `typ` was judged when the assertion was read.
        deployment.client_keys.verify_jws(
            client, text, algorithms=SIGNATURE_ALGORITHMS, typ=None, max_bytes=MAX_ASSERTION_BYTES
        )
    except InvalidJws as error:
        raise InvalidClient(_FAILED, detail=f"the assertion is not accepted: {error}") from error


def _find_secret(deployment: Deployment, client: Client, unverified: UnverifiedAssertion) -> SecretRow:
    if not deployment.settings.seals_client_secrets:
        raise InvalidClient(_FAILED, detail="TOKENHOUSE_SEALED_CLIENT_SECRETS is off")
    now = deployment.clock()
    for stored in client.secrets:
        if stored.sealed_secret is None or (stored.expires_at is not None and stored.expires_at <= now):
            continue
        try:
            secret = open_secret(deployment.seals, stored)
        except SealError:
            # A row that was moved or damaged is nobody's secret; the client's other one may be whole.
            continue
        if is_mac_valid(unverified, secret):
            return stored
    raise InvalidClient(_FAILED, detail="no live secret made the assertion")


def _remembered_until(assertion: ClientAssertion) -> int:
    return int(assertion.expires_at_s * 1000) + _NODES_MAY_DIFFER_BY_MS


def _replayed() -> AssertionReplayed:
    return AssertionReplayed(_FAILED, detail="the assertion has been used before (jti)")
