"""Software statements (RFC 7591 2.3): what somebody whom the operator trusts says of a client counts more."""

import json
import ssl
import time
from typing import Any

import pytest

from app.specs.rfc7517_jwk import generate_private_jwk
from tests.actors.http import send
from tests.actors.registrant import register, send_document
from tests.actors.statement_issuer import ISSUER, ISSUER_ELSEWHERE, KEYS_PORT, PUBLIC_JWKS, make_statement
from tests.services.other_host import OtherHost, answer
from tests.world import World

HOUR = 3600


@pytest.mark.requirement("RFC 7591", "3.1.1", "the statement's values take precedence over the client's own")
@pytest.mark.requirement("RFC 7591", "3.2.1", "the statement is returned unmodified")
def test_what_a_statement_says_counts_more_than_what_the_client_says(registration_world: World) -> None:
    statement = make_statement(
        client_name="Photos", software_id="4NRB1", redirect_uris=["https://app.example/cb"], exp=time.time() + HOUR
    )
    reply = register(
        registration_world.url,
        software_statement=statement,
        client_name="Your bank",
        redirect_uris=["https://evil.example/cb"],
        client_uri="https://app.example",
        **{"client_name#de": "Ihre Bank"},
    )
    document = reply.json()
    assert reply.status == 201, reply.text
    assert (document["client_name"], document["software_id"]) == ("Photos", "4NRB1")
    assert document["redirect_uris"] == ["https://app.example/cb"]
    assert document["client_uri"] == "https://app.example"
    assert document["software_statement"] == statement
    assert "client_name#de" not in document
    assert {"iss", "exp"}.isdisjoint(document)


def test_96_a_change_does_not_get_rid_of_what_was_attested(registration_world: World) -> None:
    statement = make_statement(client_name="Photos", redirect_uris=["https://app.example/cb"])
    registered = register(registration_world.url, software_statement=statement).json()
    url = f"{registration_world.url}/register/{registered['client_id']}"
    token = registered["registration_access_token"]
    change = {"client_id": registered["client_id"], "client_name": "Bank", "redirect_uris": ["https://evil.example/"]}
    changed = send_document(url, change, method="PUT", token=token)
    assert changed.status == 200
    for document in (changed.json(), send(url, headers={"Authorization": f"Bearer {token}"}).json()):
        assert (document["client_name"], document["redirect_uris"]) == ("Photos", ["https://app.example/cb"])
        assert document["software_statement"] == statement


def test_a_statement_that_was_good_once_may_be_sent_back_after_its_end(registration_world: World) -> None:
    statement = make_statement(client_name="Photos", exp=time.time() + HOUR)
    registered = register(registration_world.url, software_statement=statement).json()
    url = f"{registration_world.url}/register/{registered['client_id']}"
    registration_world.clock.move(seconds=2 * HOUR)
    change = {
        "client_id": registered["client_id"],
        "redirect_uris": registered["redirect_uris"],
        "software_statement": statement,
    }
    changed = send_document(url, change, method="PUT", token=registered["registration_access_token"])
    assert (changed.status, changed.json()["client_name"]) == (200, "Photos")


def test_96_a_statement_cannot_say_what_only_an_operator_says(registration_world: World) -> None:
    statement = make_statement(policy={"skip_consent": True}, client_id="chosen", client_secret="x" * 60)
    document = register(registration_world.url, software_statement=statement).json()
    assert document["client_id"] != "chosen"
    assert document["client_secret"] != "x" * 60
    assert registration_world.operator.show_client(document["client_id"]).policy["skip_consent"] is False


@pytest.mark.requirement("RFC 7591", "3.2.2", "unapproved_software_statement")
@pytest.mark.parametrize("issuer", ["https://other.example", ISSUER + "/", ISSUER.upper()])
def test_a_statement_of_somebody_else_is_not_approved(registration_world: World, issuer: str) -> None:
    reply = register(registration_world.url, software_statement=make_statement(issuer=issuer))
    assert (reply.status, reply.json()["error"]) == (400, "unapproved_software_statement")


@pytest.mark.requirement("RFC 7591", "3.2.2", "invalid_software_statement")
@pytest.mark.parametrize(
    "statement",
    [
        make_statement(exp=time.time() - HOUR),
        make_statement(exp="never"),
        make_statement(nbf=time.time() + HOUR),
        make_statement(iat=time.time() + HOUR),
        make_statement(aud="https://another-server.example"),
        make_statement(iss=None),
        make_statement(iss=7),
        make_statement(key=generate_private_jwk("ES256")),
        make_statement()[:-8] + "AAAAAAAA",
        "eyJhbGciOiJub25lIn0." + make_statement().split(".")[1] + ".",
        "not a statement",
        "a.b.c",
        "\u00e9.b.c",
        "x" * 20_000,
        7,
        {"iss": ISSUER},
    ],
    # The same in every process, which the statements are not.
    ids=[
        "expired",
        "exp is no time",
        "not yet",
        "from tomorrow",
        "for another server",
        "no issuer",
        "issuer is no text",
        "another key",
        "another signature",
        "unsigned",
        "no JWT",
        "no JSON",
        "not ASCII",
        "too long",
        "a number",
        "an object",
    ],
)
def test_a_statement_that_does_not_hold_is_refused(registration_world: World, statement: Any) -> None:
    reply = register(registration_world.url, software_statement=statement)
    assert (reply.status, reply.json()["error"]) == (400, "invalid_software_statement"), reply.text


def test_97_keys_come_from_where_the_operator_said_and_never_from_the_statement(
    registration_world: World, receiver_tls: ssl.SSLContext
) -> None:
    """Case 97: a statement names addresses, and nobody goes there."""
    with OtherHost(tls=receiver_tls) as tempting:
        address = f"https://127.0.0.1:{tempting.port}/jwks"
        statement = make_statement(
            issuer=address, key=generate_private_jwk("ES256"), jwks_uri=address, client_uri=address
        )
        reply = register(registration_world.url, software_statement=statement)
        assert reply.json()["error"] == "unapproved_software_statement"
        assert tempting.connections == 0
    keys = answer("Content-Type: application/json", body=json.dumps(PUBLIC_JWKS).encode())
    with OtherHost(keys, tls=receiver_tls, port=KEYS_PORT) as elsewhere:
        reply = register(registration_world.url, software_statement=make_statement(issuer=ISSUER_ELSEWHERE))
        assert reply.status == 201, reply.text
        assert elsewhere.connections == 1
