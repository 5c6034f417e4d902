"""A validated authorization request, and its form at rest."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from app.specs.oauth_response_modes import ResponseMode
from app.specs.oidc_claims_request import NO_CLAIMS, ClaimsRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedResource:
    """One API that tokens are asked for, with the scopes that belong to it; a scope is a (resource, name) pair."""

    resource: str
    scope: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseTarget:
    """Where and how a client is answered: `redirect_uri` is known to be its own."""

    client_id: str
    redirect_uri: str
    response_mode: ResponseMode
    state: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """What a client asked, after every check; nothing of it comes from the browser again.

    `hinted_user_id`: whom `id_token_hint` names, and for whom alone the request is then.
    """

    client_id: str
    client_pk: int
    redirect_uri: str
    redirect_uri_was_sent: bool
    state: str | None
    identity_scope: tuple[str, ...]
    resources: tuple[RequestedResource, ...]
    nonce: str | None
    code_challenge: str | None
    prompt: frozenset[str]
    max_age_s: int | None
    login_hint: str | None
    acr_values: tuple[str, ...]
    access_token_lifetime_s: int | None
    dpop_jkt: str | None = None
    offline_access: bool = False
    authorization_details: tuple[Mapping[str, Any], ...] = ()
    networks: tuple[str, ...] = ()
    response_mode: ResponseMode = "query"
    hinted_user_id: int | None = None
    claims: ClaimsRequest = NO_CLAIMS
    claims_locales: tuple[str, ...] = ()
    ui_locales: tuple[str, ...] = ()

    @property
    def target(self) -> ResponseTarget:
        """Where the answer goes."""
        return ResponseTarget(
            client_id=self.client_id,
            redirect_uri=self.redirect_uri,
            response_mode=self.response_mode,
            state=self.state,
        )

    @property
    def is_openid(self) -> bool:
        """Whether an ID token is asked for (OpenID Connect Core 3.1.2.1)."""
        return "openid" in self.identity_scope

    def to_document(self) -> dict[str, Any]:
        """The JSON document that `from_document` reads."""
        return {**asdict(self), "prompt": sorted(self.prompt), "claims": self.claims.to_document()}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """The request that was stored."""
        return cls(
            **{
                **document,
                "identity_scope": tuple(document["identity_scope"]),
                "resources": tuple(
                    RequestedResource(resource=entry["resource"], scope=tuple(entry["scope"]))
                    for entry in document["resources"]
                ),
                "prompt": frozenset(document["prompt"]),
                "acr_values": tuple(document["acr_values"]),
                # A transaction that began before there were any has none.
                "authorization_details": tuple(document.get("authorization_details", ())),
                # A request that the version before this one stored has none.
                "networks": tuple(document.get("networks", ())),
                "claims": ClaimsRequest.from_document(document["claims"]) if "claims" in document else NO_CLAIMS,
                "claims_locales": tuple(document.get("claims_locales", ())),
                "ui_locales": tuple(document.get("ui_locales", ())),
            }
        )
