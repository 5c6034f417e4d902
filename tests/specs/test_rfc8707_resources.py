import pytest

from app.specs.protocol_error import InvalidTarget
from app.specs.rfc8707_resources import find_origin_alias, parse_resource


@pytest.mark.requirement("RFC 8707", "2", "resource is an absolute URI; the section's examples")
@pytest.mark.parametrize(
    "value",
    [
        "https://api.example.com/app/",
        "https://cal.example.com/",
        "https://contacts.example.com/",
        "https://rs.example.com/",
        "https://api.example.com/?tenant=7",
        "http://localhost:8002/photos",
        "urn:example:photos",
        "https://api.example.com:8443",
    ],
)
def test_an_absolute_uri_names_a_resource_unchanged(value: str) -> None:
    assert parse_resource(value) == value


@pytest.mark.requirement("RFC 8707", "2", "the URI must not include a fragment component")
@pytest.mark.parametrize("value", ["https://api.example.com/#", "https://api.example.com/#part", "urn:example:a#b"])
def test_a_fragment_is_invalid_target(value: str) -> None:
    with pytest.raises(InvalidTarget, match="resource must not have a fragment"):
        parse_resource(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "/photos",
        "api.example.com/photos",
        "//api.example.com",
        "https:",
        "https://",
        "https:///photos",
        "urn:",
        "HTTPS://api.example.com",
        "https://API.example.com",
        "https://user:pw@api.example.com/",
        "https://api.example.com/a b",
        "https://api.example.com/é",
        "https://api.example.com/\n",
        "https://api.example.com/%zz",
        "https://api.example.com/" + "a" * 2048,
    ],
)
def test_anything_but_a_whole_absolute_uri_is_invalid_target(value: str) -> None:
    with pytest.raises(InvalidTarget):
        parse_resource(value)


@pytest.mark.parametrize(
    ("resource", "alias"),
    [
        ("https://api.example", "https://api.example/"),
        ("https://api.example/", "https://api.example"),
        ("https://api.example:8443", "https://api.example:8443/"),
        ("https://api.example/photos", None),
        ("https://api.example/photos/", None),
        ("https://api.example?x=1", None),
        ("urn:example:photos", None),
    ],
)
def test_only_a_bare_origin_has_another_spelling(resource: str, alias: str | None) -> None:
    assert find_origin_alias(resource) == alias
