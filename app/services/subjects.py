"""Who a person is to whom (OpenID Connect Core 8): the subject that a client is told, and the one that an API is told.

Clients and APIs are `public`, and are told the person's own subject, or `pairwise`: then every sector knows the person
by a subject of its own, and two sectors cannot find out that they speak of the same one.
"""

from urllib.parse import urlsplit

from app.services.client_registry import Client, Resource
from app.services.deployment import Deployment
from app.specs.rfc7591_metadata import find_sector
from app.storage.pairwise_subjects import find_pairwise_owner
from app.storage.users import UserRow, find_user_by_sub


def get_client_subject(deployment: Deployment, client: Client, user_sub: str) -> str:
    """The `sub` that the client is told: in ID tokens, userinfo, introspection and logout tokens.

    Not to be called within a transaction: the first use of a sector writes.
    """
    sector = client_sector(client)
    return user_sub if sector is None else deployment.pairwise_subjects.get(user_sub, sector)


def get_resource_subject(deployment: Deployment, resource: Resource, user_sub: str) -> str:
    """The `sub` that the API is told, in access tokens for it, whichever client they were issued to."""
    sector = resource_sector(resource)
    return user_sub if sector is None else deployment.pairwise_subjects.get(user_sub, sector)


def find_user_of_subject(deployment: Deployment, client: Client, sub: str) -> UserRow | None:
    """The person whom the client knows by `sub`, disabled ones too; None where it knows nobody by that.

    What another sector was told is nobody's here: otherwise a client could find out that two subjects are one person.
    """
    sector = client_sector(client)
    with deployment.database.reading() as connection:
        if sector is None:
            return find_user_by_sub(connection, sub)
        owner = find_pairwise_owner(connection, sub)
        if owner is None or owner.sector != sector:
            return None
        return find_user_by_sub(connection, owner.user_sub)


def client_sector(client: Client) -> str | None:
    """The sector of a pairwise client; None for a public one.

    A client that is a document is a sector of its own: nobody has read the file of the sector that it names, and it
    could name somebody else's, or redirect URIs of somebody else's host.
    """
    if client.metadata.subject_type == "public":
        return None
    return client.client_id if client.is_document else find_sector(client.metadata)


def resource_sector(resource: Resource) -> str | None:
    """The sector of a pairwise API: what the operator wrote, or its host; None for a public one."""
    metadata = resource.metadata
    if metadata.subject_type == "public":
        return None
    return metadata.sector_identifier or urlsplit(metadata.resource).hostname or metadata.resource
