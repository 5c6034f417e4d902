"""From where a grant and its tokens may be used: what client, resource, request and person say, each narrowing it.

None is "from anywhere". Limits that exclude each other are refused where they meet, because an empty list of networks
would be taken for no limit by the next reader.
"""

import re
from collections.abc import Iterable
from typing import Final

from app.services.bind_sender import SenderBinding
from app.services.client_registry import Client, Resource
from app.specs.protocol_error import InvalidGrant, InvalidRequest, InvalidTarget
from app.specs.strict_request import Parameters
from app.specs.tokenhouse_networks import (
    PARAMETER,
    Networks,
    is_within,
    narrow,
    parse_address,
    parse_network,
    parse_networks,
)

_BETWEEN_ENTRIES = re.compile(r"[\s,;]+")


OUTSIDE: Final = "from there the application cannot be used at all"


class UnusableNetworks(Exception):
    """What a person entered cannot be obeyed: `entry` for a `reason`, which the pages know a sentence for."""

    def __init__(self, reason: str, *, entry: str = "") -> None:
        super().__init__(f"\u201c{entry}\u201d {reason}" if entry else reason)
        self.reason = reason
        self.entry = entry


# ----- What limits a token -----


def read_networks(texts: Iterable[str] | None) -> Networks | None:
    """A stored limit; None and an empty one are no limit."""
    texts = tuple(texts or ())
    return parse_networks(texts) if texts else None


def decide_networks(client: Client, resource: Resource | None, granted: Networks | None = None) -> Networks | None:
    """The networks that a token of this client for the resource is limited to; None where nothing limits it.

    `resource` None is the userinfo endpoint, which checks them. Raises `InvalidTarget` where the limits exclude each
    other, and where the resource's verifiers would pass over the claim: to them the token would be good anywhere.
    """
    own = None if resource is None else read_networks(resource.metadata.networks)
    networks = narrow((read_networks(client.metadata.policy.networks), own, granted))
    if networks is None:
        return None
    if not networks:
        raise InvalidTarget("no network is left from which the resource might be used")
    if resource is not None and not checks_networks(resource):
        raise InvalidTarget(
            "access is limited to networks, and the resource does not check them", detail=resource.identifier
        )
    return networks


def checks_networks(resource: Resource) -> bool:
    """Whether the verifiers of the resource enforce the claim, as the operator says."""
    return "networks" in resource.metadata.enforces


def check_sender_is_within(sender: SenderBinding, networks: Networks | None) -> None:
    """Raises `InvalidGrant` unless the caller may have tokens where it is. Before anything is spent: it may come back
    from elsewhere.
    """
    if networks is not None and not is_address_within(sender.address, networks):
        raise InvalidGrant(
            "access is limited to networks, and this request comes from another one",
            detail=f"{sender.address!r:.60} is in none of {networks!s:.300}",
        )


def is_address_within(address: str, networks: Networks) -> bool:
    """Whether the address is in one of the networks. What is no address is in none."""
    try:
        return is_within(parse_address(address), networks)
    except ValueError:
        return False


def find_address(text: str) -> str | None:
    """The address as it counts here; None for what is none."""
    try:
        return str(parse_address(text))
    except ValueError:
        return None


# ----- What a request asks for -----


def parse_requested_networks(parameters: Parameters, client: Client) -> Networks | None:
    """`tokenhouse_networks`: networks with spaces between. It can only narrow. Raises `InvalidRequest`."""
    value = parameters.get(PARAMETER)
    if value is None:
        return None
    try:
        requested = parse_networks(value.split(" "))
    except ValueError as error:
        raise InvalidRequest(f"{PARAMETER} {error}") from error
    if not narrow((read_networks(client.metadata.policy.networks), requested)):
        raise InvalidRequest(f"{PARAMETER} lies outside of the networks that the client is limited to")
    return requested


def decide_grant_networks(client: Client, requested: Networks | None, chosen: Networks | None) -> Networks | None:
    """The networks of a new grant. Raises `InvalidRequest` where the client's were changed meanwhile."""
    networks = narrow((read_networks(client.metadata.policy.networks), requested, chosen))
    if networks is not None and not networks:
        raise InvalidRequest("no network is left from which the application might be used")
    return networks


# ----- What a person says -----


def parse_chosen_networks(text: str | None) -> Networks | None:
    """What somebody entered, with spaces or commas between; None for nothing. Raises `UnusableNetworks`."""
    entered = (text or "").strip()
    entries = [entry for entry in _BETWEEN_ENTRIES.split(entered) if entry]
    if entered and not entries:
        # Somebody meant to set a limit: it must not become none.
        raise UnusableNetworks("is not an IPv4 or IPv6 address", entry=entered[:60])
    for entry in entries:
        try:
            parse_network(entry)
        except ValueError as error:
            raise UnusableNetworks(str(error), entry=entry[:60]) from error
    try:
        return parse_networks(entries) if entries else None
    except ValueError as error:
        raise UnusableNetworks(str(error)) from error


def check_choice(
    client: Client, resources: Iterable[Resource], *, requested: Networks | None, chosen: Networks
) -> None:
    """Raises `UnusableNetworks` where nothing of what the person chose is allowed by the others."""
    limits: list[Resource | None] = [None, *resources]
    try:
        for resource in limits:
            decide_networks(client, resource, narrow((requested, chosen)))
    except InvalidTarget as error:
        raise UnusableNetworks(OUTSIDE) from error
