"""THE ordered list of checks of an authorization request (RFC 6749 4.1.1, OpenID Connect Core 3.1.2.2, RFC 9700).

A request object comes first: what counts is what it says. Then two stages. Until client and redirect URI are known to
belong together nothing may be sent to that URI: those refusals are plain `ProtocolError`s, for a page of ours. After
that each refusal is a `RedirectedError`, which says where to.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.features import FEATURES, Profile, ProfileRules, effective_profile
from app.services.authorization_request import AuthorizationRequest, RequestedResource, ResponseTarget
from app.services.client_registry import Client, Resources
from app.services.details_types import DetailsTypes
from app.services.limit_networks import decide_networks, parse_requested_networks, read_networks
from app.services.narrow_details import belongs_to, find_location
from app.services.release_claims import limit_to_registered
from app.services.requested_resources import check_registered_scope, choose_resources
from app.services.response_target import MAX_STATE_CHARACTERS, FindClient, check_client, find_target
from app.specs.oauth_response_modes import check_response_mode
from app.specs.oidc_claims_request import parse_claims_locales, parse_claims_request
from app.specs.oidc_core import OPENID_SCOPES, SCOPE_CLAIMS, parse_max_age, parse_prompt
from app.specs.protocol_error import (
    InvalidAuthorizationDetails,
    InvalidRequest,
    InvalidScope,
    ProtocolError,
    RegistrationNotSupported,
    UnauthorizedClient,
    UnsupportedResponseType,
)
from app.specs.rfc6749_oauth import parse_scope
from app.specs.rfc7636_pkce import check_code_challenge
from app.specs.rfc8252_redirects import redirect_kind
from app.specs.rfc9396_authorization_details import (
    CLAIM,
    AuthorizationDetail,
    canonical_text,
    details_claim,
    parse_authorization_details,
)
from app.specs.rfc9449_dpop import is_jkt
from app.specs.strict_request import Parameters
from app.specs.tokenhouse_networks import format_networks

MAX_NONCE_CHARACTERS = 2048
SUPPORTED_IDENTITY_SCOPES = frozenset({"openid", *SCOPE_CLAIMS})
MINIMUM_LIFETIME_S = 10
# They travel in the access token, and resource servers take headers of 16 KiB, not of any length.
MAX_DETAILS_BYTES = 8192

OpenRequestObject = Callable[[Parameters, Client, ProfileRules], Parameters]
"""From the parameters that were sent to those that count."""
FindHintedUser = Callable[[Client, str], int]


class RedirectedError(Exception):
    """A refusal that the client hears about at its own registered redirect URI."""

    def __init__(self, error: ProtocolError, target: ResponseTarget) -> None:
        super().__init__(error.description)
        self.error = error
        self.target = target


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the checks look at: the parameters, and the client that is known to own the redirect URI."""

    parameters: Parameters
    client: Client
    target: ResponseTarget
    rules: ProfileRules
    features: frozenset[str]
    resources: Resources
    details_types: DetailsTypes
    userinfo: str
    find_hinted_user: FindHintedUser


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedLimits:
    """The APIs that are asked for, and the networks that the client limits itself to."""

    resources: tuple[RequestedResource, ...]
    networks: tuple[str, ...]


def validate_authorization_request(
    parameters: Parameters,
    *,
    find_client: FindClient,
    open_request_object: OpenRequestObject,
    resources: Resources,
    details_types: DetailsTypes,
    profile: Profile,
    features: frozenset[str],
    userinfo: str,
    find_hinted_user: FindHintedUser,
) -> AuthorizationRequest:
    """The request that `parameters` make. Raises `ProtocolError` (tell the person) or `RedirectedError`.

    `userinfo` is the identifier of the userinfo endpoint as a resource. Does not look at the person, their session or
    their consent.
    """
    client = check_client(parameters, find_client)
    rules = effective_profile(server=profile, client=client.security_profile)
    try:
        parameters = open_request_object(parameters, client, rules)
    except ProtocolError as error:
        raise refuse_request_object(error, parameters, client) from error
    # RFC 6749 3.1: unknown parameters are ignored, and those of what is switched off are unknown.
    parameters = parameters.without(_parameters_of_absent(features))
    # Where there are no modes to choose from, the one that is asked for is refused in the usual one.
    has_modes = "response_modes" in features
    target = find_target(parameters if has_modes else parameters.without({"response_mode"}), client)
    try:
        question = Question(
            parameters=parameters,
            client=client,
            target=target,
            rules=rules,
            features=features,
            resources=resources,
            details_types=details_types,
            userinfo=userinfo,
            find_hinted_user=find_hinted_user,
        )
        fields: dict[str, Any] = {}
        for check in CHECKS:
            fields.update(check(question))
        check_limits_fit(question, AskedLimits(resources=fields["resources"], networks=fields["networks"]))
    except ProtocolError as error:
        raise RedirectedError(error, target) from error
    return AuthorizationRequest(
        client_id=client.client_id,
        client_pk=client.pk,
        redirect_uri=target.redirect_uri,
        redirect_uri_was_sent="redirect_uri" in parameters,
        response_mode=target.response_mode,
        state=target.state,
        **fields,
    )


