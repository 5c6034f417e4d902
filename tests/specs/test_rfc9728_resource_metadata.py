from typing import Any

import pytest

from app.specs.rfc9728_resource_metadata import build_metadata, metadata_path, metadata_url

NAME = "/.well-known/oauth-protected-resource"


@pytest.mark.requirement("RFC 9728", "3.1", "the well-known name stands between host and path; the section's examples")
@pytest.mark.parametrize(
    ("resource", "url"),
    [
        ("https://resource.example.com", f"https://resource.example.com{NAME}"),
        ("https://resource.example.com/", f"https://resource.example.com{NAME}"),
        ("https://resource.example.com/resource1", f"https://resource.example.com{NAME}/resource1"),
        ("https://resource.example.com/a/b/", f"https://resource.example.com{NAME}/a/b/"),
        ("https://resource.example.com?tenant=7", f"https://resource.example.com{NAME}?tenant=7"),
        ("https://resource.example.com/a?tenant=7", f"https://resource.example.com{NAME}/a?tenant=7"),
        ("http://localhost:8403/", f"http://localhost:8403{NAME}"),
        ("https://[::1]:8443/a", f"https://[::1]:8443{NAME}/a"),
    ],
)
def test_where_the_metadata_stands(resource: str, url: str) -> None:
    assert metadata_url(resource) == url
    assert url.endswith(metadata_path(resource))


@pytest.mark.parametrize(
    "resource", ["urn:example:api", "https://a.example/#x", "https://u@a.example/", "a.example", ""]
)
def test_what_is_no_address_has_no_metadata(resource: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        metadata_url(resource)


@pytest.mark.requirement("RFC 9728", "2", "protected resource metadata")
def test_the_document() -> None:
    api, issuer = "https://api.example.com/photos", "https://login.example.com"
    assert build_metadata(resource=api, authorization_servers=[issuer]) == {
        "resource": api,
        "authorization_servers": [issuer],
        "bearer_methods_supported": ["header"],
    }
    document = build_metadata(
        resource=api,
        authorization_servers=[issuer],
        dpop_algorithms=("ES256",),
        dpop_required=True,
        members={"scopes_supported": ["photos.read"], "resource_name": "Photos"},
    )
    assert document["dpop_signing_alg_values_supported"] == ["ES256"]
    assert document["dpop_bound_access_tokens_required"] is True
    assert (document["scopes_supported"], document["resource_name"]) == (["photos.read"], "Photos")


@pytest.mark.parametrize(
    "members",
    [
        {"resource": "https://other.example"},
        {"authorization_servers": []},
        {"dpop_bound_access_tokens_required": False},
    ],
    ids=str,
)
def test_what_the_verifier_does_is_not_free_to_say(members: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not free to choose"):
        build_metadata(resource="https://a.example", authorization_servers=["https://i.example"], members=members)
