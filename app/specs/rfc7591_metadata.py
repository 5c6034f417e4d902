"""RFC 7591 - Client metadata, with OpenID Connect Registration 1.0's members, and the metadata of resources.

Documents are validated whole and become frozen models. Members of features that are not built are ignored in a
client's document, as section 2 demands, and refused in the operator's own parts (`policy`, resources), where an ignored
restriction would fail open. The registration endpoint is **not** here, nor are software statements.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from .oidc_core import MAX_MAX_AGE_S, OPENID_SCOPES
from .protocol_error import InvalidClientMetadata, InvalidRedirectUri, InvalidRequest, InvalidScope, ProtocolError
from .rfc3986_uri import check_web_host, parse_uri
from .rfc6749_oauth import format_scope, is_scope_token, parse_scope
from .rfc8252_redirects import check_redirect_uri_registration, redirect_kind
from .rfc8707_resources import check_resource_identifier, find_origin_alias
from .token_exchange_policy import ExchangeAudience
from .tokenhouse_networks import MAX_NETWORKS, format_networks, parse_networks

OPERATOR_ONLY_MEMBERS: Final = frozenset({"client_id", "client_secret", "policy"})
"""What a client that registers itself must not set; the caller takes these off before parsing."""
MAX_ACCESS_TOKEN_LIFETIME_S: Final = 3600
MIN_CHOSEN_SECRET_CHARACTERS: Final = 43
"""256 bits in base64url. Shorter ones are chosen by people, and no slow hash stands behind them."""

_CLIENT_ID = re.compile(r"[\x21-\x7e]{1,2048}")
_SUBJECT_LIKE = re.compile(r"u[A-Za-z2-7]{26}")
_CLIENT_SECRET = re.compile(rf"[\x21-\x7e]{{{MIN_CHOSEN_SECRET_CHARACTERS},512}}")
# Names are shown to people who decide by them: nothing that hides, or that turns the direction of what follows.
_DECEPTIVE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)

Model = TypeVar("Model", bound=BaseModel)


# ----- Kinds of values -----


def is_display_text(value: str) -> bool:
    """Whether people can be shown the text: something visible, and nothing that hides or turns what follows."""
    return _DECEPTIVE.search(value) is None and bool(value.strip())


def _check_display_text(value: str) -> str:
    if not is_display_text(value):
        raise ValueError("must be visible text without control characters")
    return value


def _check_web_uri(value: str) -> str:
    uri = parse_uri(value)
    if uri.scheme not in ("http", "https"):
        raise ValueError("must use https")
    check_web_host(uri.host)
    if uri.userinfo is not None:
        raise ValueError("must not hold credentials")
    if uri.scheme == "http" and uri.host not in ("127.0.0.1", "[::1]", "localhost"):
        raise ValueError("must use https")
    return value


def _check_resource(value: str) -> str:
    check_resource_identifier(value)
    return value


def _check_scope(value: str) -> str:
    try:
        return format_scope(parse_scope(value))
    except InvalidScope as cause:
        raise ValueError(cause.description) from cause


def _drop_repeated(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _to_tuple(value: object) -> object:
    """JSON arrays are lists; the models are strict and hold tuples."""
    return tuple(value) if isinstance(value, list) else value


def _canonical_networks(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(format_networks(parse_networks(values)))


DisplayText = Annotated[str, Field(max_length=200), AfterValidator(_check_display_text)]
WebUri = Annotated[str, AfterValidator(_check_web_uri)]
ResourceUri = Annotated[str, AfterValidator(_check_resource)]
AccessTokenLifetime = Annotated[int, Field(ge=1, le=MAX_ACCESS_TOKEN_LIFETIME_S)]
ClientAuthenticationMethod = Literal["none", "client_secret_basic", "client_secret_post"]
DetailsTypeName = Annotated[str, Field(min_length=1, max_length=256)]
_AtMost20 = Field(max_length=20)
_Tuple = BeforeValidator(_to_tuple)
_Distinct = AfterValidator(_drop_repeated)
NetworkTexts = Annotated[
    tuple[str, ...], _Tuple, Field(min_length=1, max_length=MAX_NETWORKS), AfterValidator(_canonical_networks)
]


# ----- Clients -----


class ClientPolicy(BaseModel):
    """What an operator decides about a client, under `policy`; None leaves it to the server or the resource."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    access_token_lifetime_s: AccessTokenLifetime | None = None
    resources: Annotated[tuple[ResourceUri, ...], _Tuple, Field(max_length=100), _Distinct] | None = None
    """The resources that the client may ask for; None is every one, an empty list none."""
    introspects: Annotated[tuple[ResourceUri, ...], _Tuple, Field(max_length=100), _Distinct] | None = None
    """The resources that the client is the server of: it may look into their access tokens (RFC 7662), and exchange
    them for what `token_exchange_audiences` lists.
    """
    networks: NetworkTexts | None = None
    """The networks from which the client may get and use tokens; None is anywhere."""
    token_exchange_audiences: Annotated[tuple[ExchangeAudience, ...], _Tuple, Field(max_length=100)] | None = None
    """What the client may exchange access tokens for (RFC 8693): its own and those of the resources that it is the
    server of. Nothing is allowed that is not here.
    """
    skip_consent: bool = False
    rotate_refresh_tokens: bool = True
    """False: a client that authenticates itself keeps its refresh token, which lives on with each use."""
    security_profile: Literal["oauth21", "openid"] | None = None


