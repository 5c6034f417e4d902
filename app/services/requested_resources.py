"""Which scopes of which API a request means (RFC 6749 3.3, RFC 8707 2): the same rules for people and for machines.

A scope is a (resource, name) pair everywhere. Where no resource is named it is inferred, if only one can be meant.
"""

from app.services.authorization_request import RequestedResource
from app.services.client_registry import Client, Resource, Resources
from app.specs.protocol_error import Difference, InvalidScope, InvalidTarget
from app.specs.rfc8707_resources import parse_resource


def choose_resources(
    client: Client, resources: Resources, *, api_scope: tuple[str, ...], asked: tuple[str, ...], userinfo: str
) -> tuple[RequestedResource, ...]:
    """The APIs that are meant, each with its scopes; none where neither a scope nor an API is named.

    `asked` are the values of `resource`, `userinfo` is the one that is no API. Raises `InvalidScope` or
    `InvalidTarget`. Does not check what the client is registered for: see `check_registered_scope`.
    """
    if not asked:
        return _infer_resource(client, resources, api_scope)
    return _share_out(api_scope, _find_named_resources(client, resources, asked, userinfo))


def check_registered_scope(client: Client, requested: tuple[str, ...]) -> None:
    """Raises `InvalidScope` for a scope beyond the client's registered `scope`; without one, all may be asked."""
    registered = client.metadata.scope
    if registered is None:
        return
    excess = sorted(set(requested) - set(registered.split(" ")))
    if excess:
        raise InvalidScope("the client is not registered for a scope that it asks for", detail=f"excess: {excess!r}")


def _find_named_resources(
    client: Client, resources: Resources, asked: tuple[str, ...], userinfo: str
) -> tuple[Resource, ...]:
    """The APIs that `resource` names, without repetition."""
    named: dict[str, Resource] = {}
    for value in asked:
        if value == userinfo:
            continue
        resource = resources.find(value)
        if resource is None:
            # What is registered was looked at then; of anything else it is first said whether it can be a resource.
            parse_resource(value)
        if resource is None or not client.may_ask_for(resource.identifier):
            allowed = [known.identifier for known in resources.all if client.may_ask_for(known.identifier)]
            raise InvalidTarget(
                "the resource is not known here, or not for this client",
                detail="unknown" if resource is None else "not allowed for this client",
                differences=[Difference(what="resource", expected="\n".join(allowed), received=value)],
            )
        named[resource.identifier] = resource
    return tuple(named.values())


def _infer_resource(client: Client, resources: Resources, api_scope: tuple[str, ...]) -> tuple[RequestedResource, ...]:
    """The one resource that has all the scopes; two that would do are an `invalid_scope`."""
    if not api_scope:
        return ()
    fitting = [
        resource
        for resource in resources.all
        if client.may_ask_for(resource.identifier) and set(api_scope) <= set(resource.descriptions)
    ]
    if len(fitting) != 1:
        raise InvalidScope(
            "the scopes do not belong to one resource; name it with the parameter resource",
            detail=f"{len(fitting)} resources have {list(api_scope)!r:.300}",
        )
    return (RequestedResource(resource=fitting[0].identifier, scope=api_scope),)


def _share_out(api_scope: tuple[str, ...], resources: tuple[Resource, ...]) -> tuple[RequestedResource, ...]:
    ownerless = [name for name in api_scope if not any(name in resource.descriptions for resource in resources)]
    if ownerless:
        raise InvalidScope(
            "a scope does not belong to the requested resource", detail=f"without a resource: {ownerless!r:.300}"
        )
    return tuple(
        RequestedResource(
            resource=resource.identifier,
            scope=tuple(name for name in api_scope if name in resource.descriptions),
        )
        for resource in resources
    )
