"""Deployments for tests: a database, keys, people, clients and an API, made through the same services as the CLI's."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.services.clock import Clock, system_clock
from app.services.deployment import Deployment, open_deployment
from app.services.hash_password import Argon2Parameters
from app.services.initialise import initialise
from app.services.list_audit import list_audit
from app.services.manage_clients import RegisteredClient, add_client, show_client
from app.services.manage_details_types import add_details_type
from app.services.manage_resources import add_resource
from app.services.manage_users import NewUser, User, add_user
from app.settings import Settings, load_settings

# The weakest hash that the server chooses for itself, where a test is about what a hash costs.
REAL_HASH = Argon2Parameters()
# Tests log in thousands of times; this one takes a hundredth of the time.
CHEAP_HASH = Argon2Parameters(time_cost=1, memory_kib=64)
PASSWORD = "correct horse battery staple"
PAYMENT: dict[str, Any] = {
    "title": "A payment",
    "sentence": "Pay up to {amount.value} {amount.currency} to {creditor}",
    "schema": {
        "type": "object",
        "properties": {
            "locations": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "actions": {"type": "array", "items": {"enum": ["initiate", "status", "cancel"]}},
            "amount": {
                "type": "object",
                "properties": {
                    "value": {"type": "string", "pattern": "^[0-9]{1,9}(?:\\.[0-9]{2})?$"},
                    "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
                },
                "required": ["value", "currency"],
                "additionalProperties": False,
            },
            "creditor": {"type": "string", "maxLength": 140},
            "folder": {"type": "string", "maxLength": 200},
        },
        "required": ["amount", "creditor"],
        "additionalProperties": False,
    },
    "orders": {"amount": {"value": "max"}, "actions": "set", "locations": "set", "folder": "prefix"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person and their password."""

    sub: str
    username: str
    password: str = field(default=PASSWORD, repr=False)


def make_environment(*, issuer: str, database_url: str, directory: Path, **more: str) -> dict[str, str]:
    """The `TOKENHOUSE_*` variables of a deployment under `directory`."""
    return {
        "TOKENHOUSE_ISSUER": issuer,
        "TOKENHOUSE_DATABASE_URL": database_url,
        "TOKENHOUSE_KEYS_DIR": str(directory / "keys"),
        **{f"TOKENHOUSE_{name.upper()}": value for name, value in more.items()},
    }


def make_deployment(
    environment: dict[str, str], *, clock: Clock = system_clock, argon2: Argon2Parameters = CHEAP_HASH
) -> Settings:
    """Initialise the deployment that the variables describe."""
    settings = load_settings(environment)
    initialise(settings, clock=clock, argon2=argon2)
    return settings


class Operator:
    """Does in a test's process what the operator does with the CLI."""

    def __init__(self, settings: Settings, *, clock: Clock = system_clock) -> None:
        self.deployment: Deployment = open_deployment(settings, clock=clock, pool_size=4)

    def close(self) -> None:
        """Close the operator's own connections."""
        self.deployment.close()

    def add_user(self, **claims: Any) -> Account:
        """A new person with a name of their own."""
        return self.add_user_with(**claims)

    def add_user_with(self, *, email: str | None = None, **claims: Any) -> Account:
        """As `add_user`, with an e-mail address of one's choice."""
        name = f"user-{secrets.token_hex(4)}"
        address = email or f"{name}@example.com"
        user: User = add_user(self.deployment, NewUser(username=name, email=address, password=PASSWORD, claims=claims))
        return Account(sub=user.sub, username=name)

    def event_types(self, sub: str) -> set[str]:
        """What has happened to a person."""
        return {event.type for event in list_audit(self.deployment, sub=sub)}

    def add_resource(self, **metadata: Any) -> str:
        """A new API with the scopes `photos.read` and `photos.write`, unless told otherwise; its identifier."""
        resource = f"https://api-{secrets.token_hex(4)}.example"
        document = {
            "resource": resource,
            "resource_name": "Photo library",
            "scopes": [
                {"name": "photos.read", "description": "See your photos"},
                {"name": "photos.write", "description": "Add and delete photos"},
            ],
            **metadata,
        }
        add_resource(self.deployment, document)
        return str(document["resource"])

    def add_details_type(self, **members: Any) -> str:
        """A new type of authorization details, a payment unless told otherwise; its name."""
        document = {"type": f"payment-{secrets.token_hex(4)}", **PAYMENT, **members}
        return add_details_type(self.deployment, document).type

    def add_client(self, **metadata: Any) -> RegisteredClient:
        """A new confidential client with an https redirect URI, unless told otherwise."""
        document = {
            "client_name": "Photo printing",
            "redirect_uris": [f"https://app-{secrets.token_hex(4)}.example/callback"],
            **metadata,
        }
        return add_client(self.deployment, document)

    def show_client(self, client_id: str) -> RegisteredClient:
        """A client, as the operator sees it."""
        return show_client(self.deployment, client_id)
