import json
from typing import Any

import pytest

from app.specs.protocol_error import InvalidAuthorizationDetails, InvalidToken
from app.specs.rfc9396_authorization_details import (
    Details,
    canonical_text,
    details_claim,
    is_subset,
    parse_authorization_details,
    parse_details_claim,
    parse_member_orders,
)

PAYMENT = {
    "type": "payment_initiation",
    "actions": ["initiate", "status", "cancel"],
    "locations": ["https://example.com/payments"],
    "instructedAmount": {"currency": "EUR", "amount": "123.50"},
    "creditorName": "Merchant A",
}
FILES = {"type": "files", "path": "/photos/2024", "permissions": ["read", "write"], "max_size": 100}
ORDERS = {
    "payment_initiation": parse_member_orders(
        {"actions": "set", "locations": "set", "instructedAmount": {"amount": "max"}, "creditorName": "equal"}
    ),
    "files": parse_member_orders({"path": "prefix", "permissions": "set", "max_size": "max"}),
}


def details(*entries: dict[str, Any]) -> Details:
    return parse_authorization_details(json.dumps(entries))


def changed(entry: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**entry, **changes}.items() if value is not ...}


# ----- Reading -----


@pytest.mark.requirement("RFC 9396", "2", "an array of JSON objects, each with a type; the section's example")
def test_the_specifications_payment_is_read_and_written_unchanged() -> None:
    parsed = details(PAYMENT, FILES)
    assert [detail.type for detail in parsed] == ["payment_initiation", "files"]
    assert details_claim(parsed) == [PAYMENT, FILES]
    assert parse_details_claim({"authorization_details": [PAYMENT, FILES]}) == parsed


@pytest.mark.parametrize("text", [None, ""])
def test_no_parameter_is_no_detail(text: str | None) -> None:
    assert parse_authorization_details(text) == ()
    assert parse_details_claim({}) == ()


MALFORMED = {
    "no JSON": "payment",
    "an object": json.dumps(PAYMENT),
    "an empty list": "[]",
    "a list of texts": '["payment_initiation"]',
    "null": "null",
    "no type": "[{}]",
    "an empty type": '[{"type":""}]',
    "type as a number": '[{"type":1}]',
    "type without end": json.dumps([{"type": "x" * 257}]),
    "locations as a text": '[{"type":"a","locations":"https://a.example"}]',
    "actions as numbers": '[{"type":"a","actions":[1]}]',
    "datatypes null": '[{"type":"a","datatypes":null}]',
    "privileges as an object": '[{"type":"a","privileges":{}}]',
    "identifier as a number": '[{"type":"a","identifier":7}]',
    "a member twice": '[{"type":"a","type":"b"}]',
    "too many": json.dumps([{"type": "a"}] * 17),
    "too large": json.dumps([{"type": "a", "x": "x" * 16384}]),
    "too deep": '[{"type":"a","x":' + "[" * 7 + "]" * 7 + "}]",
    "NaN": '[{"type":"a","x":NaN}]',
    "half a surrogate": '[{"type":"a","x":"\\ud800"}]',
}


@pytest.mark.requirement("RFC 9396", "5", "malformed details are invalid_authorization_details")
@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_details_are_refused(name: str) -> None:
    with pytest.raises(InvalidAuthorizationDetails, match="authorization_details") as refusal:
        parse_authorization_details(MALFORMED[name])
    assert (refusal.value.error, refusal.value.status) == ("invalid_authorization_details", 400)


@pytest.mark.parametrize("claim", [None, [], {}, "x", [1], [{}], [{"type": 1}]], ids=str)
def test_a_malformed_claim_refuses_the_token(claim: Any) -> None:
    with pytest.raises(InvalidToken, match="the token's authorization_details"):
        parse_details_claim({"authorization_details": claim})


def test_one_text_for_the_same_details() -> None:
    turned = dict(reversed(PAYMENT.items()))
    assert canonical_text(details(PAYMENT, FILES)) == canonical_text(details(FILES, turned))
    assert canonical_text(details(FILES)) != canonical_text(details(changed(FILES, max_size=True)))
    assert canonical_text(details(FILES)) != canonical_text(details(FILES, FILES))


# ----- Comparing -----

