"""The same checks through Flask, WSGI and ASGI: what a request must bring, and what a refusal says."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from flask import Flask, g
from werkzeug.test import Client

from app.specs.rfc9449_dpop import make_nonce
from app.verifier import AccessTokenVerifier, ReplayStore, allows, require
from app.verifier.asgi import Message, Scope
from app.verifier.asgi import TokenMiddleware as ASGIMiddleware
from app.verifier.asgi import get_claims as get_asgi_claims
from app.verifier.flask import require_token, use_verifier
from app.verifier.resource_request import encode_path
from app.verifier.wsgi import TokenMiddleware as WSGIMiddleware
from app.verifier.wsgi import get_claims as get_wsgi_claims
from tests.patience import run_async
from tests.verifier.conftest import MakeVerifier
from tests.verifier.issuer import API, METADATA, ClientKey, MovableClock, SigningKey, make_claims

ISSUER = "https://login.example.com"
ORIGIN = "https://api.example.com"
METADATA_PATH = "/.well-known/oauth-protected-resource/photos"
VIEW = require("photos.read", authorization_details="files", acr_values=["mfa", "phr"], max_age_s=600)
ENOUGH: dict[str, Any] = {"authorization_details": [{"type": "files"}], "acr": "mfa", "auth_time": 1_799_999_900}

Answer = tuple[int, dict[str, str], bytes]
Ask = Callable[..., Answer]


# ----- Three ways to run one resource --------------------------------------------------------------------------------


def wsgi_client(application: Any) -> Ask:
    client = Client(application)

    def ask(path: str = "/photos/1", *, method: str = "GET", peer: str = "10.1.2.3", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = client.open(path, method=method, headers=named, environ_overrides={"REMOTE_ADDR": peer})
        joined = {name.lower(): ", ".join(response.headers.getlist(name)) for name in response.headers.keys()}  # noqa: SIM118
        return response.status_code, joined, response.data

    return ask


def through_wsgi(verifier: AccessTokenVerifier) -> Ask:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [get_wsgi_claims(environ).subject.encode()]

    return wsgi_client(WSGIMiddleware(application, verifier, scope=VIEW))


def through_flask(verifier: AccessTokenVerifier) -> Ask:
    app = Flask(__name__)
    use_verifier(app, verifier)

    @app.route("/photos/<path:_path>", methods=["GET", "POST"])
    @require_token("photos.read", authorization_details="files", acr_values=["mfa", "phr"], max_age_s=600)
    def photos(_path: str) -> str:
        return str(g.access_token.subject)

    return wsgi_client(app)


def through_asgi(verifier: AccessTokenVerifier) -> Ask:
    async def application(scope: Scope, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": get_asgi_claims(scope).subject.encode()})

    middleware = ASGIMiddleware(application, verifier, scope=VIEW)

    def ask(path: str = "/photos/1", *, method: str = "GET", peer: str = "10.1.2.3", **headers: str) -> Answer:
        scope = {
            "type": "http",
            "method": method,
            "path": unquote(path.partition("?")[0]),
            "raw_path": path.partition("?")[0].encode(),
            "client": (peer, 40000),
            "headers": [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()],
        }
        sent: list[Message] = []

        async def run() -> None:
            async def send(message: Message) -> None:
                sent.append(message)

            async def receive() -> Message:
                return {"type": "http.request", "body": b""}

            await middleware(scope, receive, send)

        run_async(run())
        joined: dict[str, str] = {}
        for raw_name, raw_value in sent[0]["headers"]:
            name, value = raw_name.decode(), raw_value.decode()
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
        return sent[0]["status"], joined, sent[1]["body"]

    return ask


FRAMEWORKS: Mapping[str, Callable[[AccessTokenVerifier], Ask]] = {
    "wsgi": through_wsgi,
    "flask": through_flask,
    "asgi": through_asgi,
}


@pytest.fixture(params=FRAMEWORKS)
def through(request: pytest.FixtureRequest) -> Callable[[AccessTokenVerifier], Ask]:
    return FRAMEWORKS[request.param]


@pytest.fixture
def client_key() -> ClientKey:
    return ClientKey()


Through = Callable[[AccessTokenVerifier], Ask]


def reason(answer: Answer) -> str:
    return str(json.loads(answer[2])["error_description"])


# ----- Bound tokens --------------------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC 9449", "7.1", "a DPoP-bound token at a protected resource")
def test_a_bound_token_passes_with_a_fresh_proof_and_only_with_one(
    through: Through, key: SigningKey, client_key: ClientKey, make_verifier: MakeVerifier
) -> None:
    ask = through(make_verifier(ISSUER, keys=[key.public_jwk]))
    token = key.sign(make_claims(ISSUER, cnf={"jkt": client_key.jkt}, **ENOUGH))
    proof = client_key.prove(token, url=f"{ORIGIN}/photos/1")
    good = {"Authorization": f"DPoP {token}", "DPoP": proof}
    assert ask(**good)[::2] == (200, b"alice")

    replayed = ask(**good)
    assert (replayed[0], reason(replayed)) == (401, "the DPoP proof has been used before")
    challenge = replayed[1]["www-authenticate"]
    assert challenge.startswith(f'DPoP realm="{API}", error="invalid_dpop_proof"')
    assert challenge.endswith(f'{METADATA}, algs="ES256 RS256 PS256 EdDSA Ed25519"')
    assert "Bearer" not in challenge

    as_bearer = ask(Authorization=f"Bearer {token}", DPoP=client_key.prove(token, url=f"{ORIGIN}/photos/1"))
    assert (as_bearer[0], "not as a bearer token" in reason(as_bearer)) == (401, True)
    assert as_bearer[1]["www-authenticate"].startswith(f'Bearer realm="{API}", error="invalid_token"')
    assert f', DPoP realm="{API}"' in as_bearer[1]["www-authenticate"]

    unproved = ask(Authorization=f"DPoP {token}")
    assert (unproved[0], reason(unproved)) == (401, "a DPoP proof is needed")


def test_a_proof_is_for_the_address_as_its_sender_wrote_it(
    through: Through, key: SigningKey, client_key: ClientKey, make_verifier: MakeVerifier
) -> None:
    ask = through(make_verifier(ISSUER, keys=[key.public_jwk], public_url="https://public.example/api/"))
    token = key.sign(make_claims(ISSUER, cnf={"jkt": client_key.jkt}, **ENOUGH))
    for path in ("/photos/1", "/photos/1?size=2", "/photos/%C3%A4%20b", "/photos/a:b@c", "/photos/%41"):
        proof = client_key.prove(token, url=f"https://public.example/api{path}", method="POST")
        assert ask(path, method="POST", Authorization=f"DPoP {token}", DPoP=proof)[::2] == (200, b"alice"), path
    elsewhere = client_key.prove(token, url=f"{ORIGIN}/photos/1")
    assert "another address" in reason(ask(Authorization=f"DPoP {token}", DPoP=elsewhere))


def test_the_path_of_a_request_is_the_raw_one_where_that_says_the_same() -> None:
    assert encode_path(b"/a/b", "/a%2Fb?x") == "/a%2Fb"
    assert encode_path(b"/a/b", "/c") == "/a/b"
    assert encode_path(b"/a b/\xc3\xa4", "") == "/a%20b/%C3%A4"
    assert encode_path(b"/a/b", "http://evil.example/a/b") == "/a/b"


@pytest.mark.requirement("RFC 9449", "9", "a resource server's nonce")
def test_where_a_nonce_is_asked_for_the_refusal_brings_it_and_spends_nothing(
    through: Through, key: SigningKey, client_key: ClientKey, clock: MovableClock, make_verifier: MakeVerifier
) -> None:
    nonce_key = b"n" * 32
    ask = through(make_verifier(ISSUER, keys=[key.public_jwk], dpop_nonce_key=nonce_key))
    token = key.sign(make_claims(ISSUER, cnf={"jkt": client_key.jkt}, **ENOUGH))

    def attempt(**claims: str) -> Answer:
        proof = client_key.prove(token, url=f"{ORIGIN}/photos/1", jti="the-same", **claims)
        return ask(Authorization=f"DPoP {token}", DPoP=proof)

    for wrong in ({}, {"nonce": "mine"}, {"nonce": make_nonce(b"x" * 32, now_s=clock.now_s)}):
        status, headers, _ = attempt(**wrong)
        assert status == 401
        assert 'error="use_dpop_nonce"' in headers["www-authenticate"]
        assert headers["dpop-nonce"] == make_nonce(nonce_key, now_s=clock.now_s)
    assert attempt(nonce=headers["dpop-nonce"])[0] == 200
    with pytest.raises(ValueError, match="dpop_nonce_key has less than 32 bytes"):
        make_verifier(ISSUER, keys=[key.public_jwk], dpop_nonce_key=b"short")


def test_an_api_may_ask_for_bound_tokens_only(through: Through, key: SigningKey, make_verifier: MakeVerifier) -> None:
    ask = through(make_verifier(ISSUER, keys=[key.public_jwk], require_dpop=True))
    unbound = ask(Authorization=f"Bearer {key.sign(make_claims(ISSUER, **ENOUGH))}")
    assert (unbound[0], reason(unbound)) == (401, "the token is not bound to a key, which this API asks for")
    assert unbound[1]["www-authenticate"].startswith("DPoP ")
    assert "Bearer" not in ask()[1]["www-authenticate"]
    assert json.loads(ask(METADATA_PATH)[2])["dpop_bound_access_tokens_required"] is True
    with pytest.raises(ValueError, match="require_dpop needs public_url"):
        make_verifier(ISSUER, keys=[key.public_jwk], audience="urn:example:api", require_dpop=True)


def test_an_api_without_an_address_takes_no_bound_token(
    key: SigningKey, client_key: ClientKey, make_verifier: MakeVerifier
) -> None:
    ask = through_wsgi(make_verifier(ISSUER, keys=[key.public_jwk], audience="urn:example:api"))
    token = key.sign(make_claims(ISSUER, aud="urn:example:api", cnf={"jkt": client_key.jkt}, **ENOUGH))
    answer = ask(Authorization=f"DPoP {token}", DPoP=client_key.prove(token, url=f"{ORIGIN}/photos/1"))
    assert (answer[0], reason(answer)) == (401, "the token is bound to a key, which is not enforced here (cnf)")
    assert ask()[1]["www-authenticate"] == 'Bearer realm="urn:example:api", scope="photos.read"'


def test_a_shared_store_refuses_replays_at_every_process(
    through: Through, key: SigningKey, client_key: ClientKey, make_verifier: MakeVerifier
) -> None:
    class SharedStore:
        """Stands for Redis: it may wait for a network, so an event loop must not call it."""

        is_immediate = False

        def __init__(self) -> None:
            self.seen: set[bytes] = set()

        def add(self, replay_key: bytes) -> bool:
            with pytest.raises(RuntimeError, match="no running event loop"):
                asyncio.get_running_loop()
            is_new = replay_key not in self.seen
            self.seen.add(replay_key)
            return is_new

    store: ReplayStore = SharedStore()
    processes = [through(make_verifier(ISSUER, keys=[key.public_jwk], replays=store)) for _ in range(2)]
    token = key.sign(make_claims(ISSUER, cnf={"jkt": client_key.jkt}, **ENOUGH))
    proof = client_key.prove(token, url=f"{ORIGIN}/photos/1")
    # In a thread of its own: this one may have the running loop of a browser.
    with ThreadPoolExecutor(1) as pool:
        answers = [pool.submit(ask, Authorization=f"DPoP {token}", DPoP=proof).result()[0] for ask in processes]
    assert answers == [200, 401]


# ----- Networks ------------------------------------------------------------------------------------------------------


def test_a_network_bound_token_passes_from_its_networks(
    through: Through, key: SigningKey, make_verifier: MakeVerifier
) -> None:
    ask = through(make_verifier(ISSUER, keys=[key.public_jwk], trusted_proxies=["198.51.100.0/24"]))
    token = key.sign(make_claims(ISSUER, th_networks=["10.0.0.0/8"], **ENOUGH))
    bearer = {"Authorization": f"Bearer {token}"}
    cases: list[tuple[str, dict[str, str], int]] = [
        ("10.1.2.3", {}, 200),
        ("192.0.2.7", {}, 401),
        ("192.0.2.7", {"X_Forwarded_For": "10.1.2.3"}, 401),
        ("10.1.2.3", {"X_Forwarded_For": "192.0.2.7"}, 200),
        ("198.51.100.9", {"X_Forwarded_For": "10.1.2.3"}, 200),
        ("198.51.100.9", {"X_Forwarded_For": "10.1.2.3, 192.0.2.7"}, 401),
        ("198.51.100.9", {"X_Forwarded_For": "not an address"}, 401),
        ("198.51.100.9", {}, 401),
        ("", {}, 401),
    ]
    for peer, headers, status in cases:
        answer = ask(peer=peer, **bearer, **headers)
        assert answer[0] == status, (peer, headers)
        if status == 401:
            assert 'error="invalid_token"' in answer[1]["www-authenticate"]


# ----- What a view asks for ------------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC 9470", "3", "insufficient_user_authentication with acr_values and max_age")
def test_a_login_that_is_not_enough_is_told_what_would_be(
    through: Through, key: SigningKey, make_verifier: MakeVerifier
) -> None:
    ask = through(make_verifier(ISSUER, keys=[key.public_jwk]))
    for changes in ({"acr": "pwd"}, {"acr": ...}, {"auth_time": 1_799_999_000}, {"auth_time": ...}):
        status, headers, _ = ask(Authorization=f"Bearer {key.sign(make_claims(ISSUER, **{**ENOUGH, **changes}))}")
        assert status == 401
        assert 'error="insufficient_user_authentication"' in headers["www-authenticate"]
        assert f'acr_values="mfa phr", max_age="600", {METADATA}' in headers["www-authenticate"]


def test_authorization_details_can_be_asked_for_and_compared(
    through: Through, key: SigningKey, make_verifier: MakeVerifier
) -> None:
    verifier = make_verifier(ISSUER, keys=[key.public_jwk])
    ask = through(verifier)
    missing = ask(Authorization=f"Bearer {key.sign(make_claims(ISSUER, acr='mfa', auth_time=1_800_000_000))}")
    assert (missing[0], reason(missing)) == (403, "the token lacks authorization_details of the type files")
    assert 'error="insufficient_scope"' in missing[1]["www-authenticate"]

    details = [{"type": "files", "path": "/photos", "actions": ["read", "write"]}]
    claims = verifier.verify(key.sign(make_claims(ISSUER, authorization_details=details)))
    orders = {"path": "prefix", "actions": "set"}
    assert allows(claims, {"type": "files", "path": "/photos/1", "actions": ["read"]}, orders=orders)
    assert not allows(claims, {"type": "files", "path": "/films/1", "actions": ["read"]}, orders=orders)
    assert not allows(claims, {"type": "files", "path": "/photos/1", "actions": ["read"]})
    assert not allows(claims, {"type": "payments"})
    with pytest.raises(ValueError, match="one of the orders"):
        allows(claims, {"type": "files"}, orders={"path": "below"})


@pytest.mark.parametrize("max_age_s", [-1, 1.5, "60", True])
def test_an_age_that_means_nothing_is_refused_at_the_start(max_age_s: Any) -> None:
    with pytest.raises(ValueError, match="max_age_s"):
        require(max_age_s=max_age_s)


# ----- Metadata ------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC 9728", "3", "protected resource metadata at its well-known path, without a token")
def test_the_resource_says_what_it_is(through: Through, key: SigningKey, make_verifier: MakeVerifier) -> None:
    ask = through(make_verifier(ISSUER, keys=[key.public_jwk], metadata={"scopes_supported": ["photos.read"]}))
    status, headers, body = ask(METADATA_PATH)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert (headers["access-control-allow-origin"], headers["cache-control"]) == ("*", "public, max-age=3600")
    assert json.loads(body) == {
        "resource": API,
        "authorization_servers": [ISSUER],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ["ES256", "RS256", "PS256", "EdDSA", "Ed25519"],
        "dpop_bound_access_tokens_required": False,
        "scopes_supported": ["photos.read"],
    }
    head = ask(METADATA_PATH, method="HEAD")
    assert (head[0], head[2], head[1]["content-length"]) == (200, b"", str(len(body)))
    assert ask(METADATA_PATH + "/")[0] in (401, 404)
    assert ask(METADATA_PATH, method="POST")[0] in (401, 405)


def test_a_resource_may_keep_silent(through: Through, key: SigningKey, make_verifier: MakeVerifier) -> None:
    ask = through(make_verifier(ISSUER, keys=[key.public_jwk], publish_metadata=False))
    assert ask(METADATA_PATH)[0] in (401, 404)
    assert "resource_metadata" not in ask()[1]["www-authenticate"]
    for audience in ("urn:example:api", "https://api.example.com/?tenant=7"):
        quiet = make_verifier(ISSUER, keys=[key.public_jwk], audience=audience)
        assert (quiet.published.url, quiet.published.path) == (None, None)
        with pytest.raises(ValueError, match="metadata needs an audience"):
            make_verifier(ISSUER, keys=[key.public_jwk], audience=audience, metadata={"resource_name": "x"})


@pytest.mark.parametrize("proxies", [["10.0.0.1/8"], ["localhost"], [""]])
def test_a_proxy_that_is_no_network_stops_the_start(proxies: list[str], make_verifier: MakeVerifier) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        make_verifier(ISSUER, trusted_proxies=proxies)