def _parameters_of_absent(features: frozenset[str]) -> frozenset[str]:
    return frozenset(name for feature in FEATURES if feature.name not in features for name in feature.parameters)


def refuse_request_object(error: ProtocolError, sent: Parameters, client: Client) -> Exception:
    """The refusal of a request object, for the redirect URI beside it if that is the client's own, else for a page.

    A redirect URI within the object is not asked: nobody has vouched for it. One beside it that is not registered is
    refused as it is everywhere.
    """
    try:
        return RedirectedError(error, find_target(sent, client))
    except ProtocolError as unusable:
        return unusable if "redirect_uri" in sent else error


# ----- Once it is known where the client is answered -----


def check_response_type(question: Question) -> Mapping[str, Any]:
    """RFC 6749 3.1.1; `code` is the only one (OAuth 2.1 dropped the others)."""
    response_type = question.parameters.get("response_type")
    if response_type is None:
        raise InvalidRequest("response_type is missing")
    if response_type != "code":
        raise UnsupportedResponseType("response_type must be code")
    if "authorization_code" not in question.client.metadata.grant_types:
        raise UnauthorizedClient("the client is not registered for the authorization code flow")
    return {}


def check_mode(question: Question) -> Mapping[str, Any]:
    """OAuth 2.0 Multiple Response Types 2.1 and Form Post: a mode that is unknown or does not fit is refused."""
    asked = question.parameters.get("response_mode")
    if "response_modes" not in question.features and asked not in (None, "query"):
        raise InvalidRequest("response_mode must be query")
    check_response_mode(
        asked,
        response_type=question.parameters.get("response_type"),
        is_web_redirect=redirect_kind(question.target.redirect_uri) != "custom",
    )
    return {}


def check_registration(question: Question) -> Mapping[str, Any]:
    """OpenID Connect Core 3.1.2.6: what is not supported is refused, never silently dropped."""
    if "registration" in question.parameters:
        raise RegistrationNotSupported("the parameter registration is not supported")
    return {}


def check_state(question: Question) -> Mapping[str, Any]:
    """The state is echoed whole or not at all."""
    if len(question.parameters.get("state") or "") > MAX_STATE_CHARACTERS:
        raise InvalidRequest(f"state is longer than {MAX_STATE_CHARACTERS} characters")
    return {}


def check_pkce(question: Question) -> Mapping[str, Any]:
    """RFC 9700 2.1.1; optional only where the profile says so, and never for a public client."""
    parameters = question.parameters
    code_challenge = parameters.get("code_challenge")
    method = parameters.get("code_challenge_method")
    optional = question.rules.pkce_optional_for_confidential_clients and question.client.is_confidential
    if code_challenge is None and method is None and optional:
        return {"code_challenge": None}
    check_code_challenge(code_challenge, method)
    return {"code_challenge": code_challenge}


def check_prompt(question: Question) -> Mapping[str, Any]:
    """OpenID Connect Core 3.1.2.1."""
    return {"prompt": parse_prompt(question.parameters.get("prompt"))}


def check_max_age(question: Question) -> Mapping[str, Any]:
    """OpenID Connect Core 3.1.2.1, and the client's registered default."""
    max_age_s = parse_max_age(question.parameters.get("max_age"))
    return {"max_age_s": question.client.metadata.default_max_age if max_age_s is None else max_age_s}


def check_nonce(question: Question) -> Mapping[str, Any]:
    """The nonce comes back unchanged in the ID token, so it has a bound."""
    nonce = question.parameters.get("nonce")
    if len(nonce or "") > MAX_NONCE_CHARACTERS:
        raise InvalidRequest(f"nonce is longer than {MAX_NONCE_CHARACTERS} characters")
    return {"nonce": nonce}


def check_scope_and_resources(question: Question) -> Mapping[str, Any]:
    """Which scopes of which API: RFC 6749 3.3, RFC 8707 2. A scope belongs to the one resource that has it."""
    requested = parse_scope(question.parameters.get("scope"))
    if "refresh_token" not in question.client.metadata.grant_types:
        # OpenID Connect Core 11 has it ignored where nothing can come of it.
        requested = tuple(name for name in requested if name != "offline_access")
    check_registered_scope(question.client, requested)
    identity = tuple(name for name in requested if name in SUPPORTED_IDENTITY_SCOPES)
    if identity and "openid" not in identity:
        raise InvalidScope("profile, email, address and phone need openid beside them")
    if identity and "openid" not in question.features:
        raise InvalidScope("people are not told of here: OpenID Connect is switched off")
    api_scope = tuple(name for name in requested if name not in OPENID_SCOPES)
    resources = choose_resources(
        question.client,
        question.resources,
        api_scope=api_scope,
        asked=question.parameters.get_all("resource"),
        userinfo=question.userinfo,
    )
    if not identity and not resources:
        raise InvalidScope("scope is missing")
    return {"identity_scope": identity, "resources": resources, "offline_access": "offline_access" in requested}


