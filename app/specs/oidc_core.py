"""OpenID Connect Core 1.0 - request parameters, ID token claims, scopes that ask for claims.

The `claims` parameter is `oidc_claims_request`, signing `rfc7515_jose`, encryption `rfc7516_jwe`. Response types other
than `code` are **not** implemented, so that `c_hash` is never due.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from .protocol_error import InvalidRequest

PROMPTS: Final = frozenset({"none", "login", "consent", "select_account"})
# 68 years: the seconds of any sensible answer, and no integer that a database refuses.
MAX_MAX_AGE_S: Final = 2**31 - 1

# Section 5.4.
SCOPE_CLAIMS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "profile": (
            "name",
            "family_name",
            "given_name",
            "middle_name",
            "nickname",
            "preferred_username",
            "profile",
            "picture",
            "website",
            "gender",
            "birthdate",
            "zoneinfo",
            "locale",
            "updated_at",
        ),
        "email": ("email", "email_verified"),
        "address": ("address",),
        "phone": ("phone_number", "phone_number_verified"),
    }
)
# Scopes that belong to OpenID Connect itself; a resource cannot have one of the same name.
OPENID_SCOPES: Final = frozenset({"openid", "offline_access", *SCOPE_CLAIMS})

_DIGITS = re.compile(r"[0-9]{1,10}")
_HASHES: Final = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}


# ----- Request parameters (section 3.1.2.1) -----


def parse_prompt(value: str | None) -> frozenset[str]:
    """The prompts asked for; empty for None. Raises InvalidRequest."""
    if not value:
        return frozenset()
    prompts = frozenset(value.split(" "))
    # Initiating User Registration via OpenID Connect 1.0, 4: what is not in prompt_values_supported is refused.
    if "create" in prompts:
        raise InvalidRequest("prompt create is not supported: nobody signs up here by themselves")
    if not prompts <= PROMPTS:
        raise InvalidRequest("prompt holds an unknown value")
    # "If this parameter contains none with any other value, an error is returned."
    if "none" in prompts and len(prompts) > 1:
        raise InvalidRequest("prompt none must stand alone")
    return prompts


def parse_max_age(value: str | None) -> int | None:
    """The most seconds since the last login, or None. 0 asks for a login now. Raises InvalidRequest."""
    if not value:
        return None
    if _DIGITS.fullmatch(value) is None or int(value) > MAX_MAX_AGE_S:
        raise InvalidRequest("max_age must be a whole number of seconds")
    return int(value)


# ----- ID token (sections 2 and 3.1.3.6) -----


def build_id_token_claims(
    *,
    issuer: str,
    subject: str,
    client_id: str,
    issued_at_s: int,
    lifetime_s: int,
    auth_time_s: int | None = None,
    nonce: str | None = None,
    acr: str | None = None,
    amr: Sequence[str] = (),
    sid: str | None = None,
    at_hash: str | None = None,
) -> dict[str, Any]:
    """The claims of an ID token; what is None or empty is left out."""
    claims: dict[str, Any] = {
        "iss": issuer,
        "sub": subject,
        "aud": client_id,
        # Section 2: "It MAY be included even when the authorized party is the same as the sole audience."
        "azp": client_id,
        "exp": issued_at_s + lifetime_s,
        "iat": issued_at_s,
    }
    optional = {
        "auth_time": auth_time_s,
        # Section 2: "Authorization Servers MUST include a nonce Claim in the ID Token with the Claim Value being the
        # nonce value sent in the Authentication Request", unmodified.
        "nonce": nonce,
        "acr": acr,
        "amr": list(amr) or None,
        "sid": sid,
        "at_hash": at_hash,
    }
    claims.update((name, value) for name, value in optional.items() if value is not None)
    return claims


def at_hash(access_token: str, alg: str) -> str:
    """Section 3.1.3.6: base64url of the left half of the token's hash, the hash being that of the ID token's alg.

    Raises ValueError for an algorithm whose name does not tell its hash (EdDSA).
    """
    hash_function = _HASHES.get(alg[2:])
    if hash_function is None:
        raise ValueError(f"no hash is defined for {alg}")
    digest = hash_function(access_token.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode("ascii")


# ----- Claims by scope (section 5.4) -----


def select_claims(user_claims: Mapping[str, Any], scopes: Iterable[str]) -> dict[str, Any]:
    """The claims of a person that the granted scopes ask for, language-tagged ones included; never `sub`.

    Section 5.3.2: a claim without a value is left out, not sent as null or as an empty string.
    """
    wanted = {name for scope in scopes for name in SCOPE_CLAIMS.get(scope, ())}
    return {
        name: value
        for name, value in user_claims.items()
        if name.partition("#")[0] in wanted and value is not None and value != ""
    }
