"""A machine's JWT, which is in no table: its place on a status list tells whether it is alive.

The place is checked both ways: that its bit is not set, and that it was leased to the very client that the token names
and has not ended with it. What somebody signed who stole a key, but did not lease a place here, is not alive.
"""

from dataclasses import dataclass

from app.services.deployment import Deployment
from app.services.index_order import ENTRIES
from app.specs.protocol_error import InvalidToken
from app.specs.rfc9068_access_token import AccessTokenClaims
from app.specs.token_status_list import parse_status_claim
from app.storage.database import Connection
from app.storage.status_lists import find_machine_place, is_bit_set, is_in_living_block


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineToken:
    """Where the token's bit is, whose it is, and whether the token and its client are alive. `counter`: the place of
    the bit in the order in which places are leased.
    """

    client_pk: int
    status_list_pk: int
    status_index: int
    counter: int
    is_live: bool


def find_machine_token(
    deployment: Deployment, connection: Connection, claims: AccessTokenClaims
) -> MachineToken | None:
    """The token that says `claims`, which have been verified; None where its place was never one of ours."""
    allocator = deployment.status_allocator
    try:
        reference = parse_status_claim(claims.claims)
    except InvalidToken:
        return None
    prefix = allocator.uri_of("")
    if reference is None or not reference.uri.startswith(prefix) or reference.index >= ENTRIES:
        return None
    place = find_machine_place(
        connection, list_id=reference.uri[len(prefix) :], index=reference.index, client_id=claims.client_id
    )
    if place is None:
        return None
    counter = allocator.order_of(place.status_list).counter_of(reference.index)
    is_in_block = is_in_living_block(connection, place.status_list.id, counter=counter, client_pk=place.client_pk)
    return MachineToken(
        client_pk=place.client_pk,
        status_list_pk=place.status_list.id,
        status_index=reference.index,
        counter=counter,
        is_live=is_in_block and place.client_is_live and not place.is_revoked,
    )


def is_still_live(connection: Connection, token: MachineToken) -> bool:
    """Whether it is alive now that its client, which is, is held: whatever ends the token holds the client first.

    A client that was disabled and enabled again has lost its blocks, and no bit of them says so.
    """
    if is_bit_set(connection, token.status_list_pk, token.status_index):
        return False
    return is_in_living_block(connection, token.status_list_pk, counter=token.counter, client_pk=token.client_pk)