class ClientMetadata(BaseModel):
    """A client's registered metadata. Member names are the specifications'."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)

    client_id: str | None = None
    client_secret: SecretStr | None = None
    redirect_uris: Annotated[tuple[str, ...], _Tuple, _AtMost20, _Distinct] = ()
    token_endpoint_auth_method: ClientAuthenticationMethod = "client_secret_basic"  # noqa: S105 - a method's name
    grant_types: Annotated[
        tuple[
            Literal[
                "authorization_code",
                "refresh_token",
                "client_credentials",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ],
            ...,
        ],
        _Tuple,
        Field(min_length=1),
        _Distinct,
    ] = ("authorization_code",)
    response_types: Annotated[tuple[Literal["code"], ...], _Tuple, _Distinct] = ("code",)
    application_type: Literal["web", "native"] = "web"
    client_name: DisplayText | None = None
    client_uri: WebUri | None = None
    logo_uri: WebUri | None = None
    tos_uri: WebUri | None = None
    policy_uri: WebUri | None = None
    contacts: Annotated[tuple[DisplayText, ...], _Tuple, _AtMost20, _Distinct] = ()
    scope: Annotated[str, AfterValidator(_check_scope)] | None = None
    """The scopes that the client may ask for, separated by spaces; None leaves it to the server."""
    authorization_details_types: (
        Annotated[tuple[DetailsTypeName, ...], _Tuple, Field(max_length=100), _Distinct] | None
    ) = None
    """The types of authorization details that the client may use (RFC 9396 section 10); None is every one."""
    id_token_signed_response_alg: Literal["RS256", "ES256"] = "RS256"  # noqa: S105 - an algorithm's name
    introspection_signed_response_alg: Literal["RS256", "ES256"] = "RS256"
    """RFC 9701 section 6: what signs the introspection responses that this client asks for as JWTs."""
    default_max_age: Annotated[int, Field(ge=0, le=MAX_MAX_AGE_S)] | None = None
    require_auth_time: bool = False
    default_acr_values: Annotated[tuple[DisplayText, ...], _Tuple, _AtMost20, _Distinct] = ()
    dpop_bound_access_tokens: bool = False
    """RFC 9449 5.2: whether the client gets bound access tokens only."""
    policy: ClientPolicy = ClientPolicy()

    @field_validator("client_id")
    @classmethod
    def _check_client_id(cls, value: str | None) -> str | None:
        if value is not None and _CLIENT_ID.fullmatch(value) is None:
            raise ValueError("must be 1 to 2048 printable ASCII characters without a space")
        # A machine's `sub` is its client_id: one that looks like a person's could be taken for that person.
        if value is not None and _SUBJECT_LIKE.fullmatch(value):
            raise ValueError("looks like a user's subject")
        return value

    @field_validator("client_secret")
    @classmethod
    def _check_client_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and _CLIENT_SECRET.fullmatch(value.get_secret_value()) is None:
            raise ValueError(f"must have {MIN_CHOSEN_SECRET_CHARACTERS} to 512 printable ASCII characters")
        return value

    @model_validator(mode="after")
    def _check_secret_is_wanted(self) -> Self:
        if self.client_secret is not None and self.token_endpoint_auth_method == "none":  # noqa: S105
            raise ValueError("client_secret contradicts token_endpoint_auth_method none")
        return self

    @model_validator(mode="after")
    def _check_grant_types_fit(self) -> Self:
        # RFC 7591 2.1: grant types and response types "are partially orthogonal", and must not contradict each other.
        if ("authorization_code" in self.grant_types) != ("code" in self.response_types):
            raise ValueError("response_types contradicts grant_types: code belongs to authorization_code")
        # RFC 6749 4.4: "The client credentials grant type MUST only be used by confidential clients."
        if "client_credentials" in self.grant_types and self.token_endpoint_auth_method == "none":  # noqa: S105
            raise ValueError("grant_types: client_credentials contradicts token_endpoint_auth_method none")
        if "refresh_token" in self.grant_types and "authorization_code" not in self.grant_types:
            raise ValueError("grant_types: refresh_token needs a grant beside it that gives the first one")
        return self

    @model_validator(mode="after")
    def _check_refresh_tokens(self) -> Self:
        # RFC 9700 2.2.2: refresh tokens of public clients "MUST be sender-constrained or use refresh token rotation".
        if not self.policy.rotate_refresh_tokens and self.token_endpoint_auth_method == "none":  # noqa: S105
            raise ValueError("policy.rotate_refresh_tokens must be true for a client without authentication")
        return self

    def to_document(self) -> dict[str, Any]:
        """The JSON document, which parses to an equal model. Never holds `client_secret`."""
        return self.model_dump(mode="json", exclude_none=True, exclude={"client_secret"})


def parse_client_metadata(document: Mapping[str, Any]) -> ClientMetadata:
    """A validated client. Raises InvalidRedirectUri or InvalidClientMetadata with a readable description.

    Members that are null count as absent. Without `application_type`, a private-use redirect URI makes the client
    `native`: RFC 7591 alone does not know that member. A client that sends nobody here to log in (no
    `authorization_code` among its grant types) has no response types and needs no redirect URI. Does **not** check
    that the client_id is free, and trusts the operator-only members: see OPERATOR_ONLY_MEMBERS.
    """
    members = {name: value for name, value in document.items() if value is not None}
    if not _sends_people(members.get("grant_types")):
        members.setdefault("response_types", [])
    if "application_type" not in members and _has_private_use_redirect(members.get("redirect_uris")):
        members["application_type"] = "native"
    metadata = _validate(ClientMetadata, members, InvalidClientMetadata)
    if "authorization_code" in metadata.grant_types and not metadata.redirect_uris:
        raise InvalidRedirectUri("redirect_uris: is required")
    for uri in metadata.redirect_uris:
        check_redirect_uri_registration(uri, application_type=metadata.application_type)
    return metadata


def _sends_people(grant_types: object) -> bool:
    return not isinstance(grant_types, list) or "authorization_code" in grant_types


def _has_private_use_redirect(redirect_uris: object) -> bool:
    if not isinstance(redirect_uris, list):
        return False
    return any(isinstance(uri, str) and _is_private_use(uri) for uri in redirect_uris)


def _is_private_use(uri: str) -> bool:
    try:
        return redirect_kind(uri) == "custom"
    except ValueError:
        return False


# ----- Resources -----


class ResourceScope(BaseModel):
    """One scope of a resource; `description` is what people read on the consent page."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Field(max_length=200)]
    description: Annotated[str, Field(max_length=500), AfterValidator(_check_display_text)]
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
    aliases: Annotated[tuple[ResourceUri, ...], _Tuple, _AtMost20] = ()
    """Other identifiers that clients may ask by; a bare origin gets its spelling with or without a slash by itself."""
    resource_name: DisplayText | None = None
    scopes: Annotated[tuple[ResourceScope, ...], _Tuple, Field(max_length=200)] = ()
    access_token_lifetime_s: AccessTokenLifetime | None = None
    """None leaves it to the server."""
    access_token_format: Literal["jwt", "opaque"] = "jwt"  # noqa: S105 - a format's name
    """An opaque token says nothing to who finds it: the API has to ask us, by introspection."""
    signing_alg: Literal["ES256", "RS256"] = "ES256"
    networks: NetworkTexts | None = None
    """The networks from which its tokens may be used; None is anywhere."""
    enforces: Annotated[tuple[Literal["status", "networks", "dpop", "mtls"], ...], _Tuple, _Distinct] = ()
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

    def to_document(self) -> dict[str, Any]:
        """The JSON document, which parses to an equal model."""
        return self.model_dump(mode="json", exclude_none=True)


