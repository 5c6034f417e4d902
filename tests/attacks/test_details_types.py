"""Attacks through a type of authorization details: a schema that would cost time, reach out, or hide what it grants."""

import json
import socket
from typing import Any

import pytest

from app.services.manage_details_types import add_details_type
from app.services.refusal import Refusal
from app.specs.bounded_pattern import BoundedPattern
from tests.attacks.good_conduct import nothing_changes
from tests.deployments import PAYMENT
from tests.patience import cpu_seconds
from tests.world import World


def with_member(schema: Any) -> dict[str, Any]:
    """A type whose one member has that schema."""
    whole = {"type": "object", "properties": {"member": schema}, "additionalProperties": False}
    return {"title": "A thing", "sentence": "Do it", "schema": whole, "orders": {}}


def test_a_schema_that_could_cost_time_or_reach_out_is_not_registered(world: World) -> None:
    nested: Any = {"type": "string"}
    for _ in range(20):
        nested = {"type": "array", "items": nested}
    laughs = {f"l{level}": {"allOf": [{"$ref": f"#/$defs/l{level + 1}"}] * 10} for level in range(9)}
    laughs["l9"] = {"type": "string"}
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.setblocking(False)
        url = f"http://127.0.0.1:{trap.getsockname()[1]}"
        wrong: dict[str, dict[str, Any]] = {
            "remote reference": with_member({"$ref": f"{url}/schema.json"}),
            "reference to a file": with_member({"$ref": "file:///etc/passwd"}),
            "another identity": with_member({"$id": f"{url}/", "$ref": "#/$defs/a"}),
            "dynamic reference": with_member({"$dynamicRef": "#a"}),
            "another dialect": {"schema": {**PAYMENT["schema"], "$schema": f"{url}/meta"}},
            "reference to itself": with_member({"$ref": "#"}),
            "recursion": {
                "schema": {
                    **with_member({"$ref": "#/$defs/a"})["schema"],
                    "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}},
                },
                "orders": {},
                "sentence": "x",
            },
            "a billion of them": {
                "schema": {**with_member({"$ref": "#/$defs/l0"})["schema"], "$defs": laughs},
                "orders": {},
                "sentence": "x",
            },
            "nesting": with_member(nested),
            "too many": with_member({"anyOf": [{"const": number} for number in range(400)]}),
            "nested quantifiers": with_member({"type": "string", "pattern": "^(a+)+$"}),
            "overlapping alternatives": with_member({"type": "string", "pattern": "^(a|a|b)*$"}),
            "neighbours": with_member({"type": "string", "pattern": "^a*a*a*a*$"}),
            "without anchors": with_member({"type": "string", "pattern": "a+"}),
            "back reference": with_member({"type": "string", "pattern": "^(a)\\1$"}),
            "a long pattern": with_member({"type": "string", "pattern": f"^{'a' * 300}$"}),
            "a keyword that is not known": with_member({"type": "string", "patern": "^a$"}),
            "format, which would not be checked": with_member({"type": "string", "format": "email"}),
            "open to anything": {"schema": {"type": "object", "properties": {}}, "orders": {}, "sentence": "x"},
            "an object within, open": with_member({"type": "object"}),
            "not an object": {"schema": {"type": "array", "items": True}, "orders": {}, "sentence": "x"},
            "not JSON Schema": with_member({"type": "sting"}),
            "a number for a length": with_member({"maxLength": "many"}),
            "an order of no member": {"orders": {"amuont": "max"}},
            "an unknown order": {"orders": {"amount": "less"}},
            "an order of the type": {"orders": {"type": "set"}},
            "a sentence about no member": {"sentence": "Pay {amuont}"},
            "a sentence with braces": {"sentence": "Pay {amount.value} {"},
            "a sentence that turns around": {"sentence": "Pay \u202e{amount.value}"},
            "a resource that is none": {"resources": ["https://nowhere.example"]},
            "a member that is not known": {"resource": "https://api.example"},
        }
        with nothing_changes(world):
            for case, members in wrong.items():
                with pytest.raises(Refusal) as refused:
                    add_details_type(world.operator.deployment, {"type": "wrong", **PAYMENT, **members})
                assert refused.value.error in ("invalid_details_type", "unknown_resource"), case
                assert len(refused.value.description) > 10, case
        with pytest.raises(BlockingIOError):
            trap.accept()


def test_the_worst_pattern_that_is_taken_costs_milliseconds(world: World) -> None:
    schema = with_member({"type": "array", "items": {"type": "string", "pattern": "^[a-z]*[a-z]*0$"}})
    type_ = world.operator.add_details_type(**schema)
    details = [{"type": type_, "member": ["a" * 256 for _ in range(20)]}]
    party, resource = world.relying_party(), world.operator.add_resource()
    pending = party.begin(scope="photos.read", resource=resource, authorization_details=json.dumps(details))
    answer = party.read_answer(world.browser().send_once(pending.url))
    assert answer["error"] == "invalid_authorization_details"
    worst = BoundedPattern("^[a-z]*[a-z]*0$")
    assert cpu_seconds(lambda: worst.matches("a" * 256)) < 0.2
