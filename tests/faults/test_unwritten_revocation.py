"""Case 93 of the attacks: a token whose end could not be written is not said to have ended."""

from sqlalchemy import update

from app.services.issue_tokens import decode_jti
from app.storage.database import Connection
from app.storage.tables import access_tokens
from tests.actors.http import Reply
from tests.actors.machine import Machine
from tests.attacks.good_conduct import assert_json_error
from tests.world import World


def test_93_what_could_not_be_written_is_a_503_and_never_a_200(world: World) -> None:
    account, party = world.operator.add_user(), world.relying_party()
    tokens = world.get_tokens(party, account)
    own = Machine.of(party)

    def while_somebody_else_writes(connection: Connection) -> tuple[Reply, Reply]:
        row = access_tokens.c.jti == decode_jti(tokens.claims["jti"])
        connection.execute(update(access_tokens).where(row).values(expires_at=access_tokens.c.expires_at))
        return own.revoke(tokens.access_token), own.revoke("no token")

    reply, unknown = world.operator.deployment.database.transact(while_somebody_else_writes)
    assert_json_error(reply, "temporarily_unavailable", 503)
    assert reply.headers["retry-after"]
    # Nothing had to be written for this one.
    assert unknown.status == 200
    assert party.userinfo(tokens.access_token).status == 200
    assert own.revoke(tokens.access_token).status == 200
    assert party.userinfo(tokens.access_token).status == 401
