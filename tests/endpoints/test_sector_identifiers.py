"""The file behind a `sector_identifier_uri`, read once when a client registers it (OpenID Connect Registration 5)."""

import json
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from tests.actors.http import Reply
from tests.actors.registrant import register, send_document
from tests.services.other_host import OtherHost, answer
from tests.world import World

REDIRECT_URIS = ["https://one.example/cb", "https://two.example/cb"]


@pytest.fixture
def sector_host(receiver_tls: ssl.SSLContext) -> Iterator[OtherHost]:
    with OtherHost(listing(*REDIRECT_URIS), tls=receiver_tls) as host:
        yield host


def listing(*redirect_uris: str) -> bytes:
    return answer("Content-Type: application/json", body=json.dumps(redirect_uris).encode())


def register_pairwise(world: World, host: OtherHost, **metadata: Any) -> Reply:
    return register(
        world.url,
        **{
            "subject_type": "pairwise",
            "redirect_uris": REDIRECT_URIS,
            "sector_identifier_uri": f"https://127.0.0.1:{host.port}/sector.json",
            **metadata,
        },
    )


def assert_refused(reply: Reply) -> None:
    assert (reply.status, reply.json()["error"]) == (400, "invalid_client_metadata"), reply.text


@pytest.mark.requirement("OpenID Connect Registration 1.0", "5", "the file must list every redirect URI")
def test_99_a_client_whose_file_lists_its_redirect_uris_is_registered(
    registration_world: World, sector_host: OtherHost
) -> None:
    reply = register_pairwise(registration_world, sector_host)
    assert reply.status == 201, reply.text
    assert reply.json()["subject_type"] == "pairwise"
    assert sector_host.connections == 1


@pytest.mark.requirement("OpenID Connect Registration 1.0", "5", "or registration must fail")
@pytest.mark.parametrize(
    "behaviour",
    [
        listing(REDIRECT_URIS[0]),
        listing(),
        answer(body=json.dumps({"redirect_uris": REDIRECT_URIS}).encode()),
        answer(body=json.dumps([*REDIRECT_URIS, 7]).encode()),
        answer(body=b"<html>"),
        answer(status="404 Not Found", body=json.dumps(REDIRECT_URIS).encode()),
        answer("Location: https://127.0.0.1/", status="302 Found"),
        b"",
    ],
    ids=["one missing", "empty", "object", "not a string", "html", "404", "redirect", "nothing"],
)
def test_99_a_file_that_does_not_list_every_redirect_uri_refuses_the_client(
    registration_world: World, sector_host: OtherHost, behaviour: bytes
) -> None:
    sector_host.behaviour = behaviour
    assert_refused(register_pairwise(registration_world, sector_host))


def test_99_several_hosts_need_a_file_and_one_host_does_not(registration_world: World) -> None:
    assert_refused(register(registration_world.url, subject_type="pairwise", redirect_uris=REDIRECT_URIS))
    alone = register(registration_world.url, subject_type="pairwise", redirect_uris=REDIRECT_URIS[:1])
    assert alone.status == 201


def test_99_the_file_is_read_again_only_for_what_is_new(registration_world: World, sector_host: OtherHost) -> None:
    """Case 99: a later change of the list changes nothing; a new redirect URI must be on it."""
    registered = register_pairwise(registration_world, sector_host).json()
    sector_host.behaviour = listing()
    url = f"{registration_world.url}/register/{registered['client_id']}"
    names = ("client_id", "subject_type", "redirect_uris", "sector_identifier_uri")
    document = {name: registered[name] for name in names}
    token = registered["registration_access_token"]
    kept = send_document(url, {**document, "client_name": "Another"}, method="PUT", token=token)
    assert (kept.status, sector_host.connections) == (200, 1)
    more = {**document, "redirect_uris": [*REDIRECT_URIS, "https://three.example/cb"]}
    assert_refused(send_document(url, more, method="PUT", token=token))
    sector_host.behaviour = listing(*more["redirect_uris"])
    assert send_document(url, more, method="PUT", token=token).status == 200


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1/sector.json",
        "https://10.0.0.1/sector.json",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/sector.json",
        "https://2130706433/sector.json",
        "https://user:password@rp.example/sector.json",
        "file:///etc/passwd",
    ],
)
def test_97_a_file_where_only_we_could_go_is_refused(registration_world: World, uri: str) -> None:
    """Case 97: 127.0.0.1 by https is what the operator of this test allows, and nothing else."""
    metadata = {"subject_type": "pairwise", "redirect_uris": REDIRECT_URIS, "sector_identifier_uri": uri}
    assert_refused(register(registration_world.url, **metadata))
