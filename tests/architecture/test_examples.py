"""The short examples, started as their first lines say: they take a token of this server, and nothing else."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.specs.token_status_list import status_claim
from tests.actors.http import Reply, send
from tests.conftest import run_world
from tests.patience import wait_until
from tests.server import ROOT, free_port
from tests.verifier.issuer import ClientKey, IssuerServer, SigningKey, make_claims
from tests.world import World

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def own_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("examples")
    yield from run_world(directory, f"sqlite:///{directory}/tokenhouse.db")


@contextmanager
def started(
    command: Sequence[str], world: World, *, audience: str, port: int, issuer: str | None = None
) -> Iterator[str]:
    """A program, and where it answers."""
    environment = {"PATH": os.environ["PATH"], "ISSUER": issuer or world.issuer, "AUDIENCE": audience}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
        try:
            send(url, timeout_s=1)
        except OSError:
            return False
        return True

    try:
        wait_until(answers, within_s=30)
        yield url
    finally:
        process.terminate()
        process.communicate(timeout=20)


def commands(port: int) -> dict[str, list[str]]:
    return {
        "plain_wsgi_api": [str(BIN / "python"), "examples/plain_wsgi_api.py", str(port)],
        "asgi_api": [
            *(str(BIN / "granian"), "--interface", "asgi", "--port", str(port)),
            *("--working-dir", "examples", "asgi_api:application"),
        ],
        "django_api": [str(BIN / "python"), "examples/django_api.py", "runserver", "--noreload", str(port)],
        "fastapi_api": [
            *(str(BIN / "granian"), "--interface", "asgi", "--port", str(port)),
            *("--working-dir", "examples", "fastapi_api:app"),
        ],
        "photo_library": [str(BIN / "python"), "examples/photo_library/api.py", "--port", str(port)],
    }


def ask(url: str, token: str | None, path: str) -> Reply:
    return send(url + path, headers={} if token is None else {"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize("name", list(commands(0)))
def test_an_example_takes_a_token_for_its_scope_and_refuses_the_rest(own_world: World, name: str) -> None:
    account, port = own_world.operator.add_user(), free_port()
    audience = own_world.operator.add_resource()
    party = own_world.relying_party()
    path = "/photos"
    good = own_world.get_tokens(party, account, scope="photos.read", resource=audience).access_token
    narrow = own_world.get_tokens(party, account, scope="photos.write", resource=audience).access_token
    other = own_world.operator.add_resource()
    foreign = own_world.get_tokens(party, account, scope="photos.read", resource=other).access_token
    with started(commands(port)[name], own_world, audience=audience, port=port) as url:
        assert ask(url, good, path).status == 200
        refusals = {token: ask(url, token, path) for token in (None, narrow, foreign)}
    assert [refusal.status for refusal in refusals.values()] == [401, 403, 401]
    assert 'error="insufficient_scope"' in refusals[narrow].headers["www-authenticate"]
    assert 'error="invalid_token"' in refusals[foreign].headers["www-authenticate"]
    assert "error" not in refusals[None].headers["www-authenticate"]


@pytest.mark.parametrize("name", [name for name in commands(0) if name != "photo_library"])
def test_an_example_says_what_it_is_and_takes_bound_tokens_with_their_proof_only(own_world: World, name: str) -> None:
    port = free_port()
    audience = f"http://127.0.0.1:{port}/"
    key, client = SigningKey(), ClientKey()
    with IssuerServer(key) as issuer:
        now_s = time.time()
        token = key.sign(
            make_claims(
                issuer.issuer,
                now_s=now_s,
                aud=audience,
                cnf={"jkt": client.jkt},
                th_networks=["127.0.0.0/8"],
                status=status_claim(issuer.list_uri(), 1),
            )
        )
        elsewhere = key.sign(make_claims(issuer.issuer, now_s=now_s, aud=audience, th_networks=["192.0.2.0/24"]))
        revoked = key.sign(
            make_claims(issuer.issuer, now_s=now_s, aud=audience, status=status_claim(issuer.list_uri(), 7))
        )
        issuer.publish_list(7, now_s=now_s)
        with started(commands(port)[name], own_world, audience=audience, port=port, issuer=issuer.issuer) as url:
            metadata = send(f"{url}/.well-known/oauth-protected-resource")
            proof = client.prove(token, url=f"{url}/photos", now_s=now_s)
            bound = {"Authorization": f"DPoP {token}", "DPoP": proof}
            answers = [send(f"{url}/photos", headers=bound).status for _ in range(2)]
            refusals = [ask(url, other, "/photos") for other in (token, elsewhere, revoked)]
    assert (metadata.status, metadata.json()["resource"]) == (200, audience)
    assert metadata.json()["authorization_servers"] == [issuer.issuer]
    assert answers == [200, 401]
    for refusal, reason in zip(refusals, ("not as a bearer token", "from this network", "been revoked"), strict=True):
        assert refusal.status == 401
        assert reason in refusal.headers["www-authenticate"]


def test_only_the_named_path_of_the_asgi_example_needs_no_token(own_world: World) -> None:
    port = free_port()
    with started(commands(port)["asgi_api"], own_world, audience="https://api.example", port=port) as url:
        assert ask(url, None, "/health").json() == {"status": "well"}
        assert ask(url, None, "/healthy").status == 401


def test_pictures_are_drawn_alike_each_time_and_hold_nothing_that_runs(own_world: World) -> None:
    account, port = own_world.operator.add_user(), free_port()
    audience = own_world.operator.add_resource()
    token = own_world.get_tokens(
        own_world.relying_party(), account, scope="photos.read", resource=audience
    ).access_token
    with started(commands(port)["photo_library"], own_world, audience=audience, port=port) as url:
        first, second = (ask(url, token, "/photos/photo-1/image") for _ in range(2))
        assert ask(url, token, "/photos/photo-99/image").status == 404
    assert first.body == second.body
    assert first.headers["content-type"] == "image/svg+xml"
    assert "default-src 'none'" in first.headers["content-security-policy"]
    for word in ("<script", "href", "on", "style"):
        assert f" {word}=" not in first.text
    assert "<script" not in first.text
