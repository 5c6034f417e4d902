"""RFC 7591 - Client metadata, with the members of OpenID Connect Registration 1.0, the three logouts and RFC 9101.

A document is validated whole and becomes a frozen model: the one model for clients that an operator adds, that register
themselves, or that are a document on the web. Members that are not known are ignored, as section 2 demands, and refused
in the operator's own part (`policy`), where an ignored restriction would fail open. **Not** here: who may set what, and
fetching what a URI of the document leads to.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from .metadata_values import (
    AccessTokenLifetime,
    AtMost20,
    DisplayText,
    Distinct,
    HttpsUri,
    NetworkTexts,
    ResourceUri,
    ScopeText,
    Tuple,
    WebUri,
    validate_document,
)
from .oidc_core import MAX_MAX_AGE_S
from .page_appearance import Appearance
from .protocol_error import InvalidClientMetadata, InvalidRedirectUri
from .rfc7517_jwk import InvalidKey, check_own_jwk_set, import_encryption_jwk_set
from .rfc8252_redirects import check_redirect_uri_registration, redirect_kind
from .token_exchange_policy import ExchangeAudience

OPERATOR_ONLY_MEMBERS: Final = frozenset({"client_id", "client_secret", "policy"})
"""What a client that registers itself must not set; the caller takes these off before parsing."""
MIN_CHOSEN_SECRET_CHARACTERS: Final = 43
"""256 bits in base64url. Shorter ones are chosen by people, and no slow hash stands behind them."""

ClientAuthenticationMethod = Literal[
    "none", "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"
]
SECRET_METHODS: Final = frozenset({"client_secret_basic", "client_secret_post", "client_secret_jwt"})
"""The methods whose client has a secret of ours."""
DetailsTypeName = Annotated[str, Field(min_length=1, max_length=256)]
KeyManagementAlgorithm = Literal["RSA-OAEP", "RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"]
"""RFC 7518 section 4, without RSA1_5, shared keys and passwords."""
ContentEncryptionAlgorithm = Literal["A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM"]
AssertionAlgorithm = Literal["RS256", "PS256", "ES256", "HS256"]

_CLIENT_ID = re.compile(r"[\x21-\x7e]{1,2048}")
_SUBJECT_LIKE = re.compile(r"u[A-Za-z2-7]{26}")
# OpenID Connect Registration 2: the members that are "human-readable", and the pages that are for people.
_LOCALIZED: Final[Mapping[str, TypeAdapter[str]]] = {
    "client_name": TypeAdapter(DisplayText),
    **dict.fromkeys(("client_uri", "logo_uri", "policy_uri", "tos_uri"), TypeAdapter(WebUri)),
}
_MAX_LOCALIZED: Final = 100
_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,8}")
_CLIENT_SECRET = re.compile(rf"[\x21-\x7e]{{{MIN_CHOSEN_SECRET_CHARACTERS},512}}")


class ClientPolicy(BaseModel):
    """What an operator decides about a client, under `policy`; None leaves it to the server or the resource."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    access_token_lifetime_s: AccessTokenLifetime | None = None
    resources: Annotated[tuple[ResourceUri, ...], Tuple, Field(max_length=100), Distinct] | None = None
    """The resources that the client may ask for; None is every one, an empty list none."""
    introspects: Annotated[tuple[ResourceUri, ...], Tuple, Field(max_length=100), Distinct] | None = None
    """The resources that the client is the server of: it may look into their access tokens (RFC 7662), and exchange
    them for what `token_exchange_audiences` lists.
    """
    networks: NetworkTexts | None = None
    """The networks from which the client may get and use tokens; None is anywhere."""
    token_exchange_audiences: Annotated[tuple[ExchangeAudience, ...], Tuple, Field(max_length=100)] | None = None
    """What the client may exchange access tokens for (RFC 8693): its own and those of the resources that it is the
    server of. Nothing is allowed that is not here.
    """
    skip_consent: bool = False
    rotate_refresh_tokens: bool | None = None
    """False: a client that authenticates itself keeps its refresh token, which lives on with each use. None: so does
    one whose access tokens are always bound to a key (`dpop_bound_access_tokens`); all others rotate.
    """
    security_profile: Literal["oauth21", "openid"] | None = None
    appearance: Appearance | None = None
    """How the pages look where this client asks; None is as the server does."""


