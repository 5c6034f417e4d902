from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.validate import validator

import pytest
from werkzeug.test import Client

from app.verifier.protected_resource import CLAIMS_KEY
from app.verifier.wsgi import TokenMiddleware, get_claims
from tests.verifier.conftest import MakeVerifier
from tests.verifier.issuer import ALGS, API, METADATA, SigningKey, make_claims

ISSUER = "https://login.example.com"


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    who = get_claims(environ).subject if CLAIMS_KEY in environ else "nobody"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [who.encode()]


def scope_rule(method: str, path: str) -> tuple[str, ...] | None:
    if path == "/health":
        return None
    return ("photos.read",) if method == "GET" else ("photos.write",)


@pytest.fixture
def client(key: SigningKey, make_verifier: MakeVerifier) -> Client:
    verifier = make_verifier(ISSUER, keys=[key.public_jwk])
    return Client(TokenMiddleware(application, verifier, scope=scope_rule))


@pytest.mark.parametrize(("path", "status"), [("/health", 200), ("/photos", 401), ("/photos?token", 200)])
def test_the_middleware_keeps_the_rules_of_wsgi_towards_both_sides(
    path: str, status: int, key: SigningKey, make_verifier: MakeVerifier
) -> None:
    middleware = TokenMiddleware(validator(application), make_verifier(ISSUER, keys=[key.public_jwk]), scope=scope_rule)
    headers = {"Authorization": f"Bearer {key.sign(make_claims(ISSUER))}"} if "token" in path else {}
    response = Client(validator(middleware)).get(path, headers=headers, buffered=True)
    assert response.status_code == status


def test_the_application_behind_sees_the_claims(client: Client, key: SigningKey) -> None:
    response = client.get("/photos", headers={"Authorization": f"Bearer {key.sign(make_claims(ISSUER))}"})
    assert (response.status_code, response.text) == (200, "alice")


def test_a_public_path_needs_no_token_and_believes_none(client: Client, key: SigningKey) -> None:
    assert client.get("/health").text == "nobody"
    assert client.get("/health", headers={"Authorization": f"Bearer {key.sign(make_claims(ISSUER))}"}).text == "nobody"


@pytest.mark.parametrize("path", ["/health/", "//health", "/health/../photos", "/health%2e", "/HEALTH", "/health;x"])
def test_only_the_public_path_itself_is_public(path: str, client: Client) -> None:
    assert client.get(path).status_code == 401


def test_without_a_token_the_answer_is_a_bare_challenge(client: Client) -> None:
    response = client.get("/photos")
    assert response.status == "401 Unauthorized"
    assert response.headers["WWW-Authenticate"] == ", ".join(
        [
            f'Bearer realm="{API}", scope="photos.read", {METADATA}',
            f'DPoP realm="{API}", scope="photos.read", {METADATA}, {ALGS}',
        ]
    )
    assert response.data == b""


def test_the_scope_follows_the_method(client: Client, key: SigningKey) -> None:
    response = client.post("/photos", headers={"Authorization": f"Bearer {key.sign(make_claims(ISSUER))}"})
    assert response.status_code == 403
    assert 'error="insufficient_scope"' in response.headers["WWW-Authenticate"]
    assert 'scope="photos.write"' in response.headers["WWW-Authenticate"]


def test_claims_that_the_server_put_into_the_environ_are_not_believed(client: Client) -> None:
    response = client.get("/health", environ_overrides={CLAIMS_KEY: object()})
    assert response.text == "nobody"


def test_one_scope_for_all_may_be_a_text(key: SigningKey, make_verifier: MakeVerifier) -> None:
    verifier = make_verifier(ISSUER, keys=[key.public_jwk])
    client = Client(TokenMiddleware(application, verifier, scope="photos.read photos.write"))
    token = key.sign(make_claims(ISSUER))
    assert client.get("/", headers={"Authorization": f"Bearer {token}"}).status_code == 403
    wider = key.sign(make_claims(ISSUER, scope="photos.read photos.write"))
    assert client.get("/", headers={"Authorization": f"Bearer {wider}"}).status_code == 200


def test_the_path_that_the_rule_sees_is_decoded_and_whole(key: SigningKey, make_verifier: MakeVerifier) -> None:
    seen: list[tuple[str, str]] = []

    def rule(method: str, path: str) -> None:
        seen.append((method, path))

    client = Client(TokenMiddleware(application, make_verifier(ISSUER, keys=[key.public_jwk]), scope=rule))
    client.get("/bilder/%C3%A4pfel", environ_overrides={"SCRIPT_NAME": "/api"})
    client.get("/%FF")
    assert seen == [("GET", "/api/bilder/\u00e4pfel"), ("GET", "/\ufffd")]
