"""Offline verification of RFC 9068 access tokens, for resource servers.

Imports of this package's own modules are relative, because it also ships as a wheel of its own, where its parent is
not called `app`. Flask is imported by `flask.py` only, pytest by `pytest_plugin.py`, and nothing here imports those.
"""

from ..specs.protocol_error import (
    InsufficientScope,
    InsufficientUserAuthentication,
    InvalidDpopProof,
    InvalidRequest,
    InvalidToken,
    ProtocolError,
    TemporarilyUnavailable,
    UseDpopNonce,
)
from ..specs.rfc9068_access_token import AccessTokenClaims
from ..specs.rfc9396_authorization_details import AuthorizationDetail
from .access_token import AccessTokenVerifier
from .protected_resource import Refusal, admit
from .renewed_copy import WouldWait
from .replays import InProcessReplays, ReplayStore
from .requirement import Requirement, allows, require
from .resource_request import ResourceRequest
from .status_lists import FetchedList, StatusListSource

__all__ = [
    "AccessTokenClaims",
    "AccessTokenVerifier",
    "AuthorizationDetail",
    "FetchedList",
    "InProcessReplays",
    "InsufficientScope",
    "InsufficientUserAuthentication",
    "InvalidDpopProof",
    "InvalidRequest",
    "InvalidToken",
    "ProtocolError",
    "Refusal",
    "ReplayStore",
    "Requirement",
    "ResourceRequest",
    "StatusListSource",
    "TemporarilyUnavailable",
    "UseDpopNonce",
    "WouldWait",
    "admit",
    "allows",
    "require",
]