NARROWER: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the same": (PAYMENT, {}),
    "fewer of a set": (PAYMENT, {"actions": ["status"]}),
    "a set in another order": (PAYMENT, {"actions": ["cancel", "initiate", "status"]}),
    "a smaller amount": (PAYMENT, {"instructedAmount": {"currency": "EUR", "amount": "99.999"}}),
    "an amount with one digit less": (PAYMENT, {"instructedAmount": {"currency": "EUR", "amount": "9"}}),
    "the same amount, written longer": (PAYMENT, {"instructedAmount": {"currency": "EUR", "amount": "123.500"}}),
    "a deeper path": (FILES, {"path": "/photos/2024/may"}),
    "a smaller number": (FILES, {"max_size": 99.5}),
    "a further limit": (changed(FILES, max_size=...), {"max_size": 7}),
}
WIDER: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "another type": (PAYMENT, {"type": "files"}),
    "more of a set": (PAYMENT, {"actions": ["status", "refund"]}),
    "an empty set": (PAYMENT, {"locations": []}),
    "a set that is a text": (PAYMENT, {"creditorName": ["Merchant A"]}),
    "a missing member": (PAYMENT, {"locations": ...}),
    "a missing member that is undeclared": (changed(PAYMENT, ref="1"), {"ref": ...}),
    "an undeclared member that differs": (changed(PAYMENT, ref="1"), {"ref": "2"}),
    "an undeclared member more": (PAYMENT, {"express": True}),
    "an equal member more": (changed(PAYMENT, creditorName=...), {"creditorName": "Merchant A"}),
    "an equal member that differs": (PAYMENT, {"creditorName": "Merchant B"}),
    "a larger amount": (PAYMENT, {"instructedAmount": {"currency": "EUR", "amount": "123.51"}}),
    "a larger amount with fewer digits": (changed(FILES, max_size="123.50"), {"max_size": "1000"}),
    "another currency": (PAYMENT, {"instructedAmount": {"currency": "KWD", "amount": "1"}}),
    "an amount without currency": (PAYMENT, {"instructedAmount": {"amount": "1"}}),
    "an amount as a number": (PAYMENT, {"instructedAmount": {"currency": "EUR", "amount": 1}}),
    "an amount with an exponent": (PAYMENT, {"instructedAmount": {"currency": "EUR", "amount": "1e1"}}),
    "an amount that is no number": (PAYMENT, {"instructedAmount": {"currency": "EUR", "amount": "NaN"}}),
    "an object that is a text": (PAYMENT, {"instructedAmount": "1"}),
    "a truth for a number": (FILES, {"max_size": True}),
    "a larger number": (FILES, {"max_size": 101}),
    "a path beside": (FILES, {"path": "/photos/20245"}),
    "a path above": (FILES, {"path": "/photos"}),
    "a path that climbs": (FILES, {"path": "/photos/2024/../2023"}),
    "a path that climbs in disguise": (FILES, {"path": "/photos/2024/%2e%2e/2023"}),
    "a path that ends climbing": (FILES, {"path": "/photos/2024/.."}),
    "a path with backslashes": (FILES, {"path": "/photos/2024/..\\2023"}),
    "a path with an empty part": (FILES, {"path": "/photos/2024//etc"}),
    "a path that is a number": (FILES, {"path": 1}),
    "a path below nothing": (changed(FILES, path=""), {"path": "/photos"}),
}


@pytest.mark.requirement("RFC 9396", "7", "a token request may ask for equal or lesser details")
@pytest.mark.parametrize("name", NARROWER)
def test_a_narrower_request_is_a_subset(name: str) -> None:
    granted, changes = NARROWER[name]
    assert is_subset(details(changed(granted, **changes)), details(granted), ORDERS)


@pytest.mark.parametrize("name", WIDER)
def test_a_wider_request_is_no_subset(name: str) -> None:
    granted, changes = WIDER[name]
    assert not is_subset(details(changed(granted, **changes)), details(granted), ORDERS)


@pytest.mark.parametrize(("granted", "requested", "verdict"), [
    ("https://a.example/x", "https://a.example/x/y", True),
    ("https://a.example", "https://a.example.evil.example/", False),
    ("https://a.example/x/", "https://a.example/x//y", False),
    ("/", "/a", True),
    ("/a/", "/a", False),
])  # fmt: skip
def test_prefixes_end_at_a_slash(granted: str, requested: str, verdict: bool) -> None:
    wanted, held = (details({"type": "files", "path": path}) for path in (requested, granted))
    assert is_subset(wanted, held, ORDERS) is verdict


def test_without_orders_only_the_same_is_no_wider() -> None:
    assert is_subset(details(PAYMENT), details(PAYMENT, FILES), {})
    assert not is_subset(details(changed(PAYMENT, actions=["status"])), details(PAYMENT), {})


def test_nothing_is_a_subset_of_everything_and_everything_of_nothing_is_not() -> None:
    assert is_subset((), details(PAYMENT), ORDERS)
    assert is_subset((), (), ORDERS)
    assert not is_subset(details(PAYMENT), (), ORDERS)


def test_two_requests_do_not_share_one_grant() -> None:
    small = changed(PAYMENT, instructedAmount={"currency": "EUR", "amount": "100"})
    assert not is_subset(details(small, small), details(PAYMENT), ORDERS)
    assert is_subset(details(small, small), details(PAYMENT, PAYMENT), ORDERS)
    # The first could take either grant; it must leave the second the only one that it fits into.
    assert is_subset(details(small, PAYMENT), details(PAYMENT, small), ORDERS)


# ----- Orders -----


@pytest.mark.parametrize(
    "document",
    [None, [], "set", {"a": "subset"}, {"a": None}, {"a": ["set"]}, {"a": {"b": "least"}}, {"type": "set"}],
    ids=str,
)
def test_orders_that_mean_nothing_are_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_member_orders(document)
