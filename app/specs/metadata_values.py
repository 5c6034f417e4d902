"""The kinds of values in registered metadata, and how a document that breaks a rule is refused."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError

from .protocol_error import InvalidRedirectUri, InvalidScope, ProtocolError
from .rfc3986_uri import check_web_host, parse_uri
from .rfc6749_oauth import format_scope, parse_scope
from .rfc8707_resources import check_resource_identifier
from .tokenhouse_networks import MAX_NETWORKS, format_networks, parse_networks

MAX_ACCESS_TOKEN_LIFETIME_S: Final = 3600

# Names are shown to people who decide by them: nothing that hides, or that turns the direction of what follows.
_DECEPTIVE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)

Model = TypeVar("Model", bound=BaseModel)


# ----- Kinds of values -----


def is_display_text(value: str) -> bool:
    """Whether people can be shown the text: something visible, and nothing that hides or turns what follows."""
    return _DECEPTIVE.search(value) is None and bool(value.strip())


def has_invisible(name: str) -> bool:
    """Whether a name that people give holds controls or format characters; joiners, which Persian names and composed
    emoji need, are none.
    """
    categories = (unicodedata.category(character) for character in name if character not in "\u200c\u200d")
    return any(category[0] == "C" or category in ("Zl", "Zp") for category in categories)


def check_display_text(value: str) -> str:
    """The text, if people can be shown it; a validator of pydantic's kind."""
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


DisplayText = Annotated[str, Field(max_length=200), AfterValidator(check_display_text)]


def _check_https_uri(value: str) -> str:
    uri = parse_uri(value)
    if uri.scheme != "https":
        raise ValueError("must use https")
    check_web_host(uri.host)
    if uri.userinfo is not None:
        raise ValueError("must not hold credentials")
    return value


WebUri = Annotated[str, AfterValidator(_check_web_uri)]
HttpsUri = Annotated[str, Field(max_length=2048), AfterValidator(_check_https_uri)]
"""Something that we fetch or call, or that a browser is sent to: never without TLS, on loopback either."""
ResourceUri = Annotated[str, AfterValidator(_check_resource)]
ScopeText = Annotated[str, AfterValidator(_check_scope)]
AccessTokenLifetime = Annotated[int, Field(ge=1, le=MAX_ACCESS_TOKEN_LIFETIME_S)]
AtMost20 = Field(max_length=20)
Tuple = BeforeValidator(_to_tuple)
Distinct = AfterValidator(_drop_repeated)
NetworkTexts = Annotated[
    tuple[str, ...], Tuple, Field(min_length=1, max_length=MAX_NETWORKS), AfterValidator(_canonical_networks)
]


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


def validate_document(model: type[Model], members: Mapping[str, Any], error: Callable[..., ProtocolError]) -> Model:
    """The model of a document. Raises `error` (InvalidRedirectUri for those) naming the first member that is wrong."""
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