class ClientMetadata(BaseModel):
    """A client's registered metadata. Member names are the specifications'."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)

    client_id: str | None = None
    client_secret: SecretStr | None = None
    redirect_uris: Annotated[tuple[str, ...], Tuple, AtMost20, Distinct] = ()
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
        Tuple,
        Field(min_length=1),
        Distinct,
    ] = ("authorization_code",)
    response_types: Annotated[tuple[Literal["code"], ...], Tuple, Distinct] = ("code",)
    application_type: Literal["web", "native"] = "web"
    client_name: DisplayText | None = None
    client_uri: WebUri | None = None
    logo_uri: WebUri | None = None
    tos_uri: WebUri | None = None
    policy_uri: WebUri | None = None
    contacts: Annotated[tuple[DisplayText, ...], Tuple, AtMost20, Distinct] = ()
    scope: ScopeText | None = None
    """The scopes that the client may ask for, separated by spaces; None leaves it to the server."""
    authorization_details_types: (
        Annotated[tuple[DetailsTypeName, ...], Tuple, Field(max_length=100), Distinct] | None
    ) = None
    """The types of authorization details that the client may use (RFC 9396 section 10); None is every one."""
    id_token_signed_response_alg: Literal["RS256", "ES256"] = "RS256"  # noqa: S105 - an algorithm's name
    introspection_signed_response_alg: Literal["RS256", "ES256"] = "RS256"
    """RFC 9701 section 6: what signs the introspection responses that this client asks for as JWTs."""
    default_max_age: Annotated[int, Field(ge=0, le=MAX_MAX_AGE_S)] | None = None
    require_auth_time: bool = False
    default_acr_values: Annotated[tuple[DisplayText, ...], Tuple, AtMost20, Distinct] = ()
    dpop_bound_access_tokens: bool = False
    """RFC 9449 5.2: whether the client gets bound access tokens only."""

    # ----- Keys, and how the client proves itself with them -----
    jwks: Mapping[str, Any] | None = None
    """The client's own public keys; `jwks_uri` says where they are instead."""
    jwks_uri: HttpsUri | None = None
    token_endpoint_auth_signing_alg: AssertionAlgorithm | None = None
    """What must sign the client's assertions; None is whatever fits its method."""

    # ----- Who the person is to the client, and in what envelope -----
    subject_type: Literal["public", "pairwise"] = "public"
    sector_identifier_uri: HttpsUri | None = None
    id_token_encrypted_response_alg: KeyManagementAlgorithm | None = None
    id_token_encrypted_response_enc: ContentEncryptionAlgorithm | None = None
    userinfo_signed_response_alg: Literal["RS256", "ES256"] | None = None
    """None is plain JSON."""
    userinfo_encrypted_response_alg: KeyManagementAlgorithm | None = None
    userinfo_encrypted_response_enc: ContentEncryptionAlgorithm | None = None

    # ----- Request objects (RFC 9101) -----
    request_object_signing_alg: Literal["none", "RS256", "PS256", "ES256"] | None = None
    """What must sign the client's request objects; None is whatever is supported. `none` is for the laxest profile."""
    request_object_encryption_alg: Literal["RSA-OAEP-256", "ECDH-ES"] | None = None
    """What the client may encrypt them with: what we have keys for."""
    request_object_encryption_enc: ContentEncryptionAlgorithm | None = None
    require_signed_request_object: bool = False
    request_uris: Annotated[tuple[HttpsUri, ...], Tuple, AtMost20, Distinct] = ()

    # ----- Starting and ending sessions -----
    initiate_login_uri: HttpsUri | None = None
    post_logout_redirect_uris: Annotated[tuple[str, ...], Tuple, AtMost20, Distinct] = ()
    backchannel_logout_uri: HttpsUri | None = None
    backchannel_logout_session_required: bool = False
    frontchannel_logout_uri: WebUri | None = None
    frontchannel_logout_session_required: bool = False

    # ----- Which program this is (RFC 7591) -----
    software_id: DisplayText | None = None
    software_version: DisplayText | None = None
    policy: ClientPolicy = ClientPolicy()
    localized: Mapping[str, str] = Field(default_factory=dict)
    """Members in other languages and scripts, by their whole names: `client_name#ja-Hani-JP` (RFC 7591 2.2). No member
    of a document is called so.
    """

    @field_validator("localized")
    @classmethod
    def _check_localized(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        if len(value) > _MAX_LOCALIZED:
            raise ValueError(f"there are more than {_MAX_LOCALIZED} members with a language tag")
        for name, text in value.items():
            member, _, tag = name.partition("#")
            if _LANGUAGE_TAG.fullmatch(tag) is None:
                raise ValueError(f"{member} has a language tag that is none (BCP 47)")
            try:
                _LOCALIZED[member].validate_python(text)
            except ValidationError as cause:
                reason = cause.errors(include_url=False, include_input=False, include_context=False)[0]["msg"]
                raise ValueError(f"{name}: {reason.removeprefix('Value error, ')}") from None
        return value

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

    @field_validator("jwks")
    @classmethod
    def _check_jwks(cls, value: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        if value is None:
            return None
        try:
            check_own_jwk_set(value)
        except InvalidKey as cause:
            raise ValueError(str(cause)) from cause
        return value

    @model_validator(mode="after")
    def _check_secret_is_wanted(self) -> Self:
        if self.client_secret is not None and self.token_endpoint_auth_method not in SECRET_METHODS:
            raise ValueError(f"client_secret contradicts token_endpoint_auth_method {self.token_endpoint_auth_method}")
        return self

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        # RFC 7591 2: "The "jwks_uri" and "jwks" parameters MUST NOT both be present in the same request or response."
        if self.jwks is not None and self.jwks_uri is not None:
            raise ValueError("jwks and jwks_uri must not both be present")
        has_keys = self.jwks is not None or self.jwks_uri is not None
        if self.token_endpoint_auth_method == "private_key_jwt" and not has_keys:  # noqa: S105 - a method's name
            raise ValueError("token_endpoint_auth_method private_key_jwt needs jwks or jwks_uri")
        if (self.id_token_encrypted_response_alg or self.userinfo_encrypted_response_alg) and not has_keys:
            raise ValueError("an encrypted response needs jwks or jwks_uri")
        if self.require_signed_request_object and not has_keys:
            raise ValueError("require_signed_request_object needs jwks or jwks_uri")
        return self

    @model_validator(mode="after")
    def _check_encryption_keys_fit(self) -> Self:
        # Keys at an address may still come; those that are here are all that there will be.
        if self.jwks is None:
            return self
        keys = import_encryption_jwk_set(self.jwks)
        for name in ("id_token_encrypted_response_alg", "userinfo_encrypted_response_alg"):
            alg = getattr(self, name)
            if alg is not None and not any(alg in key.algorithms for key in keys):
                raise ValueError(f"jwks has no key that fits {name} {alg}")
        return self

    @model_validator(mode="after")
    def _check_algorithms_fit(self) -> Self:
        alg, method = self.token_endpoint_auth_signing_alg, self.token_endpoint_auth_method
        is_by_secret = {"private_key_jwt": False, "client_secret_jwt": True}.get(method)
        if alg is not None and is_by_secret is not None and (alg == "HS256") != is_by_secret:
            raise ValueError(f"token_endpoint_auth_signing_alg {alg} contradicts {method}")
        for name in ("id_token_encrypted_response", "userinfo_encrypted_response", "request_object_encryption"):
            if getattr(self, f"{name}_enc") is not None and getattr(self, f"{name}_alg") is None:
                raise ValueError(f"{name}_enc needs {name}_alg")
        if self.require_signed_request_object and self.request_object_signing_alg == "none":
            raise ValueError("require_signed_request_object contradicts request_object_signing_alg none")
        return self

    @model_validator(mode="after")
    def _check_sector(self) -> Self:
        # OpenID Connect Registration 5: with several hosts "the Client MUST register a sector_identifier_uri".
        sends_people = "authorization_code" in self.grant_types
        if self.subject_type == "pairwise" and sends_people and find_sector(self) is None:
            raise ValueError("subject_type pairwise needs sector_identifier_uri, or redirect URIs of one host alone")
        return self

    @model_validator(mode="after")
    def _check_logout_uris(self) -> Self:
        if self.backchannel_logout_uri is not None and "#" in self.backchannel_logout_uri:
            raise ValueError("backchannel_logout_uri must not have a fragment")
        if self.frontchannel_logout_uri is not None:
            # Front-Channel Logout 2: "The domain, port, and scheme of this URL MUST be the same as that of a registered
            # Redirection URI value."
            parts = urlsplit(self.frontchannel_logout_uri)
            origins = {urlsplit(uri)[:2] for uri in self.redirect_uris}
            if parts.fragment or (parts.scheme, parts.netloc) not in origins:
                raise ValueError("frontchannel_logout_uri must have the origin of a redirect URI, and no fragment")
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
        if self.policy.rotate_refresh_tokens is False and self.token_endpoint_auth_method == "none":  # noqa: S105
            raise ValueError("policy.rotate_refresh_tokens must be true for a client without authentication")
        return self

    def to_document(self) -> dict[str, Any]:
        """The JSON document, which parses to an equal model. Never holds `client_secret`."""
        document = self.model_dump(mode="json", exclude_none=True, exclude={"client_secret", "localized"})
        return {**document, **self.localized}


def parse_client_metadata(document: Mapping[str, Any]) -> ClientMetadata:
    """A validated client. Raises InvalidRedirectUri or InvalidClientMetadata with a readable description.

    Members that are null count as absent, and so does an empty `scope`. Without `application_type`, a private-use
    redirect URI makes the client `native`: RFC 7591 alone does not know that member. A client that sends nobody here to
    log in (no `authorization_code` among its grant types) has no response types and needs no redirect URI. Does **not**
    check that the client_id is free, and trusts the operator-only members: see OPERATOR_ONLY_MEMBERS.
    """
    members = {name: value for name, value in document.items() if value is not None}
    # RFC 6749 3.1 says so of parameters, and clients that have no scope to name send an empty one.
    if members.get("scope") == "":
        del members["scope"]
    if not _sends_people(members.get("grant_types")):
        members.setdefault("response_types", [])
    if "application_type" not in members and _has_private_use_redirect(members.get("redirect_uris")):
        members["application_type"] = "native"
    members["localized"] = {name: value for name, value in members.items() if _is_localized(name)}
    metadata = validate_document(ClientMetadata, members, InvalidClientMetadata)
    if "authorization_code" in metadata.grant_types and not metadata.redirect_uris:
        raise InvalidRedirectUri("redirect_uris: is required")
    for uri in metadata.redirect_uris:
        check_redirect_uri_registration(uri, application_type=metadata.application_type)
    for uri in metadata.post_logout_redirect_uris:
        _check_post_logout_redirect_uri(uri, metadata)
    return metadata


def find_sector(metadata: ClientMetadata) -> str | None:
    """The host that stands for all clients that know a person by one pairwise subject (OpenID Connect Core 8.1).

    None where redirect URIs of several hosts, or of none, leave it open; and where one of them is not a web host's:
    what stands as a host in a private-use scheme, or names this very device, is nobody's. Does not look at
    `subject_type`.
    """
    if metadata.sector_identifier_uri is not None:
        return urlsplit(metadata.sector_identifier_uri).hostname
    if any(redirect_kind(uri) != "https" for uri in metadata.redirect_uris):
        return None
    hosts = {urlsplit(uri).hostname for uri in metadata.redirect_uris}
    return hosts.pop() if len(hosts) == 1 else None


def _is_localized(name: str) -> bool:
    member, has_tag, _ = name.partition("#")
    return bool(has_tag) and member in _LOCALIZED


def _check_post_logout_redirect_uri(uri: str, metadata: ClientMetadata) -> None:
    """RP-Initiated Logout 3.1: as strict as redirect URIs, because a browser is sent there as well."""
    try:
        check_redirect_uri_registration(uri, application_type=metadata.application_type)
    except InvalidRedirectUri as cause:
        raise InvalidClientMetadata(f"post_logout_redirect_uris: {cause.description}") from cause


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
