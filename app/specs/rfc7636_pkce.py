"""RFC 7636 - Proof Key for Code Exchange (PKCE).

Only S256. `plain`, and with it the meaning of an absent `code_challenge_method`, is **not** implemented: it protects
against nobody who sees the authorization request. Who needs PKCE is policy and is decided by the caller.
"""

import base64
import hashlib
import hmac
import re

from .protocol_error import Difference, InvalidGrant, InvalidRequest

# Section 4.2 with S256: base64url without padding of 32 bytes. fullmatch, because "$" would let a newline pass.
_CODE_CHALLENGE = re.compile(r"[A-Za-z0-9_\-]{43}")
# Section 4.1: code-verifier = 43*128unreserved
_CODE_VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}")


def check_code_challenge(code_challenge: str | None, code_challenge_method: str | None) -> None:
    """At the authorization and pushed-request endpoints (section 4.4.1). Raises InvalidRequest."""
    if code_challenge is None:
        raise InvalidRequest("code_challenge is required")
    # Section 4.3: an absent method means "plain", so it must be sent. Compared exactly: "s256" is another name.
    if code_challenge_method != "S256":
        raise InvalidRequest("code_challenge_method must be S256")
    if _CODE_CHALLENGE.fullmatch(code_challenge) is None:
        raise InvalidRequest("code_challenge must be 43 base64url characters")


def check_code_verifier(code_verifier: str | None, code_challenge: str) -> None:
    """At the token endpoint (section 4.6), against the challenge stored with the code. Raises InvalidGrant.

    Does **not** spend the code: the caller does, also when this refuses.
    """
    if code_verifier is None:
        raise InvalidGrant("code_verifier is required")
    if _CODE_VERIFIER.fullmatch(code_verifier) is None:
        raise InvalidGrant("code_verifier is malformed")
    # Section 4.6: "If the values are not equal, an error response indicating "invalid_grant" ... MUST be returned."
    derived = derive_code_challenge(code_verifier)
    if not hmac.compare_digest(derived.encode(), code_challenge.encode()):
        # The challenges alone: a verifier may belong to a code that still counts.
        difference = Difference(what="code_challenge", expected=code_challenge, received=derived)
        raise InvalidGrant("code_verifier does not match", differences=[difference])


def check_no_code_verifier(code_verifier: str | None) -> None:
    """For a code that was issued without a challenge, where policy allows that at all. Raises InvalidGrant.

    RFC 9700 2.1.1: a server MUST ensure "that a token request containing a code_verifier parameter is accepted only
    if a code_challenge parameter was present in the authorization request": else an attacker strips the challenge.
    """
    if code_verifier is not None:
        raise InvalidGrant("code_verifier was sent, but the code was requested without a code_challenge")


def derive_code_challenge(code_verifier: str) -> str:
    """The S256 challenge of section 4.2. Does **not** check the verifier's syntax; it must be ASCII."""
    digest = hashlib.sha256(code_verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
