"""A chain of services: an application that a person uses, the API that it calls, and the APIs behind that."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.services.manage_clients import RegisteredClient
from app.specs.rfc8693_token_exchange import ACCESS_TOKEN, GRANT_TYPE
from tests.actors.http import Reply
from tests.actors.machine import Machine
from tests.actors.relying_party import RelyingParty
from tests.deployments import Account
from tests.world import World

CODE_AND_EXCHANGE = ["authorization_code", GRANT_TYPE]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """`shop` is the application, `backend` the same client without a browser; `photos` and `prints` are APIs; `library`
    is the client of the first API's server.
    """

    world: World
    account: Account
    photos: str
    prints: str
    shop: RelyingParty
    backend: Machine
    library: Machine

    def get_token(self, **parameters: Any) -> str:
        """The shop's access token for the photos."""
        wanted = {"scope": "openid photos.read photos.write", "resource": self.photos, **parameters}
        return self.world.get_tokens(self.shop, self.account, **wanted).access_token


def make_chain(
    world: World, *, allowed: list[Any] | None = None, shop_allowed: list[Any] | None = None, **metadata: Any
) -> Chain:
    """A chain in which the library may exchange for what is `allowed`: by default, to read prints."""
    photos = world.operator.add_resource()
    prints = world.operator.add_resource(
        resource=f"https://prints-{secrets.token_hex(4)}.example",
        resource_name="Prints",
        scopes=[
            {"name": "prints.read", "description": "See your prints"},
            {"name": "prints.order", "description": "Order prints"},
        ],
    )
    allowed = [{"resource": prints, "scopes": ["prints.read"]}] if allowed is None else allowed
    policy = {"token_exchange_audiences": [photos] if shop_allowed is None else shop_allowed}
    shop = world.operator.add_client(**{"grant_types": CODE_AND_EXCHANGE, "policy": policy, **metadata})
    return Chain(
        world=world,
        account=world.operator.add_user(),
        photos=photos,
        prints=prints,
        shop=world.relying_party(shop),
        backend=make_machine(world, shop),
        library=make_exchanger(world, introspects=[photos], token_exchange_audiences=allowed),
    )


def make_exchanger(world: World, metadata: Mapping[str, Any] | None = None, **policy: Any) -> Machine:
    """A client that may exchange tokens as the policy says."""
    registration = {"grant_types": [GRANT_TYPE], "redirect_uris": [], **(metadata or {}), "policy": policy}
    return make_machine(world, world.operator.add_client(**registration))


def make_machine(world: World, client: RegisteredClient) -> Machine:
    """A registered client without a browser."""
    method = client.metadata["token_endpoint_auth_method"]
    return Machine(client.client_id, client.client_secret, method=method, server_url=world.url)


def try_exchange(
    client: Machine, subject_token: str | None, *, headers: Mapping[str, str] | None = None, **changes: Any
) -> Reply:
    """A token exchange; a change of None leaves a parameter out."""
    form = {"grant_type": GRANT_TYPE, "subject_token": subject_token, "subject_token_type": ACCESS_TOKEN}
    return client.post("/token", headers=headers, **{**form, **changes})


def exchange(client: Machine, subject_token: str, **changes: Any) -> str:
    """The token of an exchange that must be good."""
    reply = try_exchange(client, subject_token, **changes)
    assert reply.status == 200, reply.text
    token: str = reply.json()["access_token"]
    return token
