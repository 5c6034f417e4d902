"""Attacks on token exchange (cases 81 and 82): every refusal one step away from an exchange that is good."""

import base64
import copy
import functools
import json
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select, text

from app.services.issue_tokens import decode_jti
from app.services.list_audit import list_audit
from app.services.manage_clients import disable_client
from app.services.manage_grants import list_grants, revoke_grant, show_grant
from app.services.manage_users import disable_user, set_password
from app.specs.protocol_error import InsufficientScope, InvalidToken
from app.specs.rfc8693_token_exchange import ACCESS_TOKEN, JWT
from app.storage.revocation import MAX_EXCHANGE_DEPTH, revoke_access_token
from app.storage.tables import access_tokens, grants
from app.verifier import AccessTokenVerifier
from tests.actors.dpop_key import DpopKey
from tests.actors.http import Reply, send
from tests.actors.relying_party import read_jwt
from tests.actors.token_exchange import Chain, exchange, make_chain, make_exchanger, make_machine, try_exchange
from tests.attacks.good_conduct import assert_json_error, nothing_changes
from tests.databases import on_sqlite
from tests.patience import wait_until
from tests.server import ServerProcess, free_port
from tests.verifier.issuer import SigningKey
from tests.world import World

TOKEN_TYPE = "urn:ietf:params:oauth:token-type:"


def make_verifier(world: World, audience: str) -> AccessTokenVerifier:
    """A resource server's, with the server's real keys."""
    return AccessTokenVerifier(
        issuer=world.issuer,
        audience=audience,
        keys=send(f"{world.url}/jwks").json(),
        clock=lambda: world.clock() / 1000,
        ignore_status=True,
        background=False,
    )


def assert_refused(world: World, reply: Callable[[], Reply], error: str = "invalid_request", status: int = 400) -> None:
    """R with this error, and nothing was written."""
    with nothing_changes(world):
        refused = reply()
    assert_json_error(refused, error, status)
    assert "access_token" not in refused.text


# ----- What is good -----


@pytest.mark.requirement("RFC 8693", "2.2.1", "issued_token_type, token_type, expires_in and scope are in the answer")
@pytest.mark.requirement("RFC 8693", "4.1", "act names who acts, beside the sub that stays the person's")
def test_82_the_api_exchanges_for_the_next_one_and_the_verifier_there_sees_who_acts(world: World) -> None:
    chain = make_chain(world)
    token = chain.get_token()
    reply = try_exchange(chain.library, token, resource=chain.prints)
    assert reply.status == 200, reply.text
    answer = reply.json()
    assert set(answer) == {"access_token", "issued_token_type", "token_type", "expires_in", "scope"}
    assert (answer["issued_token_type"], answer["token_type"]) == (ACCESS_TOKEN, "Bearer")
    assert answer["scope"] == "prints.read"
    assert 0 < answer["expires_in"] <= 300
    verified = make_verifier(world, chain.prints).verify(answer["access_token"], scope="prints.read")
    assert (verified.subject, verified.client_id) == (chain.account.sub, chain.library.client_id)
    assert verified.claims["act"] == {"sub": chain.library.client_id}
    assert verified.actors == (chain.library.client_id,)
    assert verified.claims["auth_time"] == read_jwt(token)["auth_time"]
    with pytest.raises(InvalidToken):
        make_verifier(world, chain.photos).verify(answer["access_token"])
    with pytest.raises(InsufficientScope):
        make_verifier(world, chain.prints).verify(answer["access_token"], scope="prints.order")


def test_82_a_client_narrows_its_own_token_and_a_jwt_may_be_called_one(world: World) -> None:
    chain = make_chain(world)
    token = chain.get_token()
    narrow = exchange(chain.backend, token, subject_token_type=JWT, scope="photos.read", tokenhouse_expires_in="60")
    claims = read_jwt(narrow)
    assert (claims["aud"], claims["scope"], claims["exp"] - claims["iat"]) == (chain.photos, "photos.read", 60)
    assert claims["act"] == {"sub": chain.shop.client_id}
    # The narrow one cannot grow back.
    assert_refused(world, lambda: try_exchange(chain.backend, narrow, scope="photos.write"), "invalid_scope")


