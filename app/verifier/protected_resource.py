"""What Flask, WSGI and ASGI have in common: a request in, claims or a complete refusal out."""

import json
from collections.abc import Callable, Collection
from typing import Final

from ..specs.protocol_error import (
    InsufficientScope,
    InsufficientUserAuthentication,
    InvalidDpopProof,
    InvalidToken,
    ProtocolError,
    TemporarilyUnavailable,
    UseDpopNonce,
)
from ..specs.rfc6750_bearer import AuthorizationScheme, challenge
from ..specs.rfc9068_access_token import AccessTokenClaims
from ..specs.rfc9449_dpop import CHALLENGE_ALGS
from ..specs.rfc9470_step_up import challenge_parameters
from ..specs.rfc9728_resource_metadata import CHALLENGE_PARAMETER
from .access_token import AccessTokenVerifier
from .requirement import VALID_TOKEN, Requirement, require
from .resource_request import ResourceRequest

# Where the WSGI environ and the ASGI scope carry the claims.
CLAIMS_KEY: Final = "tokenhouse.access_token"

# (method, path) -> what the request needs; None means that it needs no token.
ScopeRule = Callable[[str, str], Collection[str] | Requirement | None]
RequirementRule = Callable[[str, str], Requirement | None]


class Refusal(Exception):
    """A complete answer in place of the resource's: status, headers, body. `error` is None where no token was sent."""

    def __init__(
        self,
        error: ProtocolError | None,
        *,
        verifier: AccessTokenVerifier,
        requirement: Requirement = VALID_TOKEN,
        scheme: AuthorizationScheme | None = None,
    ) -> None:
        super().__init__("no token" if error is None else f"{error.error}: {error.description}")
        self.error = error
        self.status = _get_status(error)
        self.body = b"" if error is None else _render_body(error)
        self.headers: list[tuple[str, str]] = [
            ("Cache-Control", "no-store"),
            # PEP 3333's validator wants one for an empty body too.
            ("Content-Type", "text/plain; charset=utf-8" if error is None else "application/json"),
            ("Content-Length", str(len(self.body))),
        ]
        if error is not None:
            self.headers.extend(error.headers.items())
        # The fault of a 503 is ours: a challenge would make clients throw good tokens away.
        if not isinstance(error, TemporarilyUnavailable):
            # In one line (RFC 9110 11.6.1), the one with the error first: many clients keep one value per header.
            challenges = _make_challenges(error, verifier, requirement, scheme)
            self.headers.append(("WWW-Authenticate", ", ".join(challenges)))


def admit(
    verifier: AccessTokenVerifier,
    request: ResourceRequest,
    requirement: Requirement = VALID_TOKEN,
    *,
    wait: bool = True,
) -> AccessTokenClaims:
    """Returns the claims of the request's token; raises Refusal, and WouldWait without `wait`.

    Reads the Authorization header alone: a token in the query or the body is no token.
    """
    try:
        claims = verifier.verify_request(request, requirement, wait=wait)
        if claims is not None:
            return claims
        error = None
    except ProtocolError as refused:
        error = refused
    scheme: AuthorizationScheme = "DPoP" if (request.authorization or "")[:5].lower() == "dpop " else "Bearer"
    raise Refusal(error, verifier=verifier, requirement=requirement, scheme=scheme) from error


def make_requirement_rule(needed: str | Collection[str] | Requirement | ScopeRule) -> RequirementRule:
    """Returns a rule that asks for the same everywhere, or the given one with its scopes made into requirements."""
    if isinstance(needed, Requirement):
        return lambda _method, _path: needed
    if not callable(needed):
        always = require(needed)
        return lambda _method, _path: always
    rule = needed

    def decide(method: str, path: str) -> Requirement | None:
        answer = rule(method, path)
        return answer if answer is None or isinstance(answer, Requirement) else require(answer)

    return decide


def _get_status(error: ProtocolError | None) -> int:
    # RFC 9449 7.1 and 9: at a protected resource both are 401; elsewhere they are 400.
    if error is None or isinstance(error, InvalidDpopProof | UseDpopNonce):
        return 401
    return error.status


def _make_challenges(
    error: ProtocolError | None,
    verifier: AccessTokenVerifier,
    requirement: Requirement,
    scheme: AuthorizationScheme | None,
) -> list[str]:
    """One challenge per scheme that would do; the error stands in that of the scheme that was used."""
    # RFC 6750 section 3: the scope of a challenge is "the required scope of the access token for accessing the
    # requested resource".
    names_scope = error is None or isinstance(error, InsufficientScope)
    parameters = {}
    if isinstance(error, InsufficientUserAuthentication):
        parameters = challenge_parameters(acr_values=requirement.acr_values, max_age_s=requirement.max_age_s)
    if verifier.published.url is not None:
        parameters[CHALLENGE_PARAMETER] = verifier.published.url
    schemes: list[AuthorizationScheme] = list(verifier.schemes)
    if error is not None:
        blamed = scheme if scheme in schemes else schemes[0]
        # Another scheme is of use only to somebody who needs another token.
        others = schemes if isinstance(error, InvalidToken) else ()
        schemes = [blamed, *(other for other in others if other != blamed)]
    challenges = []
    for position, offered in enumerate(schemes):
        own = {**parameters, "algs": CHALLENGE_ALGS} if offered == "DPoP" else parameters
        challenges.append(
            challenge(
                error if position == 0 else None,
                realm=verifier.audience[0],
                scope=" ".join(requirement.scope) if names_scope else None,
                scheme=offered,
                parameters=own,
            )
        )
    return challenges


def _render_body(error: ProtocolError) -> bytes:
    return json.dumps({"error": error.error, "error_description": error.description}).encode("ascii")
