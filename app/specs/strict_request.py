"""RFC 6749 3.1, 3.2 and appendix B - request parameters, read strictly, once for pages and endpoints.

A query string or an `application/x-www-form-urlencoded` body becomes `Parameters`; both never mix. Multipart bodies,
JSON bodies and other charsets are **not** read. The sizes of headers and bodies are the edge's business.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final
from urllib.parse import unquote_to_bytes

from .protocol_error import HeadersTooLarge, InvalidRequest, PayloadTooLarge

MAX_BYTES: Final = 65536
MAX_PARAMETERS: Final = 100
MAX_HEADER_CHARACTERS: Final = 32768
REPEATABLE: Final = frozenset({"resource", "audience"})
"""RFC 8707 2 and RFC 8693 2.1; whether several make sense is the rule's business."""

_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_FORM_CONTENT_TYPE = re.compile(
    r'application/x-www-form-urlencoded[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8")[ \t]*)?', re.IGNORECASE
)
_JSON_CONTENT_TYPE = re.compile(r'application/json[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8")[ \t]*)?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Request parameters by name. A parameter without a value is not in it (RFC 6749 3.1)."""

    _single: Mapping[str, str] = field(default_factory=dict)
    _repeated: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, str | Sequence[str]]) -> "Parameters":
        """Parameters from values that are trusted already; an empty value or sequence is left out."""
        lists = {name: (value,) if isinstance(value, str) else tuple(value) for name, value in values.items()}
        present = {name: tuple(filter(None, found)) for name, found in lists.items()}
        return cls(
            {name: found[0] for name, found in present.items() if len(found) == 1},
            {name: found for name, found in present.items() if len(found) > 1},
        )

    def get(self, name: str) -> str | None:
        """The one value, or None. Raises InvalidRequest where a repeatable parameter came more than once."""
        if name in self._repeated:
            raise InvalidRequest(f"{name} must not be repeated here")
        return self._single.get(name)

    def get_all(self, name: str) -> tuple[str, ...]:
        """Every value in the order of the request; empty if there is none."""
        value = self._single.get(name)
        return self._repeated.get(name, ()) if value is None else (value,)

    def without(self, names: Collection[str]) -> "Parameters":
        """The same parameters but for those."""
        if self._single.keys().isdisjoint(names) and self._repeated.keys().isdisjoint(names):
            return self
        return Parameters(
            {name: value for name, value in self._single.items() if name not in names},
            {name: values for name, values in self._repeated.items() if name not in names},
        )

    @property
    def names(self) -> tuple[str, ...]:
        return (*self._single, *self._repeated)

    def __contains__(self, name: object) -> bool:
        return name in self._single or name in self._repeated

    def __repr__(self) -> str:
        # Values are passwords, codes, secrets: only names may reach a log.
        return f"Parameters(names={self.names!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolRequest:
    """One request of a program, parsed: what `endpoints` hands down and Authlib's request is built from."""

    method: str
    path: str
    parameters: Parameters
    authorization: str | None = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    """By lower-case name."""
    remote_address: str
    request_id: str
    json_body: bytes = field(default=b"", repr=False)
    """Where the endpoint reads JSON: the body as it came, not parsed."""


def parse_parameters(
    raw: bytes,
    *,
    repeatable: frozenset[str] = REPEATABLE,
    max_bytes: int = MAX_BYTES,
    max_parameters: int = MAX_PARAMETERS,
) -> Parameters:
    """The parameters of a query string or form body. Raises InvalidRequest.

    Unknown names are kept, for the caller to ignore. Does **not** check any value's meaning.
    """
    if not raw:
        return Parameters()
    if len(raw) > max_bytes:
        raise InvalidRequest("the parameters are too long")
    # Counted before they are split, so that a flood of separators costs one scan.
    if raw.count(b"&") >= max_parameters:
        raise InvalidRequest("there are too many parameters")
    text = _decode(raw)
    if _BAD_PERCENT.search(text) is not None:
        raise InvalidRequest("the parameters hold a malformed percent-encoding")
    seen: set[str] = set()
    single: dict[str, str] = {}
    repeated: dict[str, tuple[str, ...]] = {}
    for pair in text.split("&"):
        if not pair:
            continue
        name, _, value = pair.partition("=")
        if "%" in pair or "+" in pair:
            name, value = _decode_percent(name), _decode_percent(value)
        # RFC 6749 3.1: "Request and response parameters MUST NOT be included more than once." A repetition without
        # a value is one too: another reader of the same request may have taken it.
        if name in seen and name not in repeatable:
            raise InvalidRequest("a parameter is repeated", detail=f"repeated: {name!r:.100}")
        seen.add(name)
        # RFC 6749 3.1: "Parameters sent without a value MUST be treated as if they were omitted from the request."
        if not value:
            continue
        if name in repeated:
            repeated[name] += (value,)
        elif name in single:
            repeated[name] = (single.pop(name), value)
        else:
            single[name] = value
    return Parameters(single, repeated)


def _decode_percent(encoded: str) -> str:
    return _decode(unquote_to_bytes(encoded.replace("+", " ")))


def _decode(raw: bytes) -> str:
    try:
        # Python's strict UTF-8 refuses overlong forms and surrogates.
        text = raw.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise InvalidRequest("a parameter is not UTF-8") from cause
    if not text.isprintable() and has_control_character(text):
        raise InvalidRequest("a parameter holds a control character")
    return text


def has_control_character(value: str) -> bool:
    """Whether a value holds what no parameter may: a C0 control character or DEL."""
    return _CONTROL.search(value) is not None


def check_header_size(values: Iterable[str]) -> None:
    """Raises HeadersTooLarge where the values of all headers together are too long."""
    if sum(map(len, values)) > MAX_HEADER_CHARACTERS:
        raise HeadersTooLarge("the headers are too long")


def check_form_content_type(content_type: str | None) -> None:
    """Raises InvalidRequest unless the body is declared as `application/x-www-form-urlencoded` in UTF-8."""
    if content_type == "application/x-www-form-urlencoded":
        return
    if content_type is None or _FORM_CONTENT_TYPE.fullmatch(content_type) is None:
        raise InvalidRequest("the content type must be application/x-www-form-urlencoded")


def check_json_content_type(content_type: str | None) -> None:
    """Raises InvalidRequest unless the body is declared as `application/json` (RFC 8259 11)."""
    if content_type is None or _JSON_CONTENT_TYPE.fullmatch(content_type) is None:
        raise InvalidRequest("the content type must be application/json")


def read_body(stream: BinaryIO, *, content_length: str | None = None, max_bytes: int = MAX_BYTES) -> bytes:
    """The whole body of a request. Raises PayloadTooLarge, or InvalidRequest where less came than was declared.

    One byte more than the limit is asked for, so that a body that comes without a length has a limit too.
    """
    body = stream.read(max_bytes + 1)
    if len(body) > max_bytes:
        raise PayloadTooLarge("the body is too large")
    # Half a request is none: what narrows it may be in the other half.
    if content_length and content_length.isdecimal() and len(body) < int(content_length):
        raise InvalidRequest("the body broke off")
    return body