def parse_resource_metadata(document: Mapping[str, Any]) -> ResourceMetadata:
    """A validated resource. Raises InvalidRequest with a readable description; null members count as absent.

    Does **not** check that the identifiers are free.
    """
    members = {name: value for name, value in document.items() if value is not None}
    return _validate(ResourceMetadata, members, InvalidRequest)


# ----- Refusals -----

_SENTENCES: Final = {
    "missing": "is required",
    "extra_forbidden": "is not a known member",
    "tuple_type": "must be an array",
    "string_type": "must be a string",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}
# RFC 6749 5.2: error_description "MUST NOT include characters outside the set %x20-21 / %x23-5B / %x5D-7E".
_NOT_DESCRIPTIVE = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


def _validate(model: type[Model], members: Mapping[str, Any], error: Callable[..., ProtocolError]) -> Model:
    try:
        return model.model_validate(members)
    except ValidationError as cause:
        first = cause.errors(include_url=False, include_input=False, include_context=False)[0]
        if first["loc"][:1] == ("redirect_uris",):
            error = InvalidRedirectUri
        sentence = _SENTENCES.get(first["type"]) or first["msg"].removeprefix("Value error, ")
        # Not `from cause`: pydantic's error holds the whole input, the client's secret too.
        raise error(_describe(first["loc"], sentence)) from None


def _describe(location: tuple[int | str, ...], sentence: str) -> str:
    """`scopes[0].name: must be ...`. The refused value is left out: it may be a secret."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    text = f"{path}: {sentence}" if path else sentence
    return _NOT_DESCRIPTIVE.sub("?", text)[:300]
