"""What is exchanged is judged again while it is held: what ended since it was first looked at is not exchanged."""

from collections.abc import Callable

import pytest

from app.services.exchange_token import Granted, Target, find_living_subject, make_basis, make_child
from app.services.exchanged_grant import ExchangedGrant, write_exchanged_grant
from app.services.manage_clients import disable_client, enable_client
from app.specs.protocol_error import InvalidRequest
from tests.actors.machine import Machine
from tests.actors.token_exchange import make_chain
from tests.world import World


def begin_exchange(world: World, machine: Machine, api: str) -> ExchangedGrant:
    """The grant of an exchange of the machine's token that has been found good and is to be written."""
    deployment = world.operator.deployment
    chain = make_chain(world)
    deployment.notice_changes(at_once=True)
    subject = find_living_subject(deployment, machine.get_token(resource=api).access_token)
    client = deployment.registry.find_client(chain.library.client_id)
    resource = deployment.registry.resources().find(api)
    assert client is not None
    assert resource is not None
    target = Target(resource=resource, allowed_scopes=None)
    basis = make_basis(client, subject, target, Granted(scope=("photos.read",)))
    return make_child(client, subject, basis, now=deployment.clock())


def write(world: World, grant: ExchangedGrant) -> None:
    deployment = world.operator.deployment
    deployment.database.transact(
        lambda connection: write_exchanged_grant(connection, deployment.recorder, grant, now=deployment.clock())
    )


def disable(world: World, client_id: str) -> None:
    disable_client(world.operator.deployment, client_id)


def disable_and_enable(world: World, client_id: str) -> None:
    disable(world, client_id)
    enable_client(world.operator.deployment, client_id)


@pytest.mark.parametrize("end", [disable, disable_and_enable])
def test_a_machines_token_that_ended_meanwhile_is_not_exchanged(
    world: World, end: Callable[[World, str], None]
) -> None:
    api = world.operator.add_resource()
    machine = world.machine(policy={"resources": [api]})
    good, late = begin_exchange(world, machine, api), begin_exchange(world, machine, api)
    write(world, good)
    end(world, machine.client_id)
    with pytest.raises(InvalidRequest):
        write(world, late)
