"""Revocation in the database: in which order it locks, and for how long after its end a token is ended."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, select, text, update

from app.services.deployment import Deployment
from app.services.issue_tokens import decode_jti
from app.services.manage_grants import revoke_grant
from app.storage import changes
from app.storage.purge import purge_expired
from app.storage.revocation import STILL_TAKEN_MS
from app.storage.tables import access_tokens, grants, status_lists, status_revocations
from tests.actors.machine import Machine
from tests.actors.relying_party import read_jwt
from tests.actors.token_exchange import exchange, make_chain, make_exchanger
from tests.patience import wait_until
from tests.world import World

on_postgresql_alone = pytest.mark.parametrize("shared_world", ["postgresql"], indirect=True)
_WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


def has_bit(world: World, token: str) -> bool:
    """Whether the token's bit is among those that the lists are made of."""
    status = read_jwt(token)["status"]["status_list"]
    bits = (
        select(status_revocations.c.status_index)
        .join(status_lists, status_lists.c.id == status_revocations.c.status_list_pk)
        .where(status_lists.c.list_id == status["uri"].rpartition("/")[2])
        .where(status_revocations.c.status_index == status["idx"])
    )
    with world.operator.deployment.database.reading() as connection:
        return connection.execute(bits).first() is not None


@on_postgresql_alone
@pytest.mark.parametrize("is_machine", [False, True], ids=["a person's", "a machine's"])
def test_revoking_a_token_takes_grants_before_the_number_of_a_change_as_all_revocations_do(
    world: World, is_machine: bool
) -> None:
    """The other way round, two revocations wait for each other: for a second, until the database ends one."""
    chain = make_chain(world)
    holder = world.machine(policy={"resources": [chain.photos]}) if is_machine else Machine.of(chain.shop)
    token = holder.get_token(scope="photos.read").access_token if is_machine else chain.get_token()
    exchanger = make_exchanger(
        world,
        introspects=[chain.photos],
        token_exchange_audiences=[{"resource": chain.prints, "scopes": ["prints.read"]}],
    )
    exchanged = exchange(exchanger, token, resource=chain.prints)
    database = world.operator.deployment.database
    child = select(access_tokens.c.grant_id).where(access_tokens.c.jti == decode_jti(read_jwt(exchanged)["jti"]))
    with ThreadPoolExecutor(1) as pool, database.engine.connect() as revoker:
        # What the revocation of the child begins with.
        held = update(grants).where(grants.c.grant_id == child.scalar_subquery()).values(revoked_at=world.clock())
        assert revoker.execute(held).rowcount == 1
        revocation = pool.submit(holder.revoke, token)
        with database.engine.connect() as observer:
            wait_until(lambda: observer.execute(_WAITING).scalar_one() == 1, within_s=30)
            observer.rollback()
        # And what it goes on with: nobody who waits for the child may hold this.
        revoker.execute(text("SET LOCAL lock_timeout = '500ms'"))
        assert changes.bump(revoker, "status_lists") > 0
        revoker.commit()
        assert revocation.result().status == 200
    wait_until(lambda: has_bit(world, token), within_s=30)


def purge(deployment: Deployment) -> None:
    """Whatever has expired leaves, in as many batches as other tests left rows for."""

    def batch(connection: Connection) -> int:
        return purge_expired(connection, now=deployment.clock(), audit_before=0, retries_end_before=0)

    while deployment.database.transact(batch):
        pass


@pytest.mark.parametrize("way", ["the token", "the machine's token", "the grant"])
def test_what_a_verifiers_leeway_still_takes_is_ended_too(world: World, way: str) -> None:
    """A verifier takes a token for some seconds after its `exp`, as long as its bit is not set."""
    chain = make_chain(world)
    holder = world.machine(policy={"resources": [chain.photos]}) if "machine" in way else Machine.of(chain.shop)
    token = holder.get_token().access_token if "machine" in way else chain.get_token()
    claims = read_jwt(token)
    world.clock.move(seconds=claims["exp"] - claims["iat"] + 8)
    deployment = world.operator.deployment
    purge(deployment)
    assert not has_bit(world, token)
    if way == "the grant":
        of_token = select(access_tokens.c.grant_id).where(access_tokens.c.jti == decode_jti(claims["jti"]))
        with deployment.database.reading() as connection:
            grant_id = connection.execute(of_token).scalar_one()
        revoke_grant(deployment, grant_id)
    else:
        assert holder.revoke(token).status == 200
    assert has_bit(world, token)


def test_a_token_that_nobody_takes_any_more_leaves_without_a_bit(world: World) -> None:
    chain = make_chain(world)
    token = chain.get_token()
    claims = read_jwt(token)
    world.clock.move(seconds=claims["exp"] - claims["iat"] + STILL_TAKEN_MS / 1000 + 1)
    deployment = world.operator.deployment
    purge(deployment)
    of_token = select(access_tokens.c.jti).where(access_tokens.c.jti == decode_jti(claims["jti"]))
    with deployment.database.reading() as connection:
        assert connection.execute(of_token).first() is None
    assert Machine.of(chain.shop).revoke(token).status == 200
    assert not has_bit(world, token)