@pytest.mark.requirement("RFC 8693", "2.1", "audience and resource may both be there, and may be repeated")
def test_82_audience_and_resource_mean_the_same_and_only_one_target(world: World) -> None:
    chain = make_chain(world, allowed=["https://nowhere.example"])
    library = make_exchanger(
        world,
        introspects=[chain.photos],
        token_exchange_audiences=[chain.photos, {"resource": chain.prints, "scopes": ["prints.read"]}],
    )
    token, prints = chain.get_token(), chain.prints
    for targets in (
        {"audience": prints},
        {"audience": [prints, prints]},
        {"resource": [prints, f"{prints}/"], "audience": prints},
    ):
        assert read_jwt(exchange(library, token, **targets))["aud"] == prints
    for targets in (
        {"audience": [prints, chain.photos]},
        {"resource": [prints, chain.photos]},
        {"resource": prints, "audience": chain.photos},
    ):
        assert_refused(world, functools.partial(try_exchange, library, token, **targets), "invalid_target")


def test_82_what_the_person_granted_at_the_target_bounds_the_operators_list(world: World) -> None:
    chain = make_chain(world)
    library = make_exchanger(
        world,
        introspects=[chain.photos],
        token_exchange_audiences=[{"resource": chain.prints, "scopes": ["prints.read", "prints.order"]}],
    )
    asked_for_nothing = chain.get_token()
    assert read_jwt(exchange(library, asked_for_nothing, resource=chain.prints))["scope"] == "prints.read prints.order"
    code, pending = world.get_code(
        chain.shop, chain.account, scope="photos.read prints.order", resource=[chain.photos, chain.prints]
    )
    both = chain.shop.exchange(code, pending, resource=chain.photos).access_token
    assert read_jwt(exchange(library, both, resource=chain.prints))["scope"] == "prints.order"
    refused = functools.partial(try_exchange, library, both, resource=chain.prints, scope="prints.read")
    assert_refused(world, refused, "invalid_scope")
    # Without a list, what the person granted there is all that there is.
    listless = make_exchanger(world, introspects=[chain.photos], token_exchange_audiences=[chain.prints])
    assert read_jwt(exchange(listless, both, resource=chain.prints))["scope"] == "prints.order"
    refused = functools.partial(try_exchange, listless, asked_for_nothing, resource=chain.prints)
    assert_refused(world, refused, "invalid_target")


def test_82_no_detour_leads_past_what_the_person_granted(world: World) -> None:
    chain, detour = make_chain(world), world.operator.add_resource()
    code, pending = world.get_code(
        chain.shop, chain.account, scope="photos.read prints.read", resource=[chain.photos, chain.prints]
    )
    token = chain.shop.exchange(code, pending, resource=chain.photos).access_token
    everything = {"resource": chain.prints, "scopes": ["prints.read", "prints.order"]}
    library = make_exchanger(
        world,
        introspects=[chain.photos, detour],
        token_exchange_audiences=[everything, {"resource": detour, "scopes": ["photos.read"]}],
    )
    halfway = exchange(library, token, resource=detour)
    assert read_jwt(exchange(library, halfway, resource=chain.prints))["scope"] == "prints.read"


def test_82_the_exchanged_token_never_outlives_its_subject(world: World) -> None:
    chain = make_chain(world)
    token = chain.get_token()
    world.clock.move(seconds=200)
    exchanged = read_jwt(exchange(chain.library, token, resource=chain.prints, tokenhouse_expires_in="3600"))
    assert exchanged["exp"] <= read_jwt(token)["exp"]
    assert exchanged["exp"] - exchanged["iat"] <= 100


# ----- Case 81: what is no subject token -----


def forge(token: str, **claims: Any) -> str:
    """The same token with other claims, and the signature that it had."""
    header, _, signature = token.split(".")
    payload = json.dumps({**read_jwt(token), **claims}).encode()
    return f"{header}.{base64.urlsafe_b64encode(payload).rstrip(b'=').decode()}.{signature}"


