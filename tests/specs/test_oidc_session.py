"""OpenID Connect Session Management 1.0: the origin of a client, and the value that its iframe compares."""

import hashlib

import pytest

from app.specs.oidc_session import compute_session_state, find_redirect_origin


@pytest.mark.parametrize(
    ("redirect_uri", "origin"),
    [
        ("https://rp.example/cb?x=1", "https://rp.example"),
        ("https://rp.example:443/cb", "https://rp.example"),
        ("https://RP.example:8443/cb", "https://rp.example:8443"),
        ("http://localhost:3000/cb", "http://localhost:3000"),
        ("http://127.0.0.1:80/cb", "http://127.0.0.1"),
        ("http://[::1]:9000/cb", "http://[::1]:9000"),
        ("com.example.app:/cb", None),
        ("com.example.app://host/cb", None),
    ],
)
def test_the_origin_is_the_one_that_a_browser_would_write(redirect_uri: str, origin: str | None) -> None:
    assert find_redirect_origin(redirect_uri) == origin


@pytest.mark.requirement("OpenID Connect Session Management 1.0", "3.2", "session_state MUST NOT contain the space")
def test_the_value_is_a_salted_hash_without_a_space() -> None:
    value = compute_session_state(client_id="a b", origin="https://rp.example", browser_state="s", salt="x")
    assert value == hashlib.sha256(b"a b https://rp.example s x").hexdigest() + ".x"
    assert " " not in value


@pytest.mark.parametrize("change", ["client_id", "origin", "browser_state", "salt"])
def test_each_part_counts(change: str) -> None:
    parts = {"client_id": "c", "origin": "https://rp.example", "browser_state": "s", "salt": "x"}
    changed = {**parts, change: "other"}
    assert compute_session_state(**parts) != compute_session_state(**changed)
