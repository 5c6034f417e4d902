"""The one person who may answer a request, where the client names one (OpenID Connect Core 5.5.1)."""

from dataclasses import dataclass

from app.services.authorization_request import AuthorizationRequest
from app.services.client_registry import Client
from app.services.deployment import Deployment
from app.services.subjects import find_user_of_subject


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedPerson:
    """Who is asked for, by their own subject. None: somebody whom the client knows by no subject, so nobody."""

    sub: str | None


def find_requested_person(
    deployment: Deployment, client: Client, request: AuthorizationRequest
) -> RequestedPerson | None:
    """The person whom the `claims` parameter names as `sub`; None where anybody may answer.

    "The Authorization Server MUST NOT reply with an ID Token or Access Token for a different user, even if they have an
    active session with the Authorization Server."
    """
    named = request.claims.sub
    if named is None:
        return None
    user = find_user_of_subject(deployment, client, named)
    return RequestedPerson(sub=None if user is None else user.sub)