@pytest.mark.requirement("RFC 8693", "2.2.2", "a subject_token that is invalid for any reason is an invalid_request")
@on_sqlite
def test_81_what_is_not_a_living_access_token_of_ours_is_refused(world: World) -> None:
    chain = make_chain(world)
    code, pending = world.get_code(
        chain.shop, chain.account, scope="openid photos.read photos.write", resource=chain.photos
    )
    unused_code, _ = world.get_code(chain.shop, chain.account)
    tokens = chain.shop.exchange(code, pending)
    token = tokens.access_token
    other_issuer = SigningKey()
    header, payload, signature = token.split(".")
    for subject_token in (
        tokens.id_token,
        unused_code,
        chain.library.client_secret,
        chain.account.sub,
        other_issuer.sign(read_jwt(token)),
        forge(token, scope="photos.read photos.write admin"),
        forge(token, exp=read_jwt(token)["exp"] + 3600),
        f"{header}.{payload}.",
        f"{header}.{payload}.{signature}.",
        token + "x",
        "eyJhbGciOiJub25lIn0." + payload + ".",
        "x",
        "a.b.c",
    ):
        for kind in (ACCESS_TOKEN, JWT):
            refused = functools.partial(
                try_exchange, chain.library, subject_token, subject_token_type=kind, resource=chain.prints
            )
            assert_refused(world, refused)
    assert exchange(chain.library, token, resource=chain.prints)


NOT_WHOLE: tuple[dict[str, Any], ...] = (
    {"subject_token": None},
    {"subject_token": None, "subject_token_type": None},
    {"subject_token": ""},
    {"subject_token_type": None},
    *({"subject_token_type": TOKEN_TYPE + kind} for kind in ("refresh_token", "id_token", "saml1", "saml2", "x")),
    {"subject_token_type": "access_token"},
    *({"requested_token_type": TOKEN_TYPE + kind} for kind in ("refresh_token", "id_token", "jwt", "saml2")),
    {"actor_token_type": ACCESS_TOKEN},
    {"actor_token": "x"},
    {"actor_token": "x", "actor_token_type": ACCESS_TOKEN},
    {"tokenhouse_expires_in": "0"},
    {"scope": "photos..read prints.read "},
    {"scope": "openid"},
    {"scope": "offline_access"},
)


@on_sqlite
def test_81_a_request_that_is_not_whole_is_refused_and_never_falls_back_to_the_clients_rights(world: World) -> None:
    chain = make_chain(world)
    good = {"subject_token": chain.get_token(), "resource": chain.prints}
    for changes in NOT_WHOLE:
        error = "invalid_scope" if "scope" in changes else "invalid_request"
        assert_refused(world, functools.partial(try_exchange, chain.library, **{**good, **changes}), error)
    assert try_exchange(chain.library, **good).status == 200


@on_sqlite
def test_81_a_parameter_that_is_repeated_is_refused(world: World) -> None:
    chain = make_chain(world)
    token = chain.get_token()
    good = {"subject_token": token, "scope": "prints.read", "requested_token_type": ACCESS_TOKEN}
    for name, value in {**good, "subject_token_type": ACCESS_TOKEN}.items():
        changes = {**good, "resource": chain.prints, name: [value, value]}
        assert_refused(world, functools.partial(try_exchange, chain.library, **changes))


def test_81_an_expired_token_is_refused(world: World) -> None:
    chain = make_chain(world)
    token = chain.get_token()
    world.clock.move(seconds=301)
    assert_refused(world, lambda: try_exchange(chain.library, token, resource=chain.prints))


WaysToEnd = Callable[[Chain, str], object]


def end_token(chain: Chain, token: str) -> None:
    jti, now = decode_jti(read_jwt(token)["jti"]), chain.world.clock()
    assert jti is not None
    database = chain.world.operator.deployment.database
    assert database.transact(lambda connection: revoke_access_token(connection, jti, now=now))


def end_grant(chain: Chain, token: str) -> None:
    revoke_grant(chain.world.operator.deployment, find_grant_id(chain.world, token))


WAYS_TO_END: dict[str, WaysToEnd] = {
    "the token": end_token,
    "its grant": end_grant,
    "the sessions": lambda chain, _: set_password(
        chain.world.operator.deployment, chain.account.username, "another long password"
    ),
    "the person": lambda chain, _: disable_user(chain.world.operator.deployment, chain.account.username),
    "its client": lambda chain, _: disable_client(chain.world.operator.deployment, chain.shop.client_id),
    "the exchanger": lambda chain, _: disable_client(chain.world.operator.deployment, chain.library.client_id),
}


