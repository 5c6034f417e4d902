from collections.abc import Iterator

import pytest
from flask import Flask, g
from flask.testing import FlaskClient

from app.verifier import AccessTokenVerifier
from app.verifier.flask import require_token, use_verifier
from tests.verifier.conftest import MakeVerifier
from tests.verifier.issuer import ALGS, API, METADATA, IssuerServer, MovableClock, SigningKey, make_claims

ISSUER = "https://login.example.com"


def make_app(verifier: AccessTokenVerifier | None) -> Flask:
    app = Flask(__name__)
    app.testing = True
    if verifier is not None:
        use_verifier(app, verifier)
    app.extensions["deleted"] = []

    @app.get("/photos")
    @require_token("photos.read")
    def photos() -> dict[str, str]:
        """The photos."""
        return {"owner": g.access_token.subject}

    @app.delete("/photos/<int:number>")
    @require_token("photos.read", "photos.write")
    def delete(number: int) -> tuple[str, int]:
        app.extensions["deleted"].append(number)
        return "", 204

    @app.get("/me")
    @require_token()
    def me() -> str:
        return str(g.access_token.client_id)

    return app


@pytest.fixture
def client(key: SigningKey, make_verifier: MakeVerifier) -> Iterator[FlaskClient]:
    with make_app(make_verifier(ISSUER, keys=[key.public_jwk])).test_client() as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_view_with_the_decorator_sees_the_claims(client: FlaskClient, key: SigningKey) -> None:
    response = client.get("/photos", headers=bearer(key.sign(make_claims(ISSUER))))
    assert (response.status_code, response.json) == (200, {"owner": "alice"})


def test_a_decorator_without_scopes_asks_for_a_valid_token_only(client: FlaskClient, key: SigningKey) -> None:
    token = key.sign(make_claims(ISSUER, scope=...))
    assert client.get("/me", headers=bearer(token)).text == "printer"
    assert client.get("/me").status_code == 401


@pytest.mark.requirement("RFC 6750", "3.1", "no error code where the request lacks any authentication information")
def test_without_a_token_the_answer_is_a_bare_challenge(client: FlaskClient) -> None:
    response = client.get("/photos")
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == ", ".join(
        [
            f'Bearer realm="{API}", scope="photos.read", {METADATA}',
            f'DPoP realm="{API}", scope="photos.read", {METADATA}, {ALGS}',
        ]
    )
    assert response.headers["Cache-Control"] == "no-store"
    assert response.data == b""


def test_another_scheme_is_no_token(client: FlaskClient) -> None:
    response = client.get("/photos", headers={"Authorization": "Basic YWxpY2U6c2VjcmV0"})
    assert "error" not in response.headers["WWW-Authenticate"]
    assert response.status_code == 401


def test_a_bad_token_is_invalid_token_with_the_reason(client: FlaskClient, key: SigningKey) -> None:
    token = key.sign(make_claims(ISSUER, aud="https://other.example"))
    response = client.get("/photos", headers=bearer(token))
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == ", ".join(
        [
            f'Bearer realm="{API}", error="invalid_token", error_description="the token is for another audience", '
            + METADATA,
            f'DPoP realm="{API}", {METADATA}, {ALGS}',
        ]
    )
    assert response.json == {"error": "invalid_token", "error_description": "the token is for another audience"}


@pytest.mark.requirement("RFC 6750", "3.1", "insufficient_scope may name the scope that is needed")
def test_a_missing_scope_is_403_and_the_view_does_not_run(client: FlaskClient, key: SigningKey) -> None:
    response = client.delete("/photos/7", headers=bearer(key.sign(make_claims(ISSUER))))
    assert response.status_code == 403
    assert response.headers["WWW-Authenticate"] == ", ".join(
        [
            f'Bearer realm="{API}", error="insufficient_scope", '
            f'error_description="the token lacks the scope photos.write", scope="photos.read photos.write", {METADATA}'
        ]
    )
    assert client.application.extensions["deleted"] == []


def test_arguments_of_the_route_reach_the_view(client: FlaskClient, key: SigningKey) -> None:
    token = key.sign(make_claims(ISSUER, scope="photos.write photos.read"))
    assert client.delete("/photos/7", headers=bearer(token)).status_code == 204
    assert client.application.extensions["deleted"] == [7]


@pytest.mark.parametrize("authorization", ["Bearer", "Bearer a b", "Bearer a,Bearer b"])
def test_a_malformed_header_is_invalid_request(authorization: str, client: FlaskClient) -> None:
    response = client.get("/photos", headers={"Authorization": authorization})
    assert response.status_code == 400
    assert 'error="invalid_request"' in response.headers["WWW-Authenticate"]


def test_a_token_in_the_query_or_the_body_is_no_token(client: FlaskClient, key: SigningKey) -> None:
    token = key.sign(make_claims(ISSUER))
    assert client.get(f"/photos?access_token={token}").status_code == 401
    response = client.delete("/photos/7", data={"access_token": token})
    assert "error" not in response.headers["WWW-Authenticate"]


def test_one_requests_claims_are_not_anothers(client: FlaskClient, key: SigningKey) -> None:
    assert client.get("/photos", headers=bearer(key.sign(make_claims(ISSUER)))).status_code == 200
    assert client.get("/photos").status_code == 401


def test_without_any_key_the_answer_is_503_with_retry_after(
    server: IssuerServer, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    client = make_app(make_verifier(server.issuer)).test_client()
    token = key.sign(make_claims(server.issuer))
    server.stop()
    try:
        response = client.get("/photos", headers=bearer(token))
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "2"
        assert "WWW-Authenticate" not in response.headers
        assert response.json is not None
        assert response.json["error"] == "temporarily_unavailable"
    finally:
        server.start()
    clock.advance(2)
    assert client.get("/photos", headers=bearer(token)).status_code == 200


def test_the_decorator_keeps_the_views_name_and_docstring() -> None:
    view = make_app(None).view_functions["photos"]
    assert (view.__name__, view.__doc__) == ("photos", "The photos.")


def test_an_application_without_a_verifier_fails_loudly_and_never_open(key: SigningKey) -> None:
    client = make_app(None).test_client()
    with pytest.raises(RuntimeError, match="use_verifier"):
        client.get("/photos", headers=bearer(key.sign(make_claims(ISSUER))))


def test_a_decorator_without_parentheses_is_noticed_at_import() -> None:
    def view() -> str:
        return ""

    with pytest.raises(TypeError, match="called with scopes"):
        require_token(view)  # type: ignore[arg-type]


def test_one_application_can_serve_two_resources(key: SigningKey, make_verifier: MakeVerifier) -> None:
    app = make_app(make_verifier(ISSUER, keys=[key.public_jwk]))
    prints = make_verifier(ISSUER, audience="https://prints.example.com", keys=[key.public_jwk])

    @app.get("/prints")
    @require_token("prints.order", verifier=prints)
    def order_prints() -> str:
        return "printed"

    client = app.test_client()
    for_prints = key.sign(make_claims(ISSUER, aud="https://prints.example.com", scope="prints.order photos.read"))
    assert client.get("/prints", headers=bearer(for_prints)).text == "printed"
    assert client.get("/photos", headers=bearer(for_prints)).status_code == 401
