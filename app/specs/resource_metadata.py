"""The metadata of resources: the APIs that tokens are issued for, as an operator registers them.

A member that is not known is refused, never ignored: an ignored restriction would fail open.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from .metadata_values import (
    AccessTokenLifetime,
    AtMost20,
    DisplayText,
    Distinct,
    NetworkTexts,
    ResourceUri,
    Tuple,
    check_display_text,
    validate_document,
)
from .oidc_core import OPENID_SCOPES
from .protocol_error import InvalidRequest
from .rfc6749_oauth import is_scope_token
from .rfc8707_resources import find_origin_alias


class ResourceScope(BaseModel):
    """One scope of a resource; `description` is what people read on the consent page."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Field(max_length=200)]
    description: Annotated[str, Field(max_length=500), AfterValidator(check_display_text)]
    required: bool = False

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        if not is_scope_token(value):
            raise ValueError("must be one scope token (RFC 6749 section 3.3)")
        if value in OPENID_SCOPES:
            raise ValueError("belongs to OpenID Connect")
        return value


class ResourceMetadata(BaseModel):
    """An API that tokens are issued for, as an operator registers it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    resource: ResourceUri
    aliases: Annotated[tuple[ResourceUri, ...], Tuple, AtMost20] = ()
    """Other identifiers that clients may ask by; a bare origin gets its spelling with or without a slash by itself."""
    resource_name: DisplayText | None = None
    scopes: Annotated[tuple[ResourceScope, ...], Tuple, Field(max_length=200)] = ()
    access_token_lifetime_s: AccessTokenLifetime | None = None
    """None leaves it to the server."""
    access_token_format: Literal["jwt", "opaque"] = "jwt"  # noqa: S105 - a format's name
    """An opaque token says nothing to who finds it: the API has to ask us, by introspection."""
    signing_alg: Literal["ES256", "RS256"] = "ES256"
    subject_type: Literal["public", "pairwise"] = "public"
    """Whether its tokens name people by their own subject, or by one that only its sector knows."""
    sector_identifier: Annotated[DisplayText, Field(max_length=255)] | None = None
    """The sector of a pairwise API, which it shares with the APIs and clients of that host; None is its own host."""
    networks: NetworkTexts | None = None
    """The networks from which its tokens may be used; None is anywhere."""
    enforces: Annotated[tuple[Literal["status", "networks", "dpop", "mtls"], ...], Tuple, Distinct] = ()
    """What its verifiers check beyond the basics. Who passes over `th_networks` gets no token that has it."""

    @model_validator(mode="before")
    @classmethod
    def _add_origin_alias(cls, document: Any) -> Any:
        if not isinstance(document, dict) or not isinstance(document.get("resource"), str):
            return document
        try:
            alias = find_origin_alias(document["resource"])
        except ValueError:
            return document  # the member's own validator says what is wrong with it
        aliases = document.get("aliases", [])
        if alias is None or not isinstance(aliases, list):
            return document
        distinct = [other for other in aliases if other not in (alias, document["resource"])]
        return {**document, "aliases": [*distinct, alias]}

    @model_validator(mode="after")
    def _check_names_are_distinct(self) -> Self:
        names = [scope.name for scope in self.scopes]
        if len(set(names)) != len(names):
            raise ValueError("scopes holds one name twice")
        if len({self.resource, *self.aliases}) != 1 + len(self.aliases):
            raise ValueError("aliases holds one identifier twice")
        return self

    @model_validator(mode="after")
    def _check_networks_are_enforced(self) -> Self:
        if self.networks is not None and "networks" not in self.enforces:
            raise ValueError("networks limits nothing unless the verifiers of the resource check it: see enforces")
        return self

    @model_validator(mode="after")
    def _check_sector(self) -> Self:
        if self.sector_identifier is not None and self.subject_type == "public":
            raise ValueError("sector_identifier needs subject_type pairwise")
        return self

    def to_document(self) -> dict[str, Any]:
        """The JSON document, which parses to an equal model."""
        return self.model_dump(mode="json", exclude_none=True)


def parse_resource_metadata(document: Mapping[str, Any]) -> ResourceMetadata:
    """A validated resource. Raises InvalidRequest with a readable description; null members count as absent.

    Does **not** check that the identifiers are free.
    """
    members = {name: value for name, value in document.items() if value is not None}
    return validate_document(ResourceMetadata, members, InvalidRequest)
