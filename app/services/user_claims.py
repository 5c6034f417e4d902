"""What is known of a person, as one document of OpenID Connect claims, validated before it is stored.

The standard claims (OpenID Connect Core 5.1) have their types; language-tagged members (5.2) and claims of the
operator's own may stand beside them. Claims that the server itself puts into tokens may not.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from app.services.refusal import Refusal

MAX_DOCUMENT_BYTES: Final = 16_384

_TEXT = frozenset(
    {"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "gender", "zoneinfo"}
)
_URLS = frozenset({"profile", "picture", "website"})
_VERIFIED = frozenset({"email_verified", "phone_number_verified"})
_ADDRESS_MEMBERS = frozenset({"formatted", "street_address", "locality", "region", "postal_code", "country"})
# Who and for whom a token is, how and when somebody logged in: never from a document about a person.
_RESERVED = frozenset(
    {"iss", "sub", "sub_id", "aud", "exp", "iat", "nbf", "jti", "typ"}
    | {"acr", "amr", "auth_time", "azp", "nonce", "at_hash", "c_hash", "sid"}
    | {"client_id", "scope", "cnf", "act", "may_act", "status", "authorization_details"}
)
_OWN_PREFIX = "th_"
_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,7}")
_BIRTHDATE = re.compile(r"[0-9]{4}(?:-[0-9]{2}-[0-9]{2})?")
_URL = re.compile(r"https?://[\x21-\x7e]{1,2000}")
_EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f]{1,64}@[^\s@\x00-\x1f\x7f]{1,255}")
_PHONE_NUMBER = re.compile(r"\+?[0-9(][0-9 ().;=/a-z-]{0,63}")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def check_email(email: str) -> None:
    """Raises `Refusal` unless `email` has the shape of an address. Does not check that anybody reads it."""
    if _EMAIL.fullmatch(email) is None or len(email) > 254:
        raise Refusal("invalid_email", "the e-mail address must look like name@host")


def check_claims(claims: Mapping[str, Any]) -> None:
    """Raises `Refusal` naming the first claim that is not what OpenID Connect says, or that is not ours to store."""
    if len(orjson.dumps(claims)) > MAX_DOCUMENT_BYTES:
        raise Refusal("invalid_claims", f"the claims are larger than {MAX_DOCUMENT_BYTES} bytes")
    for name, value in claims.items():
        problem = _find_problem(name, value)
        if problem is not None:
            raise Refusal("invalid_claims", f"{name}: {problem}")


def _find_problem(name: str, value: Any) -> str | None:
    base, hash_sign, tag = name.partition("#")
    if not name or len(name) > 100 or _CONTROL.search(name) is not None:
        return "is not a claim's name"
    if base in _RESERVED or base.startswith(_OWN_PREFIX):
        return "is set by the server and cannot be stored with a person"
    if hash_sign and _LANGUAGE_TAG.fullmatch(tag) is None:
        return "does not end in a language tag (BCP 47)"
    if value is None:
        return "is null; leave it out"
    check = _CHECKS.get(base)
    return None if check is None else check(value)


def _check_text(value: Any) -> str | None:
    if not isinstance(value, str) or not value.strip() or len(value) > 500:
        return "must be a string of 1 to 500 characters"
    return "must not hold control characters" if _CONTROL.search(value) is not None else None


def _matching(pattern: re.Pattern[str], sentence: str) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        return None if isinstance(value, str) and pattern.fullmatch(value) is not None else sentence

    return check


def _check_boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _check_time(value: Any) -> str | None:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return None if is_number and 0 <= value < 2**53 else "must be a whole number of seconds since 1970"


def _check_address(value: Any) -> str | None:
    if not isinstance(value, dict) or not set(value) <= _ADDRESS_MEMBERS:
        return f"must be an object with some of {', '.join(sorted(_ADDRESS_MEMBERS))}"
    # An address has lines: line feeds are allowed here, as section 5.1.1 says.
    wrong = [name for name, member in value.items() if not isinstance(member, str) or len(member) > 500]
    return f"{wrong[0]} must be a string" if wrong else None


_CHECKS: Final[Mapping[str, Callable[[Any], str | None]]] = {
    **dict.fromkeys(_TEXT, _check_text),
    **dict.fromkeys(_URLS, _matching(_URL, "must be an http(s) URL")),
    **dict.fromkeys(_VERIFIED, _check_boolean),
    "email": _matching(_EMAIL, "must be an e-mail address"),
    "birthdate": _matching(_BIRTHDATE, "must be YYYY-MM-DD or YYYY"),
    "locale": _matching(_LANGUAGE_TAG, "must be a language tag (BCP 47)"),
    "phone_number": _matching(_PHONE_NUMBER, "must be a telephone number"),
    "updated_at": _check_time,
    "address": _check_address,
}