@pytest.mark.parametrize("way", WAYS_TO_END)
def test_81_what_has_ended_is_not_exchanged_and_ends_what_was_exchanged_from_it(world: World, way: str) -> None:
    chain = make_chain(world)
    token = chain.get_token()
    exchanged = exchange(chain.library, token, resource=chain.prints)
    end_exchanger = make_exchanger(world, introspects=[chain.prints], token_exchange_audiences=[chain.prints])
    last = exchange(end_exchanger, exchanged)
    untouched = make_chain(world)
    other = exchange(untouched.library, untouched.get_token(), resource=untouched.prints)
    WAYS_TO_END[way](chain, token)
    assert [is_alive(world, each) for each in (exchanged, last, other)] == [False, False, True]
    if way != "the exchanger":
        assert not is_alive(world, token)
        assert_refused(world, lambda: try_exchange(chain.library, token, resource=chain.prints))
    else:
        # A running server may remember the client for a second; it cannot issue for it all the same.
        refused = try_exchange(chain.library, token, resource=chain.prints)
        assert refused.status == 400
        assert refused.json()["error"] in ("unauthorized_client", "invalid_request")
    assert_refused(world, lambda: try_exchange(end_exchanger, exchanged))


def test_81_a_revoked_exchanged_token_ends_alone(world: World) -> None:
    chain = make_chain(world)
    token = chain.get_token()
    one, other = (exchange(chain.library, token, resource=chain.prints) for _ in range(2))
    end_token(chain, one)
    assert [is_alive(world, each) for each in (token, one, other)] == [True, False, True]


# ----- Case 82: who may, and what for -----


def test_82_only_the_tokens_own_client_and_the_one_linked_to_its_audience_may_exchange_it(world: World) -> None:
    chain = make_chain(world)
    token, allowed = chain.get_token(), [{"resource": chain.prints, "scopes": ["prints.read"]}, chain.photos]
    linked = {"introspects": [chain.photos], "token_exchange_audiences": allowed}
    for party in (
        make_exchanger(world, token_exchange_audiences=allowed),
        make_exchanger(world, introspects=[chain.prints], token_exchange_audiences=allowed),
        # Anybody can say that he is a public client.
        make_exchanger(world, {"token_endpoint_auth_method": "none"}, **linked),
    ):
        for resource in (chain.prints, chain.photos):
            assert_refused(world, functools.partial(try_exchange, party, token, resource=resource))
    assert exchange(make_exchanger(world, **linked), token, resource=chain.prints)


def test_82_a_stranger_learns_nothing_of_a_token(world: World) -> None:
    chain = make_chain(world)
    stranger = make_exchanger(world, token_exchange_audiences=[chain.prints])
    token = chain.get_token()
    alive = try_exchange(stranger, token, resource=chain.prints).json()
    end_token(chain, token)
    ended = try_exchange(stranger, token, resource=chain.prints).json()
    invented = try_exchange(stranger, "x", resource=chain.prints).json()
    without_incident = {answer["error_description"].rpartition(" [")[0] for answer in (alive, ended, invented)}
    assert without_incident == {"subject_token is not valid"}


def test_82_a_client_that_is_not_registered_for_the_grant_type_or_not_who_it_says_is_refused(world: World) -> None:
    chain = make_chain(world)
    token = chain.get_token()
    policy = {"introspects": [chain.photos], "token_exchange_audiences": [chain.prints]}
    party = make_exchanger(world, {"grant_types": ["client_credentials"]}, **policy)
    assert_refused(world, lambda: try_exchange(party, token, resource=chain.prints), "unauthorized_client")
    chain.library.client_secret = chain.backend.client_secret
    assert_refused(
        world, lambda: try_exchange(chain.library, token, resource=chain.prints), "invalid_client", status=401
    )


