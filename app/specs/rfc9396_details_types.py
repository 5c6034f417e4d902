"""RFC 9396 - Rich Authorization Requests: a type of details, as an operator describes it.

A type has a schema for its members, an order by which they are compared, a title and a sentence for people, and the
resources that it may be used at. Whether a detail fits the schema is for a JSON Schema validator, which is not here.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .bounded_schema import check_object_schema
from .metadata_values import is_display_text
from .rfc8707_resources import check_resource_identifier
from .rfc9396_authorization_details import (
    MAX_TYPE_CHARACTERS,
    AuthorizationDetail,
    MemberOrders,
    parse_member_orders,
)

MAX_TITLE_CHARACTERS: Final = 100
MAX_SENTENCE_CHARACTERS: Final = 500
MAX_RESOURCES: Final = 100
# Longer values stand whole beneath the sentence, where a reader does not lose its thread.
MAX_VALUE_CHARACTERS: Final = 200

_MEMBERS: Final = frozenset({"type", "title", "sentence", "schema", "orders", "resources"})
_TYPE = re.compile(rf"[\x21-\x7e]{{1,{MAX_TYPE_CHARACTERS}}}")
_PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_.-]{1,200})\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailsType:
    """A registered type. `resources` None: every one. `schema` describes `type` among the other members."""

    type: str
    title: str
    sentence: str
    schema: Mapping[str, Any]
    orders: MemberOrders
    resources: tuple[str, ...] | None

    def to_document(self) -> dict[str, Any]:
        """The document that `parse_details_type` reads."""
        document: dict[str, Any] = {
            "type": self.type,
            "title": self.title,
            "sentence": self.sentence,
            "schema": dict(self.schema),
            "orders": _plain(self.orders),
        }
        return document if self.resources is None else {**document, "resources": list(self.resources)}


@dataclass(frozen=True, slots=True)
class SentencePart:
    """A piece of a sentence: the operator's words, or a value that the client chose."""

    text: str
    is_value: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedDetail:
    """A detail for people: `members` are those that the sentence does not say, or not whole, with their values."""

    title: str
    sentence: tuple[SentencePart, ...]
    members: tuple[tuple[str, str], ...]


def parse_details_type(document: Mapping[str, Any]) -> DetailsType:
    """A validated type. Raises ValueError with a sentence that names the member.

    Does **not** check the schema against its meta-schema, nor that the resources are registered.
    """
    unknown = sorted(document.keys() - _MEMBERS)
    if unknown:
        raise ValueError(f"{unknown[0][:60]}: is not a known member")
    type_ = document.get("type")
    if not isinstance(type_, str) or _TYPE.fullmatch(type_) is None:
        raise ValueError(f"type: must be 1 to {MAX_TYPE_CHARACTERS} printable ASCII characters without a space")
    schema = _named("schema", _parse_schema, document.get("schema"), type_)
    properties: Mapping[str, Any] = schema["properties"]
    orders = _named("orders", parse_member_orders, document.get("orders", {}))
    _named("orders", _check_orders_are_of_members, orders, properties)
    sentence = _text(document, "sentence", MAX_SENTENCE_CHARACTERS)
    _named("sentence", _check_placeholders, sentence, properties)
    return DetailsType(
        type=type_,
        title=_text(document, "title", MAX_TITLE_CHARACTERS),
        sentence=sentence,
        schema=schema,
        orders=orders,
        resources=_named("resources", _parse_resources, document.get("resources")),
    )


def describe_detail(details_type: DetailsType, detail: AuthorizationDetail) -> DescribedDetail:
    """The detail in words. Nothing of it is left out; nothing is escaped: whoever shows it does that."""
    said: set[str] = set()
    parts: list[SentencePart] = []
    at = 0
    for found in _PLACEHOLDER.finditer(details_type.sentence):
        parts.append(SentencePart(details_type.sentence[at : found.start()], is_value=False))
        path = found[1].split(".")
        value = _find_value(detail.members, path)
        text = "any" if value is _MISSING else _in_words(value)
        if len(text) > MAX_VALUE_CHARACTERS:
            text = text[: MAX_VALUE_CHARACTERS - 1] + "…"
        else:
            said.add(found[1])
        parts.append(SentencePart(text, is_value=value is not _MISSING))
        at = found.end()
    parts.append(SentencePart(details_type.sentence[at:], is_value=False))
    unsaid = tuple(_list_unsaid(detail.members, said))
    return DescribedDetail(
        title=details_type.title, sentence=tuple(part for part in parts if part.text), members=unsaid
    )


# ----- Parts -----

_MISSING: Final = object()


def _named(member: str, parse: Any, *arguments: Any) -> Any:
    try:
        return parse(*arguments)
    except ValueError as error:
        raise ValueError(f"{member}: {error}") from error


def _text(document: Mapping[str, Any], member: str, limit: int) -> str:
    value = document.get(member)
    if not isinstance(value, str) or len(value) > limit or not is_display_text(value):
        raise ValueError(f"{member}: must be visible text of at most {limit} characters")
    return value


def _parse_schema(schema: object, type_: str) -> dict[str, Any]:
    check_object_schema(schema)
    assert isinstance(schema, dict)  # noqa: S101 - checked in the line before
    # The member that says which type it is belongs to every type, whether its schema mentions it or not.
    return {**schema, "properties": {"type": {"const": type_}, **schema["properties"]}}


def _parse_resources(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not 0 < len(value) <= MAX_RESOURCES:
        raise ValueError(f"must be a list of 1 to {MAX_RESOURCES} resources; left out, it is every one")
    for resource in value:
        if not isinstance(resource, str):
            raise ValueError("must be a list of texts")
        check_resource_identifier(resource)
    return tuple(dict.fromkeys(value))


def _check_orders_are_of_members(orders: MemberOrders, properties: Mapping[str, Any]) -> None:
    for name, order in orders.items():
        if name not in properties:
            raise ValueError(f"the schema has no member {name[:60]!r}")
        if isinstance(order, Mapping):
            _check_orders_are_of_members(order, _properties_of(properties[name]))


def _check_placeholders(sentence: str, properties: Mapping[str, Any]) -> None:
    if "{" in _PLACEHOLDER.sub("", sentence) or "}" in _PLACEHOLDER.sub("", sentence):
        raise ValueError("must hold braces only around the name of a member, {member} or {member.inner}")
    for path in _PLACEHOLDER.findall(sentence):
        within = properties
        for name in path.split("."):
            if name not in within:
                raise ValueError(f"the schema has no member {path[:60]!r}")
            within = _properties_of(within[name])


def _properties_of(schema: object) -> Mapping[str, Any]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return properties if isinstance(properties, dict) else {}


def _find_value(members: Mapping[str, Any], path: Sequence[str]) -> object:
    value: object = members
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return _MISSING
        value = value[name]
    return value


def _list_unsaid(members: Mapping[str, Any], said: set[str], before: str = "") -> list[tuple[str, str]]:
    unsaid: list[tuple[str, str]] = []
    for name, value in members.items():
        path = before + name
        if path in said or path == "type":
            continue
        if isinstance(value, dict) and any(one.startswith(path + ".") for one in said):
            unsaid += _list_unsaid(value, said, path + ".")
        else:
            unsaid.append((path, _in_words(value)))
    return unsaid


def _in_words(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False)


def _plain(orders: MemberOrders) -> dict[str, Any]:
    return {name: _plain(order) if isinstance(order, Mapping) else order for name, order in orders.items()}
