"""What an operator says of another provider whose logins count here.

A member that is not known is refused, never ignored. A provider of kind `openid` is known by its issuer alone; one of
kind `oauth` (no ID token, no discovery) names its endpoints, and where in its userinfo answer a person is described.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from .metadata_values import DisplayText, Distinct, ScopeText, Tuple, WebUri, validate_document
from .protocol_error import InvalidRequest
from .rfc3986_uri import check_web_host, parse_uri

Level = Literal["pwd", "mfa", "phr"]
LEVELS: Final[tuple[Level, ...]] = ("pwd", "mfa", "phr")
MAX_DOMAINS: Final = 100

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_PATH = re.compile(r"[^\x00-\x20\x7f.]{1,100}(?:\.[^\x00-\x20\x7f.]{1,100}){0,4}")


def _check_issuer(value: str) -> str:
    uri = parse_uri(value)
    if uri.query is not None or uri.fragment is not None:
        raise ValueError("must hold neither a query nor a fragment")
    return value


def _check_endpoint(value: str) -> str:
    if parse_uri(value).fragment is not None:
        raise ValueError("must not hold a fragment")
    return value


def _check_domain(value: str) -> str:
    domain = value.lower()
    check_web_host(domain)
    if "." not in domain or "[" in domain:
        raise ValueError("must be a domain such as example.com")
    return domain


def _check_path(value: str) -> str:
    if _PATH.fullmatch(value) is None:
        raise ValueError("must be a member's name, or several with dots between")
    return value


Issuer = Annotated[WebUri, AfterValidator(_check_issuer)]
EndpointUri = Annotated[WebUri, AfterValidator(_check_endpoint)]
Domain = Annotated[str, Field(max_length=253), AfterValidator(_check_domain)]
ClaimPath = Annotated[str, Field(max_length=500), AfterValidator(_check_path)]


class ClaimMapping(BaseModel):
    """Where in the answer of `userinfo_endpoint` it stands who somebody is: members' names, with dots between."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    subject: ClaimPath
    email: ClaimPath | None = None
    email_verified: ClaimPath | None = None
    name: ClaimPath | None = None


class IdentityProvider(BaseModel):
    """Another provider. Its `client_secret` is no member: it is kept sealed, beside the document."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    name: str
    """A segment of its callback's path."""
    display_name: DisplayText
    kind: Literal["openid", "oauth"] = "openid"
    issuer: Issuer | None = None
    authorization_endpoint: EndpointUri | None = None
    token_endpoint: EndpointUri | None = None
    userinfo_endpoint: EndpointUri | None = None
    mapping: ClaimMapping | None = None
    client_id: Annotated[str, Field(min_length=1, max_length=2048)]
    token_endpoint_auth_method: Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "none"] = (
        "client_secret_basic"  # noqa: S105 - a method's name
    )
    scope: ScopeText | None = None
    id_token_signing_algs: Annotated[
        tuple[Literal["RS256", "ES256", "PS256"], ...], Tuple, Distinct, Field(min_length=1)
    ] = ("RS256", "ES256", "PS256")
    provisioning: Literal["off", "invite", "domain"] = "off"
    email_domains: Annotated[tuple[Domain, ...], Tuple, Distinct, Field(max_length=MAX_DOMAINS)] = ()
    trust_email: bool = False
    """Whether an address that the provider has verified counts as verified here, when an account is made."""
    usable_for: Literal["login", "link"] = "login"
    """`link`: it can be linked to an account, and nobody signs in by it."""
    level_cap: Level = "pwd"
    acr_levels: dict[str, Level] = Field(default_factory=dict, max_length=20)
    amr_levels: dict[str, Level] = Field(default_factory=dict, max_length=20)

    @property
    def identity(self) -> str:
        """What, together with a subject, says who somebody is: the issuer, or what stands for it."""
        return self.issuer if self.issuer is not None else f"oauth:{self.name}"

    @property
    def requested_scope(self) -> str:
        """The scope that is asked for."""
        if self.scope is not None:
            return self.scope
        return "openid email profile" if self.kind == "openid" else ""

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        if _NAME.fullmatch(value) is None:
            raise ValueError("must have 1 to 40 lower-case letters, digits and hyphens inside")
        return value

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        endpoints = (self.authorization_endpoint, self.token_endpoint, self.userinfo_endpoint, self.mapping)
        if self.kind == "openid":
            if self.issuer is None:
                raise ValueError("a provider of kind openid needs its issuer")
            if any(part is not None for part in endpoints):
                raise ValueError("endpoints and mapping are for kind oauth: an issuer publishes its own")
            if "openid" not in self.requested_scope.split():
                raise ValueError("scope must hold openid")
        elif self.issuer is not None:
            raise ValueError("an issuer is for kind openid")
        elif any(part is None for part in endpoints):
            raise ValueError("kind oauth needs authorization_endpoint, token_endpoint, userinfo_endpoint and mapping")
        elif self.acr_levels or self.amr_levels or self.level_cap != "pwd":
            raise ValueError("a provider of kind oauth does not say how somebody logged in: level_cap must be pwd")
        return self

    @model_validator(mode="after")
    def _check_provisioning(self) -> Self:
        if self.provisioning == "domain" and not self.email_domains:
            raise ValueError("provisioning domain needs email_domains")
        if self.provisioning != "off" and self.usable_for == "link":
            raise ValueError("provisioning needs usable_for login: who cannot sign in needs no account")
        if self.provisioning != "off" and self.mapping is not None and self.mapping.email_verified is None:
            raise ValueError("provisioning needs a mapping of email and email_verified")
        if self.provisioning != "off" and self.mapping is not None and self.mapping.email is None:
            raise ValueError("provisioning needs a mapping of email and email_verified")
        return self

    def to_document(self) -> dict[str, Any]:
        """The JSON document, which parses to an equal model."""
        return self.model_dump(mode="json", exclude_none=True)


def parse_identity_provider(document: Mapping[str, Any]) -> IdentityProvider:
    """A validated provider. Raises InvalidRequest with a readable description; null members count as absent.

    Does **not** ask the provider anything, and does not check that name and domains are free.
    """
    members = {name: value for name, value in document.items() if value is not None}
    return validate_document(IdentityProvider, members, InvalidRequest)


def reached_level(provider: IdentityProvider, *, acr: str | None, amr: tuple[str, ...]) -> Level:
    """The level that a login there counts for here: the highest that is mapped, never above the cap."""
    mapped = [provider.acr_levels[acr]] if acr is not None and acr in provider.acr_levels else []
    mapped += [provider.amr_levels[word] for word in amr if word in provider.amr_levels]
    highest = max((LEVELS.index(level) for level in mapped), default=0)
    return LEVELS[min(highest, LEVELS.index(provider.level_cap))]
