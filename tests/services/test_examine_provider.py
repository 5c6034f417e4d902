"""`tokenhouse idp test`: what is seen of a provider that answers, right and wrong."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.services.examine_provider import examine_provider
from tests.actors.misbehaving_provider import MisbehavingProvider
from tests.attacks.test_upstream_callback import register
from tests.world import World

pytestmark = pytest.mark.parametrize("shared_reaching_world", ["sqlite"], indirect=True)


@pytest.fixture
def provider(reaching_world: World) -> Iterator[MisbehavingProvider]:
    with MisbehavingProvider(reaching_world.clock) as provider:
        yield provider


def statuses(world: World, provider: MisbehavingProvider, **document: Any) -> dict[str, str]:
    name = register(world, provider, **document)
    return {each.check: each.status for each in examine_provider(world.operator.deployment, name)}


def test_a_provider_as_it_should_be(reaching_world: World, provider: MisbehavingProvider) -> None:
    assert statuses(reaching_world, provider) == {
        "discovery": "ok",
        "TLS": "warning",
        "clock": "ok",
        "algorithms": "ok",
        "client authentication": "ok",
        "PKCE": "ok",
        "iss": "ok",
        "logout": "warning",
        "keys": "ok",
    }


def test_what_is_wrong_is_found(reaching_world: World, provider: MisbehavingProvider) -> None:
    provider.wrong.metadata = {
        "code_challenge_methods_supported": ...,
        "authorization_response_iss_parameter_supported": ...,
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
    }
    reaching_world.clock.move(seconds=90)
    found = statuses(reaching_world, provider, id_token_signing_algs=["RS256"])
    assert {check for check, status in found.items() if status == "error"} == {
        "clock",
        "algorithms",
        "client authentication",
        "keys",
    }
    assert (found["PKCE"], found["iss"]) == ("warning", "warning")


def test_metadata_of_another_issuer_is_the_end(reaching_world: World, provider: MisbehavingProvider) -> None:
    provider.wrong.metadata = {"issuer": "https://honest.example"}
    assert statuses(reaching_world, provider) == {"discovery": "error"}