def check_claims(question: Question) -> Mapping[str, Any]:
    """OpenID Connect Core 5.5, for what is an OpenID Connect request; as far as the client's registration goes."""
    parameters = question.parameters
    claims = parse_claims_request(parameters.get("claims"))
    if "openid" not in parse_scope(parameters.get("scope")):
        return {}
    return {
        "claims": limit_to_registered(question.client, claims),
        "claims_locales": parse_claims_locales(parameters.get("claims_locales")),
    }


def check_authorization_details(question: Question) -> Mapping[str, Any]:
    """RFC 9396 5: of a known type that the client may use, conforming to it, and for an API that is asked for."""
    details = parse_authorization_details(question.parameters.get(CLAIM))
    if not details:
        return {"authorization_details": ()}
    for detail in details:
        question.details_types.get(detail.type).check(detail)
        if not question.client.may_use_details_type(detail.type):
            raise InvalidAuthorizationDetails("the client is not registered for a type of its authorization_details")
    if len(canonical_text(details).encode()) > MAX_DETAILS_BYTES:
        raise InvalidAuthorizationDetails(f"authorization_details is larger than {MAX_DETAILS_BYTES} bytes")
    requested: tuple[RequestedResource, ...] = check_scope_and_resources(question)["resources"]
    for detail in details:
        _check_has_a_place(question, detail, [asked.resource for asked in requested])
    return {"authorization_details": tuple(details_claim(details))}


def check_lifetime(question: Question) -> Mapping[str, Any]:
    """`tokenhouse_expires_in`: the client may ask for a shorter life than the policy's, in seconds."""
    return {"access_token_lifetime_s": parse_requested_lifetime(question.parameters)}


def check_dpop_jkt(question: Question) -> Mapping[str, Any]:
    """RFC 9449 10: the thumbprint of the key that the code will be for."""
    dpop_jkt = question.parameters.get("dpop_jkt")
    if dpop_jkt is not None and not is_jkt(dpop_jkt):
        raise InvalidRequest("dpop_jkt must be the SHA-256 thumbprint of a key, in base64url")
    return {"dpop_jkt": dpop_jkt}


def check_networks(question: Question) -> Mapping[str, Any]:
    """`tokenhouse_networks`: the client may limit itself to networks, within the policy's."""
    networks = parse_requested_networks(question.parameters, question.client)
    return {"networks": () if networks is None else tuple(format_networks(networks))}


def check_limits_fit(question: Question, asked: AskedLimits) -> None:
    """Raises `InvalidTarget` now where no token could be issued later: for want of a network, or of who checks it."""
    networks = read_networks(asked.networks)
    for requested in asked.resources:
        decide_networks(question.client, question.resources.find(requested.resource), networks)


def check_id_token_hint(question: Question) -> Mapping[str, Any]:
    """OpenID Connect Core 3.1.2.1: "the OP MUST validate that it was the issuer of the ID Token". It may be expired."""
    hint = question.parameters.get("id_token_hint")
    return {"hinted_user_id": None if hint is None else question.find_hinted_user(question.client, hint)}


def read_hints(question: Question) -> Mapping[str, Any]:
    """What helps the person or is voluntary: never a reason to refuse.

    So are `ui_locales`, the languages of the pages, and `display`, which changes nothing: a page fits a popup and a
    phone.
    """
    login_hint = question.parameters.get("login_hint")
    acr_values = (question.parameters.get("acr_values") or "").split(" ")
    return {
        "login_hint": login_hint if login_hint is not None and len(login_hint) <= 200 else None,
        "acr_values": tuple(value for value in acr_values[:20] if value),
        "ui_locales": parse_claims_locales(question.parameters.get("ui_locales")),
    }


CHECKS: tuple[Callable[[Question], Mapping[str, Any]], ...] = (
    check_state,
    check_response_type,
    check_mode,
    check_registration,
    check_pkce,
    check_prompt,
    check_max_age,
    check_nonce,
    check_scope_and_resources,
    check_claims,
    check_authorization_details,
    check_lifetime,
    check_dpop_jkt,
    check_networks,
    check_id_token_hint,
    read_hints,
)


def parse_requested_lifetime(parameters: Parameters) -> int | None:
    """The lifetime that a client asks for, in seconds. Raises `InvalidRequest`. It can only shorten: see the issuer."""
    value = parameters.get("tokenhouse_expires_in")
    if value is None:
        return None
    if not (value.isascii() and value.isdecimal() and len(value) <= 9) or int(value) < MINIMUM_LIFETIME_S:
        raise InvalidRequest(f"tokenhouse_expires_in must be a number of seconds, at least {MINIMUM_LIFETIME_S}")
    return int(value)


def _check_has_a_place(question: Question, detail: AuthorizationDetail, requested: list[str]) -> None:
    for location in detail.members.get("locations") or ():
        if find_location(location, question.resources) not in requested:
            raise InvalidAuthorizationDetails(
                "authorization_details has a location that is not a requested resource", detail=f"{location!r:.300}"
            )
    if not any(
        belongs_to(detail, resource, types=question.details_types, resources=question.resources)
        for resource in requested
    ):
        raise InvalidAuthorizationDetails("authorization_details has an entry for none of the requested resources")