@on_sqlite
def test_82_nothing_is_allowed_that_the_operator_did_not_list(world: World) -> None:
    chain, unlisted = make_chain(world), world.operator.add_resource()
    token = chain.get_token()
    for changes, error in (
        ({"resource": unlisted}, "invalid_target"),
        ({"resource": "https://unknown.example"}, "invalid_target"),
        ({"resource": f"{world.issuer}/userinfo"}, "invalid_target"),
        ({"resource": world.issuer}, "invalid_target"),
        ({"audience": chain.shop.client_id}, "invalid_target"),
        ({"resource": chain.prints + "#fragment"}, "invalid_target"),
        ({"resource": chain.prints.upper()}, "invalid_target"),
        ({"resource": "not a uri"}, "invalid_target"),
        # Its own audience is none that the library was allowed.
        ({}, "invalid_target"),
        ({"resource": chain.prints, "scope": "prints.order"}, "invalid_scope"),
        ({"resource": chain.prints, "scope": "prints.read prints.order"}, "invalid_scope"),
        ({"resource": chain.prints, "scope": "photos.read"}, "invalid_scope"),
    ):
        assert_refused(world, functools.partial(try_exchange, chain.library, token, **changes), error)
    denied = make_exchanger(world, introspects=[chain.photos])
    assert_refused(world, lambda: try_exchange(denied, token, resource=chain.prints), "invalid_target")


def test_82_the_clients_registered_scope_bounds_the_exchange_too(world: World) -> None:
    chain = make_chain(world)
    library = make_exchanger(
        world,
        {"scope": "openid photos.read"},
        introspects=[chain.photos],
        token_exchange_audiences=[chain.photos, {"resource": chain.prints, "scopes": ["prints.read"]}],
    )
    token = chain.get_token()
    assert read_jwt(exchange(library, token))["scope"] == "photos.read"
    assert_refused(world, lambda: try_exchange(library, token, resource=chain.prints), "invalid_scope")


@pytest.mark.requirement("RFC 8693", "4.1", "prior actors are nested in act, the present one outermost")
@on_sqlite
def test_82_a_chain_of_actors_is_told_whole_and_has_an_end(world: World) -> None:
    chain = make_chain(world)
    ring = [
        make_exchanger(world, introspects=[chain.photos], token_exchange_audiences=[chain.photos]) for _ in range(2)
    ]
    token, actors = chain.get_token(), []
    for number in range(MAX_EXCHANGE_DEPTH):
        party = ring[number % 2]
        token = exchange(party, token)
        actors.insert(0, party.client_id)
        assert make_verifier(world, chain.photos).verify(token).actors == tuple(actors)
        assert read_jwt(token)["sub"] == chain.account.sub
    for party in ring:
        assert_refused(world, functools.partial(try_exchange, party, token))
    # The whole chain hangs on the first link.
    tree = list_grants(world.operator.deployment, user=chain.account.sub)
    assert len(tree) == 1 + MAX_EXCHANGE_DEPTH
    (root,) = [grant for grant in tree if grant.parent is None]
    revoke_grant(world.operator.deployment, root.grant_id)
    assert not is_alive(world, token)
    assert list_grants(world.operator.deployment, user=chain.account.sub) == ()


def test_82_the_trail_tells_parent_and_child(world: World) -> None:
    chain = make_chain(world)
    token = chain.get_token()
    exchanged = exchange(chain.library, token, resource=chain.prints)
    (event,) = list_audit(world.operator.deployment, event_type="token.exchanged", client_id=chain.library.client_id)
    assert event.grant_id == find_grant_id(world, exchanged)
    assert event.sub == chain.account.sub
    assert event.body["parent"] == find_grant_id(world, token)
    assert event.body["parent_jti"] == read_jwt(token)["jti"]
    assert event.body["act"] == {"sub": chain.library.client_id}


# ----- Tokens of machines, and tokens that are bound to a key -----


def test_82_a_machines_token_is_exchanged_too_and_dies_with_its_client(world: World) -> None:
    chain = make_chain(world)
    job = world.operator.add_client(
        grant_types=["client_credentials"],
        redirect_uris=[],
        scope="photos.read",
        policy={"resources": [chain.photos]},
    )
    machine = make_machine(world, job)
    token = machine.get_token().access_token
    exchanged = exchange(chain.library, token, resource=chain.prints)
    claims = read_jwt(exchanged)
    assert (claims["sub"], claims["client_id"]) == (machine.client_id, chain.library.client_id)
    assert claims["act"] == {"sub": chain.library.client_id}
    assert claims["exp"] <= read_jwt(token)["exp"]
    grant = show_grant(world.operator.deployment, find_grant_id(world, exchanged))
    assert (grant.parent, grant.sub) == (None, machine.client_id)
    printer = make_exchanger(world, introspects=[chain.prints], token_exchange_audiences=[chain.prints])
    again = exchange(printer, exchanged)
    disable_client(world.operator.deployment, machine.client_id)
    assert not is_alive(world, exchanged)
    assert not is_alive(world, again)
    wait_until(lambda: try_exchange(chain.library, token, resource=chain.prints).status == 400)


