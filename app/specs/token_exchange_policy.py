"""Tokenhouse - what an operator lets a client exchange tokens for (RFC 8693), as it stands in the client's policy."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from .oidc_core import OPENID_SCOPES
from .rfc6749_oauth import is_scope_token
from .rfc8707_resources import check_resource_identifier


def _check_resource(value: str) -> str:
    check_resource_identifier(value)
    return value


def _check_scope(value: str) -> str:
    if not is_scope_token(value):
        raise ValueError("must be one scope token (RFC 6749 section 3.3)")
    if value in OPENID_SCOPES:
        raise ValueError("belongs to OpenID Connect")
    return value


def _to_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


class ExchangeAudience(BaseModel):
    """A resource for which a client may get tokens in exchange; the document may have its identifier alone.

    `scopes` bounds what it may get there. None: every scope, as far as the person granted it for the resource; with a
    list, these also where nobody was asked about the resource.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    resource: Annotated[str, AfterValidator(_check_resource)]
    scopes: (
        Annotated[
            tuple[Annotated[str, Field(max_length=200), AfterValidator(_check_scope)], ...],
            BeforeValidator(_to_tuple),
            Field(max_length=200),
        ]
        | None
    ) = None

    @model_validator(mode="before")
    @classmethod
    def _read_identifier(cls, document: Any) -> Any:
        return {"resource": document} if isinstance(document, str) else document
