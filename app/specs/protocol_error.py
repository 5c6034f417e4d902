"""RFC 6749 section 5.2 and its extensions - protocol errors, one class per wire code.

A rule raises the error where it is broken; one renderer per audience (`endpoints` in JSON, `web` as a redirect
or a page) turns it into a response. `description` is public and ASCII; `detail` is for the operator's log only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What was compared, what would have been right, and what came instead: for the operator, never for the caller.

    `what` is the specification's word for it. `expected` may name several values, one per line. No secret stands here:
    of a `code_verifier` only its challenge.
    """

    what: str
    expected: str
    received: str


class ProtocolError(Exception):
    """A refusal with a code that some specification names."""

    error: ClassVar[str] = "server_error"
    status: ClassVar[int] = 400

    def __init__(
        self,
        description: str = "",
        *,
        detail: str = "",
        headers: Mapping[str, str] | None = None,
        differences: Sequence[Difference] = (),
    ) -> None:
        super().__init__(description)
        self.description = description
        self.detail = detail
        self.differences = tuple(differences)
        self.headers: Mapping[str, str] = headers or {}


class InvalidRequest(ProtocolError):
    """RFC 6749 4.1.2.1, 5.2."""

    error = "invalid_request"


class PayloadTooLarge(InvalidRequest):
    """`invalid_request` with the status that says that the body was not read whole."""

    status = 413


class HeadersTooLarge(InvalidRequest):
    """`invalid_request` for headers that nobody who means well sends."""

    status = 431


class MethodNotAllowed(InvalidRequest):
    """`invalid_request` for a method that the endpoint does not have; the caller adds `Allow`."""

    status = 405


class TooManyRequests(InvalidRequest):
    """A rate limit was reached; the caller adds `Retry-After`."""

    error = "temporarily_unavailable"
    status = 429


class InvalidClient(ProtocolError):
    """RFC 6749 5.2: client authentication failed."""

    error = "invalid_client"
    status = 401


class InvalidGrant(ProtocolError):
    """RFC 6749 5.2."""

    error = "invalid_grant"


class UnauthorizedClient(ProtocolError):
    """RFC 6749 4.1.2.1, 5.2."""

    error = "unauthorized_client"


class UnsupportedGrantType(ProtocolError):
    """RFC 6749 5.2."""

    error = "unsupported_grant_type"


class UnsupportedResponseType(ProtocolError):
    """RFC 6749 4.1.2.1."""

    error = "unsupported_response_type"


class InvalidScope(ProtocolError):
    """RFC 6749 4.1.2.1, 5.2."""

    error = "invalid_scope"


class AccessDenied(ProtocolError):
    """RFC 6749 4.1.2.1: the person or the server said no."""

    error = "access_denied"


class TemporarilyUnavailable(ProtocolError):
    """RFC 6749 4.1.2.1: our own fault or overload, never the client's; the caller adds `Retry-After`."""

    error = "temporarily_unavailable"
    status = 503


class InvalidTarget(ProtocolError):
    """RFC 8707 section 2."""

    error = "invalid_target"


class InvalidAuthorizationDetails(ProtocolError):
    """RFC 9396 section 5."""

    error = "invalid_authorization_details"


class InvalidDpopProof(ProtocolError):
    """RFC 9449 section 5; a protected resource answers it with 401 (section 7.1)."""

    error = "invalid_dpop_proof"


class UseDpopNonce(ProtocolError):
    """RFC 9449 section 8, and 9 at a protected resource (401); the caller adds `DPoP-Nonce`."""

    error = "use_dpop_nonce"


class LoginRequired(ProtocolError):
    """OpenID Connect Core 3.1.2.6."""

    error = "login_required"


class ConsentRequired(ProtocolError):
    """OpenID Connect Core 3.1.2.6."""

    error = "consent_required"


class AccountSelectionRequired(ProtocolError):
    """OpenID Connect Core 3.1.2.6."""

    error = "account_selection_required"


class RequestNotSupported(ProtocolError):
    """OpenID Connect Core 3.1.2.6."""

    error = "request_not_supported"


class RequestUriNotSupported(ProtocolError):
    """OpenID Connect Core 3.1.2.6."""

    error = "request_uri_not_supported"


class InvalidRequestObject(ProtocolError):
    """RFC 9101 7, OpenID Connect Core 3.1.2.6."""

    error = "invalid_request_object"


class InvalidRequestUri(ProtocolError):
    """RFC 9101 7, OpenID Connect Core 3.1.2.6."""

    error = "invalid_request_uri"


class RegistrationNotSupported(ProtocolError):
    """OpenID Connect Core 3.1.2.6."""

    error = "registration_not_supported"


class InvalidToken(ProtocolError):
    """RFC 6750 3.1."""

    error = "invalid_token"
    status = 401


class InsufficientScope(ProtocolError):
    """RFC 6750 3.1."""

    error = "insufficient_scope"
    status = 403


class InsufficientUserAuthentication(ProtocolError):
    """RFC 9470 section 3: the login behind the token is too weak or too long ago; the caller names what would do."""

    error = "insufficient_user_authentication"
    status = 401


class InvalidClientMetadata(ProtocolError):
    """RFC 7591 3.2.2."""

    error = "invalid_client_metadata"


class InvalidSoftwareStatement(ProtocolError):
    """RFC 7591 3.2.2."""

    error = "invalid_software_statement"


class UnapprovedSoftwareStatement(ProtocolError):
    """RFC 7591 3.2.2."""

    error = "unapproved_software_statement"


class InvalidRedirectUri(ProtocolError):
    """RFC 7591 3.2.2."""

    error = "invalid_redirect_uri"