def test_82_a_revoked_machines_token_takes_along_what_was_exchanged_for_it(world: World) -> None:
    for token_format in ("jwt", "opaque"):
        chain = make_chain(world)
        api = world.operator.add_resource(access_token_format=token_format)
        machine = world.machine(policy={"resources": [api]})
        prints = [{"resource": chain.prints, "scopes": ["prints.read"]}]
        library = make_exchanger(world, introspects=[api], token_exchange_audiences=prints)
        tokens = [machine.get_token().access_token for _ in range(2)]
        ended, living = (exchange(library, token, resource=chain.prints) for token in tokens)
        assert machine.revoke(tokens[0]).status == 200
        assert [is_alive(world, each) for each in (ended, living)] == [False, True]
        assert_refused(world, functools.partial(try_exchange, library, tokens[0], resource=chain.prints))


def test_82_a_token_that_is_limited_to_networks_is_exchanged_for_a_limited_one(world: World) -> None:
    here = {"networks": ["127.0.0.0/8"]}
    photos = world.operator.add_resource(enforces=["networks"])
    other = world.operator.add_resource(enforces=["networks"])
    unaware = world.operator.add_resource()
    targets = [{"resource": name, "scopes": ["photos.read"]} for name in (photos, other, unaware)]
    job = world.machine(policy={"resources": [photos], **here})
    limited = make_exchanger(world, introspects=[photos], token_exchange_audiences=targets, networks=["127.0.0.1/32"])
    unlimited = make_exchanger(world, introspects=[photos], token_exchange_audiences=targets)
    token = job.get_token().access_token
    assert read_jwt(token)["th_networks"] == ["127.0.0.0/8"]
    # The actor's own networks take the place of the machine's.
    assert read_jwt(exchange(limited, token, resource=other))["th_networks"] == ["127.0.0.1/32"]
    assert_refused(world, lambda: try_exchange(limited, token, resource=unaware), "invalid_target")
    assert_refused(world, lambda: try_exchange(unlimited, token, resource=other))


@pytest.mark.requirement("RFC 9449", "5", "what is bound to a key does not become a bearer token")
def test_82_a_token_that_is_bound_to_a_key_is_exchanged_for_a_bound_one(world: World) -> None:
    chain = make_chain(world, token_endpoint_auth_method="none")
    keys = {name: DpopKey() for name in ("shop", "library", "thief")}

    def proof(name: str) -> dict[str, str]:
        return {"DPoP": keys[name].prove("POST", f"{world.issuer}/token", now_ms=world.clock())}

    code, pending = world.get_code(chain.shop, chain.account, scope="photos.read", resource=chain.photos)
    reply = chain.shop.try_exchange(code, pending, headers=proof("shop"))
    assert reply.status == 200, reply.text
    token = reply.json()["access_token"]
    narrowed = try_exchange(chain.backend, token, headers=proof("shop")).json()
    assert narrowed["token_type"] == "DPoP"
    assert read_jwt(narrowed["access_token"])["cnf"] == {"jkt": keys["shop"].jkt}
    for headers in ({}, proof("thief")):
        # A public client is nobody but who has the key.
        refused = functools.partial(try_exchange, chain.backend, token, headers=headers)
        assert_refused(world, refused, "invalid_dpop_proof")
    # An API has a secret, and a key of its own.
    refused = functools.partial(try_exchange, chain.library, token, resource=chain.prints)
    assert_refused(world, refused, "invalid_dpop_proof")
    mine = try_exchange(chain.library, token, resource=chain.prints, headers=proof("library")).json()
    assert read_jwt(mine["access_token"])["cnf"] == {"jkt": keys["library"].jkt}


