"""What a person granted, as it was at that moment: the immutable part of a grant, and its form at rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from app.specs.oidc_claims_request import NO_CLAIMS, ClaimsRequest

RefreshKind = Literal["online", "offline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantSnapshot:
    """Scopes per resource, how the person logged in, and the limits that bind every token of the grant.

    `auth_time_s`, `acr`, `amr` and `sid` tell of the login; a grant without a person has none. `networks` empty: not
    bound to any. `access_token_lifetime_s`: what the client asked for at the beginning. `refresh_tokens`: None for a
    grant that gives none; `online` ones die with the session, `offline` ones (`offline_access`) with the grant.
    `claims`: what the client asked for by name; `allowed_claims`: those of it that no scope covers, and that were
    allowed one by one. `client_subject`: by what a pairwise client knows the person; None for their own subject.
    `withdrawn`: resources that the person granted and took back wholly, which never come from elsewhere either.
    """

    scope: Mapping[str, tuple[str, ...]]
    auth_time_s: int | None = None
    acr: str | None = None
    amr: tuple[str, ...] = ()
    sid: str | None = None
    access_token_lifetime_s: int | None = None
    refresh_tokens: RefreshKind | None = None
    networks: tuple[str, ...] = ()
    authorization_details: tuple[Mapping[str, Any], ...] = ()
    client_subject: str | None = None
    claims: ClaimsRequest = NO_CLAIMS
    allowed_claims: tuple[str, ...] = ()
    claims_locales: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()

    def to_document(self) -> dict[str, Any]:
        """The JSON document that `from_document` reads; what is empty is left out."""
        members = {
            "scope": {resource: list(names) for resource, names in self.scope.items()},
            "auth_time_s": self.auth_time_s,
            "acr": self.acr,
            "amr": list(self.amr),
            "sid": self.sid,
            "access_token_lifetime_s": self.access_token_lifetime_s,
            "refresh_tokens": self.refresh_tokens,
            "networks": list(self.networks),
            "authorization_details": [dict(detail) for detail in self.authorization_details],
            "client_subject": self.client_subject,
            "claims": self.claims.to_document() if self.claims.names else None,
            "allowed_claims": list(self.allowed_claims),
            "claims_locales": list(self.claims_locales),
            "withdrawn": list(self.withdrawn),
        }
        return {name: value for name, value in members.items() if value or name == "scope"}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The snapshot that was stored."""
        return cls(
            scope={resource: tuple(names) for resource, names in document["scope"].items()},
            auth_time_s=document.get("auth_time_s"),
            acr=document.get("acr"),
            amr=tuple(document.get("amr", ())),
            sid=document.get("sid"),
            access_token_lifetime_s=document.get("access_token_lifetime_s"),
            refresh_tokens=document.get("refresh_tokens"),
            networks=tuple(document.get("networks", ())),
            authorization_details=tuple(document.get("authorization_details", ())),
            client_subject=document.get("client_subject"),
            claims=ClaimsRequest.from_document(document["claims"]) if "claims" in document else NO_CLAIMS,
            allowed_claims=tuple(document.get("allowed_claims", ())),
            claims_locales=tuple(document.get("claims_locales", ())),
            withdrawn=tuple(document.get("withdrawn", ())),
        )
