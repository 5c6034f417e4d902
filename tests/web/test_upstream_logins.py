"""Signing in by another provider: a second Tokenhouse, over HTTP."""

from typing import Any

import pytest

from tests.actors.other_provider import OtherProvider, Traveller, register_provider
from tests.world import World

pytestmark = [
    pytest.mark.parametrize("shared_reaching_world", ["sqlite"], indirect=True),
    pytest.mark.parametrize("shared_world", ["sqlite"], indirect=True),
]


def link(provider: OtherProvider, traveller: Traveller, sub: str) -> None:
    """As if the person had linked the two accounts before."""
    from app.storage.linked_identities import insert_link
    from app.storage.users import find_user_by_sub

    def work(connection: Any) -> None:
        row = find_user_by_sub(connection, sub)
        assert row is not None
        from app.storage.identity_providers import find_provider

        found = find_provider(connection, provider.name)
        assert found is not None
        insert_link(
            connection,
            provider_id=found.id,
            issuer=provider.theirs.issuer,
            subject=traveller.account.sub,
            user_id=row.id,
            label="somebody",
            now=0,
        )

    provider.ours.operator.deployment.database.transact(work)


def test_a_linked_person_signs_in_at_the_provider_and_comes_back_to_the_application(
    reaching_world: World, world: World
) -> None:
    provider = register_provider(reaching_world, world)
    traveller = Traveller.of(provider)
    account = reaching_world.operator.add_user()
    link(provider, traveller, account.sub)
    pending = provider.party.begin()
    page = traveller.come_in(pending.url)
    reply = traveller.here.consent(page)
    tokens = provider.party.exchange(provider.party.read_callback(reply, pending), pending)
    assert tokens.id_claims["sub"] == account.sub
    assert tokens.id_claims["amr"] == ["fed"]
    assert tokens.id_claims["acr"].endswith("PasswordProtectedTransport")
