"""Clients that registered themselves and that nobody uses leave; an operator's stay."""

from app.services.housekeeping import Housekeeper
from app.services.list_audit import list_audit
from app.services.manage_clients import list_clients
from app.storage.clients import find_client
from tests.actors.http import send
from tests.actors.registrant import as_client, register
from tests.patience import wait_until
from tests.world import World

DAY_S = 86_400


def test_a_client_that_is_not_used_for_90_days_leaves_and_one_that_is_stays(registration_world: World) -> None:
    operator = registration_world.operator
    added = operator.add_client()
    unused = register(registration_world.url).json()
    used = register(registration_world.url, token_endpoint_auth_method="client_secret_post").json()
    housekeeper = Housekeeper(operator.deployment)
    registration_world.clock.move(seconds=60 * DAY_S)
    # Whatever it asks for: it has proven to be the client.
    reply = registration_world.machine(as_client(used)).revoke("th_rt_none")
    assert reply.status == 200
    a_day_later = last_used(registration_world, used["client_id"]) + DAY_S * 1000
    wait_until(lambda: last_used(registration_world, used["client_id"]) > a_day_later, within_s=30)
    registration_world.clock.move(seconds=32 * DAY_S)

    def left() -> set[str]:
        housekeeper.remove_unused_clients()
        return {client.client_id for client in list_clients(operator.deployment)}

    wait_until(lambda: unused["client_id"] not in left(), within_s=30)
    assert {added.client_id, used["client_id"]} <= left()
    (event,) = list_audit(operator.deployment, client_id=unused["client_id"], event_type="client.removed")
    assert (event.actor, event.body["reason"]) == ("server", "unused")
    headers = {"Authorization": f"Bearer {unused['registration_access_token']}"}
    assert send(f"{registration_world.url}/register/{unused['client_id']}", headers=headers).status == 401


def last_used(world: World, client_id: str) -> int:
    with world.operator.deployment.database.reading() as connection:
        row = find_client(connection, client_id)
    assert row is not None
    return row.last_used_at or 0