def test_82_a_public_clients_bearer_token_does_not_open_another_api(world: World) -> None:
    """Whoever stole it can name the client too: only a secret, or the key that the token is bound to, proves more."""
    other = world.operator.add_resource(
        resource=f"https://other-{secrets.token_hex(4)}.example",
        scopes=[{"name": "other.read", "description": "Read others"}],
    )
    allowed = [{"resource": other, "scopes": ["other.read"]}]
    public = make_chain(world, shop_allowed=allowed, token_endpoint_auth_method="none")
    token = public.get_token()
    for headers in ({}, {"DPoP": DpopKey().prove("POST", f"{world.issuer}/token", now_ms=world.clock())}):
        refused = functools.partial(try_exchange, public.backend, token, resource=other, headers=headers)
        assert_refused(world, refused, "invalid_target")
    confidential = make_chain(world, shop_allowed=allowed)
    assert read_jwt(exchange(confidential.backend, confidential.get_token(), resource=other))["aud"] == other


# ----- Exchange against revoke, over two processes -----


@pytest.fixture(scope="module")
def second_node(shared_world: World) -> Iterator[ServerProcess]:
    """Another server process on the same database."""
    clock_path = shared_world.clock.path
    node = ServerProcess(environment=shared_world.environment, port=free_port(), clock_path=clock_path)
    try:
        yield node.start()
    finally:
        node.stop()


def race(world: World, node: ServerProcess, way: str, *, exchanges: int) -> int:
    """Exchange at both nodes while `way` ends it. How many were exchanged; none of them may be alive afterwards."""
    chain = make_chain(world)
    token = chain.get_token()
    elsewhere = copy.copy(chain.library)
    elsewhere.server_url = node.url

    def attempt(number: int) -> Reply:
        return try_exchange((chain.library, elsewhere)[number % 2], token, resource=chain.prints)

    with ThreadPoolExecutor(exchanges + 1) as pool:
        replies = [pool.submit(attempt, number) for number in range(exchanges)]
        wait_until(lambda: any(reply.done() for reply in replies))
        ending = pool.submit(WAYS_TO_END[way], chain, token)
        ending.result()
        answers = [reply.result() for reply in replies]
    good = [answer.json()["access_token"] for answer in answers if answer.status == 200]
    refusals = {(answer.status, answer.json()["error"]) for answer in answers if answer.status != 200}
    assert refusals <= {(400, "invalid_request"), (400, "unauthorized_client")}
    assert [exchanged for exchanged in good if is_alive(world, exchanged)] == []
    return len(good)


@pytest.mark.parametrize("way", WAYS_TO_END)
def test_82_nothing_exchanged_while_its_subject_ended_is_alive(
    world: World, second_node: ServerProcess, way: str
) -> None:
    deadlocks = count_deadlocks(world)
    assert race(world, second_node, way, exchanges=8) > 0
    assert count_deadlocks(world) == deadlocks, "exchanging and revoking lock in different orders"


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("way", WAYS_TO_END)
def test_82_nothing_exchanged_while_its_subject_ended_is_alive_two_hundred_times_over(
    world: World, second_node: ServerProcess, way: str
) -> None:
    for _ in range(200):
        race(world, second_node, way, exchanges=8)
        world.clock.reset()


# ----- What the tests look at -----


def find_grant_id(world: World, token: str) -> str:
    """The grant that a token hangs on."""
    query = select(access_tokens.c.grant_id).where(access_tokens.c.jti == decode_jti(read_jwt(token)["jti"]))
    with world.operator.deployment.database.reading() as connection:
        grant_id: str = connection.execute(query).scalar_one()
    return grant_id


def is_alive(world: World, token: str) -> bool:
    """Whether neither the token nor its grant has been ended, by the database."""
    query = (
        select(access_tokens.c.revoked_at, grants.c.revoked_at.label("grant_revoked_at"))
        .select_from(access_tokens.join(grants, grants.c.grant_id == access_tokens.c.grant_id))
        .where(access_tokens.c.jti == decode_jti(read_jwt(token)["jti"]))
    )
    with world.operator.deployment.database.reading() as connection:
        row = connection.execute(query).one()
    return row == (None, None)


def count_deadlocks(world: World) -> int:
    """How many deadlocks PostgreSQL has seen here; none on SQLite, which has no such thing."""
    with world.operator.deployment.database.reading() as connection:
        if connection.dialect.name != "postgresql":
            return 0
        query = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(connection.execute(query).scalar_one())
