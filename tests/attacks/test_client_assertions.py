"""Attacks on client authentication by assertions (cases 53 to 60 and 62), and what a good assertion gets."""

import copy
import json
import secrets
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from app.services.list_audit import list_audit
from app.services.manage_clients import disable_client, rotate_client_secret
from app.specs.protocol_error import InvalidClientMetadata
from app.specs.rfc7515_jose import encode_base64url
from app.specs.rfc7523_client_assertion import ASSERTION_TYPE
from tests.actors.asserting import Asserting, make_asserting, sign_with_secret
from tests.actors.dpop_key import DpopKey
from tests.actors.http import Reply, send
from tests.actors.key_host import KeyHost
from tests.actors.signing_key import SigningKey, jwk_set
from tests.attacks.good_conduct import assert_json_error, nothing_changes
from tests.attacks.thieves_loot import dump_database, dump_text, loot_of
from tests.patience import wait_until
from tests.world import World


@pytest.fixture
def world(reaching_world: World) -> World:
    return reaching_world


# By server, the client that nearly every test refuses: to register one each time would cost more than the attack.
_machines: dict[str, Asserting] = {}


@pytest.fixture
def machine(world: World) -> Asserting:
    if world.issuer not in _machines:
        _machines[world.issuer] = make_asserting(world)
    # Tests give it other keys.
    return copy.copy(_machines[world.issuer])


def assert_refused(reply: Reply, error: str = "invalid_client", status: int = 401) -> None:
    assert_json_error(reply, error, status)
    assert "access_token" not in reply.text
    # RFC 6749 5.2: a challenge only where the Authorization header was used.
    assert "www-authenticate" not in reply.headers


def refuse(world: World, machine: Asserting, assertion: str, **form: Any) -> None:
    with nothing_changes(world):
        assert_refused(machine.try_get_token(client_assertion=assertion, **form))


# ----- What a good assertion gets -----


@pytest.mark.requirement("RFC 7523", "3", "the JWT authenticates the client")
@pytest.mark.parametrize("alg", ["ES256", "RS256", "PS256"])
@pytest.mark.parametrize("kid", ["", None], ids=["with kid", "without"])
def test_a_key_gets_a_token(world: World, alg: str, kid: str | None) -> None:
    machine = make_asserting(world, key=SigningKey(alg, kid=kid))
    assert machine.get_token().claims["client_id"] == machine.client_id
    (event,) = list_audit(world.operator.deployment, event_type="token.issued", client_id=machine.client_id, limit=5)
    by = {"method": "private_key_jwt", "secret_created_at": None}
    assert machine.key is not None
    assert event.body["client_authentication"] == (by if kid is None else {**by, "kid": machine.key.kid})


@pytest.mark.requirement("OpenID Connect Core 1.0", "9", "client_secret_jwt: an HMAC made with the client_secret")
def test_a_secret_that_makes_macs_gets_a_token(world: World) -> None:
    machine = make_asserting(world, token_endpoint_auth_method="client_secret_jwt")
    assert machine.get_token(client_id=machine.client_id).claims["sub"] == machine.client_id


@pytest.mark.parametrize("method", ["private_key_jwt", "client_secret_jwt"])
def test_assertions_are_taken_by_every_endpoint_at_which_clients_authenticate(world: World, method: str) -> None:
    machine = make_asserting(world, token_endpoint_auth_method=method)
    token = machine.get_token().access_token
    assert machine.introspect(token).json()["active"] is True
    assert machine.revoke(token).status == 200
    assert machine.introspect(token).json() == {"active": False}


def test_a_person_logs_in_at_an_application_with_a_key_and_its_tokens_live_on(world: World) -> None:
    key, account = SigningKey("RS256"), world.operator.add_user()
    client = world.operator.add_client(
        token_endpoint_auth_method="private_key_jwt",
        jwks=jwk_set(key),
        grant_types=["authorization_code", "refresh_token"],
    )
    party, asserting = world.relying_party(client), Asserting(world, client, key)

    def by_assertion() -> dict[str, str]:
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": asserting.assert_it()}

    code, pending = world.get_code(party, account, scope="openid offline_access", prompt="consent")
    tokens = party.exchange(code, pending, **by_assertion())
    assert tokens.id_claims["sub"] == account.sub
    assert party.refresh(tokens.refresh_token, **by_assertion()).access_token
    assert_refused(party.try_refresh(tokens.refresh_token))


# ----- Cases 53 and 54: exactly one method, the registered one -----


@pytest.mark.requirement("RFC 7521", "4.2", "client_id MUST identify the same client as the assertion")
def test_53_another_client_id_beside_the_assertion_is_refused(world: World, machine: Asserting) -> None:
    other = make_asserting(world)
    refuse(world, machine, machine.assert_it(), client_id=other.client_id)
    assert machine.try_get_token(client_id=machine.client_id).status == 200


@pytest.mark.parametrize("extra", ["secret", "header"])
def test_53_an_assertion_beside_another_method_is_refused_even_if_both_are_right(world: World, extra: str) -> None:
    machine = make_asserting(world, token_endpoint_auth_method="client_secret_jwt")
    assertion = machine.assert_it()
    more: dict[str, Any] = {"client_secret": machine.client_secret} if extra == "secret" else {}
    headers = {"Authorization": "Bearer abc"} if extra == "header" else None
    with nothing_changes(world):
        reply = machine.try_get_token(client_assertion=assertion, headers=headers, **more)
    assert_refused(reply, "invalid_request", 400)
    assert machine.try_get_token(client_assertion=assertion).status == 200, "the refusal did not use it up"


@pytest.mark.parametrize("missing", ["client_assertion", "client_assertion_type"])
def test_53_half_an_assertion_is_refused(world: World, machine: Asserting, missing: str) -> None:
    with nothing_changes(world):
        reply = machine.try_get_token(client_id=machine.client_id, **{missing: None})
    assert_refused(reply, "invalid_request", 400)


@pytest.mark.requirement("RFC 7523", "2.2", "client_assertion_type MUST be the value for JWTs")
@pytest.mark.parametrize(
    "assertion_type", ["urn:ietf:params:oauth:client-assertion-type:saml2-bearer", ASSERTION_TYPE.upper(), "jwt"]
)
def test_53_another_type_of_assertion_is_refused(world: World, machine: Asserting, assertion_type: str) -> None:
    refuse(world, machine, machine.assert_it(), client_assertion_type=assertion_type)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none", "client_secret_jwt"])
def test_54_a_key_does_not_open_a_client_of_another_method(world: World, method: str) -> None:
    key = SigningKey()
    grants = {"grant_types": ["authorization_code"], "redirect_uris": ["https://app.example/cb"]}
    machine = make_asserting(world, token_endpoint_auth_method=method, jwks=jwk_set(key), **grants)
    machine.key = key
    refuse(world, machine, machine.assert_it())


def test_54_a_client_with_a_key_is_let_in_by_nothing_else(world: World, machine: Asserting) -> None:
    for form in ({}, {"client_secret": "A" * 43}):
        with nothing_changes(world):
            reply = send(
                f"{world.url}/token",
                method="POST",
                form={"grant_type": "client_credentials", "client_id": machine.client_id, **form},
            )
        assert_refused(reply)


@pytest.mark.requirement("RFC 8725", "3.1", "the public key of a client is never the key of a MAC")
def test_54_a_mac_made_with_the_public_key_is_refused(world: World, machine: Asserting) -> None:
    assert machine.key is not None
    payload = json.dumps(machine.claims()).encode()
    for secret in (json.dumps(machine.key.public_jwk), machine.key.public_jwk["x"], ""):
        refuse(world, machine, sign_with_secret(secret, payload, header={"kid": machine.key.kid}))


def test_54_only_the_registered_algorithm_signs(world: World) -> None:
    key, other = SigningKey("RS256"), SigningKey("ES256")
    machine = make_asserting(world, key=key, jwks=jwk_set(key, other), token_endpoint_auth_signing_alg="RS256")
    assert machine.get_token()
    machine.key = other
    refuse(world, machine, machine.assert_it())


# ----- Case 55: secrets that were rotated -----


def test_55_during_the_overlap_both_secrets_make_assertions_and_the_audit_names_which(world: World) -> None:
    machine = make_asserting(world, token_endpoint_auth_method="client_secret_jwt")
    deployment = world.operator.deployment
    old = machine.client_secret
    rotated = rotate_client_secret(deployment, machine.client_id, overlap_s=60)
    machine.client_secret = rotated.client_secret
    wait_until(lambda: machine.try_get_token().status == 200)
    machine.client_secret = old
    assert machine.get_token()
    by_old, by_new = (
        event.body["client_authentication"]["secret_created_at"]
        for event in list_audit(deployment, event_type="token.issued", client_id=machine.client_id, limit=2)
    )
    assert by_old < by_new
    world.clock.move(seconds=61)
    refuse(world, machine, machine.assert_it())
    machine.client_secret = rotated.client_secret
    assert machine.get_token()


def test_55_another_clients_secret_makes_no_assertion(world: World) -> None:
    machine, other = (make_asserting(world, token_endpoint_auth_method="client_secret_jwt") for _ in range(2))
    machine.client_secret = other.client_secret
    refuse(world, machine, machine.assert_it())


def test_55_a_sealed_secret_that_was_moved_to_another_client_opens_nothing(world: World) -> None:
    machine, thief = (make_asserting(world, token_endpoint_auth_method="client_secret_jwt") for _ in range(2))
    move = text(
        "UPDATE client_secrets SET sealed_secret = (SELECT s.sealed_secret FROM client_secrets s JOIN clients c"
        " ON c.id = s.client_pk WHERE c.client_id = :thief) WHERE client_pk ="
        " (SELECT id FROM clients WHERE client_id = :victim)"
    )
    names = {"thief": thief.client_id, "victim": machine.client_id}
    world.operator.deployment.database.transact(lambda connection: connection.execute(move, names))
    machine.client_secret = thief.client_secret
    refuse(world, machine, machine.assert_it())


def test_a_disabled_client_hears_that_it_is_only_after_it_has_proven_who_it_is(world: World) -> None:
    machine = make_asserting(world)
    disable_client(world.operator.deployment, machine.client_id)
    wait_until(lambda: machine.try_get_token().json()["error"] == "unauthorized_client")
    machine.key = SigningKey(kid=machine.key.kid if machine.key else None)
    refuse(world, machine, machine.assert_it())


# ----- Case 56: for whom it is, and when -----


def lax(world: World) -> Asserting:
    return make_asserting(world, policy={"security_profile": "openid"})


def list_audiences(issuer: str) -> dict[str, Any]:
    return {
        "list": [issuer],
        "token endpoint": f"{issuer}/token",
        "PAR endpoint": f"{issuer}/par",
        "slash": f"{issuer}/",
        "other server": "https://evil.example",
        "with another": [issuer, "https://evil.example"],
        "upper case": issuer.upper(),
        "empty list": [],
        "object": {"issuer": issuer},
        "number": 1,
        "missing": ...,
        "empty": "",
    }


@pytest.mark.requirement("draft-ietf-oauth-rfc7523bis", "3", "aud: the issuer as its sole value")
@pytest.mark.parametrize("aud", list_audiences(""))
def test_56_only_the_issuer_as_one_string_is_the_audience(world: World, machine: Asserting, aud: str) -> None:
    refuse(world, machine, machine.assert_it(aud=list_audiences(world.issuer)[aud]))


@pytest.mark.requirement("OpenID Connect Core 1.0", "9", "aud: the token endpoint's URL")
@pytest.mark.parametrize("aud", list_audiences(""))
def test_56_a_client_as_lax_as_openid_connect_may_name_the_token_endpoint_or_a_list_of_one(
    world: World, aud: str
) -> None:
    machine = lax(world)
    assertion = machine.assert_it(aud=list_audiences(world.issuer)[aud])
    if aud in ("list", "token endpoint"):
        assert machine.try_get_token(client_assertion=assertion).status == 200
    else:
        refuse(world, machine, assertion)


def test_56_under_the_laxest_profile_too_a_list_names_nobody_but_this_server(world: World) -> None:
    machine = lax(world)
    token_endpoint = f"{world.issuer}/token"
    for listed in ([token_endpoint], [world.issuer, token_endpoint]):
        assert machine.try_get_token(client_assertion=machine.assert_it(aud=listed)).status == 200
    refuse(world, machine, machine.assert_it(aud=[world.issuer, token_endpoint, "https://evil.example/token"]))
    token = machine.get_token().access_token
    assertion = machine.assert_it(aud=f"{world.issuer}/token")
    assert machine.introspect(token, client_assertion=assertion).status == 200


@pytest.mark.requirement("RFC 7523", "3", "exp, nbf and iat")
@pytest.mark.parametrize(
    ("exp", "iat", "more"),
    [
        (0, -60, {}),
        (330, 0, {}),
        (315_360_000, 0, {}),
        (60, 30, {}),
        (60, -700, {}),
        (60, 0, {"nbf": 30}),
        (None, 0, {}),
    ],
    ids=["expired", "too long", "ten years", "iat ahead", "iat long ago", "nbf ahead", "no exp"],
)
def test_56_an_assertion_is_for_now(
    world: World, machine: Asserting, exp: int | None, iat: int, more: dict[str, int]
) -> None:
    now_s = world.clock() // 1000
    times = {"iat": now_s + iat, "exp": ... if exp is None else now_s + exp}
    refuse(world, machine, machine.assert_it(**times, **{name: now_s + wire for name, wire in more.items()}))


@pytest.mark.parametrize("wrong", ["1800000000", True, None, [1], {"at": 1}, "tomorrow"])
@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
def test_56_a_time_is_a_number(world: World, machine: Asserting, name: str, wrong: object) -> None:
    refuse(world, machine, machine.assert_it(**{name: wrong}))


def test_56_clocks_may_differ_a_little_and_iat_may_be_missing(world: World, machine: Asserting) -> None:
    now_s = world.clock() / 1000
    for changes in ({"iat": now_s + 8, "nbf": now_s + 8}, {"iat": ...}, {"exp": now_s + 299.5}):
        assert machine.try_get_token(client_assertion=machine.assert_it(**changes)).status == 200


@pytest.mark.parametrize("wrong", ["other", ..., "", 5, ["client"]])
@pytest.mark.parametrize("name", ["iss", "sub"])
@pytest.mark.requirement("RFC 7523", "3", "iss and sub MUST be the client_id")
def test_56_issuer_and_subject_are_the_client(world: World, machine: Asserting, name: str, wrong: object) -> None:
    refuse(world, machine, machine.assert_it(**{name: wrong}))


@pytest.mark.requirement("RFC 7523", "3", "the JWT MUST be digitally signed or have a MAC by the issuer")
def test_56_another_clients_key_does_not_sign_for_this_one(world: World, machine: Asserting) -> None:
    other = make_asserting(world)
    machine.key = other.key
    refuse(world, machine, machine.assert_it())


@pytest.mark.requirement("RFC 7523", "3.2", "an assertion that is not valid is invalid_client")
def test_56_an_unknown_client_and_a_wrong_key_get_the_same_answer(world: World, machine: Asserting) -> None:
    stranger = machine.assert_it(iss="nobody", sub="nobody")
    machine.key = SigningKey()
    answers = [machine.try_get_token(client_assertion=each) for each in (stranger, machine.assert_it())]
    for reply in answers:
        assert_refused(reply)
    first, second = (reply.json()["error_description"].partition(" [")[0] for reply in answers)
    assert first == second


# ----- Case 57: once -----


@pytest.mark.requirement("RFC 7523", "3", "jti: the JWT is not replayed")
def test_57_one_assertion_twenty_times_at_once_is_good_once(world: World, machine: Asserting) -> None:
    assertion = machine.assert_it()
    with ThreadPoolExecutor(20) as threads:
        asking = [threads.submit(machine.try_get_token, client_assertion=assertion) for _ in range(20)]
        replies = [each.result() for each in asking]
    assert sorted(reply.status for reply in replies) == [200] + [401] * 19
    for reply in replies:
        if reply.status != 200:
            assert_refused(reply)


def test_57_later_at_another_endpoint_and_in_another_name_it_is_refused(world: World, machine: Asserting) -> None:
    assertion = machine.assert_it()
    token = machine.get_token(client_assertion=assertion).access_token
    world.clock.move(seconds=30)
    refuse(world, machine, assertion)
    assert_refused(machine.introspect(token, client_assertion=assertion))
    assert_refused(machine.revoke(token, client_assertion=assertion))
    assert machine.introspect(token).json()["active"] is True
    for use in (machine.introspect, machine.revoke):
        once = machine.assert_it()
        assert use("th_at_x", client_assertion=once).status == 200
        refuse(world, machine, once)


def test_57_a_jti_belongs_to_its_client(world: World, machine: Asserting) -> None:
    other, jti = make_asserting(world), secrets.token_urlsafe(16)
    for each in (machine, other):
        assert each.try_get_token(client_assertion=each.assert_it(jti=jti)).status == 200
    refuse(world, machine, machine.assert_it(jti=jti, exp=world.clock() // 1000 + 200))


@pytest.mark.parametrize(
    "wrong",
    [
        {"grant_type": "password"},
        {"scope": "nothing.like.it"},
        {"resource": "https://unknown.example"},
        {"grant_type": "authorization_code", "code": "th_ac_x"},
        {"grant_type": "refresh_token", "refresh_token": "th_rt_x"},
    ],
    ids=lambda wrong: str(next(iter(wrong.values()))),
)
def test_57_an_assertion_whose_request_was_refused_is_used_up(
    world: World, machine: Asserting, wrong: dict[str, str]
) -> None:
    assertion = machine.assert_it()
    reply = machine.try_get_token(client_assertion=assertion, **wrong)
    assert reply.status == 400, reply.text
    if wrong.get("grant_type") == "password":
        # The grant was refused before anybody asked who it was for.
        assert machine.try_get_token(client_assertion=assertion).status == 200
    refuse(world, machine, assertion)


def test_57_who_is_only_asked_for_a_nonce_may_send_the_same_assertion_with_it(world: World, machine: Asserting) -> None:
    key, assertion = DpopKey(), machine.assert_it()

    def ask(nonce: str) -> Reply:
        proof = key.prove("POST", f"{world.issuer}/token", now_ms=world.clock(), nonce=nonce)
        return machine.try_get_token(client_assertion=assertion, headers={"DPoP": proof})

    asked = ask("of yesterday")
    assert_json_error(asked, "use_dpop_nonce")
    assert ask(asked.headers["dpop-nonce"]).json()["token_type"] == "DPoP"
    assert_refused(ask(asked.headers["dpop-nonce"]))


def test_57_the_replay_of_a_whole_request_ends_nothing(world: World) -> None:
    key, account = SigningKey(), world.operator.add_user()
    client = world.operator.add_client(token_endpoint_auth_method="private_key_jwt", jwks=jwk_set(key))
    party = world.relying_party(client)
    form = {
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": Asserting(world, client, key).assert_it(),
    }
    code, pending = world.get_code(party, account)
    tokens = party.exchange(code, pending, **form)
    with nothing_changes(world):
        assert_refused(party.try_exchange(code, pending, **form))
    assert party.userinfo(tokens.access_token).status == 200


# ----- Case 58: what a jti may be -----


@pytest.mark.parametrize(
    "jti", ["j" * 257, "j" * 30_000, "a\0b", 5, None, ["a"], "", ...], ids=lambda jti: repr(jti)[:9]
)
def test_58_a_jti_is_a_text_of_bounded_length(world: World, machine: Asserting, jti: object) -> None:
    refuse(world, machine, machine.assert_it(jti=jti))
    assert machine.try_get_token(client_assertion=machine.assert_it(jti="j" * 256)).status in (200, 401)


def test_58_what_is_remembered_of_assertions_ends_with_them(world: World, machine: Asserting) -> None:
    with world.operator.deployment.database.reading() as connection:
        before = connection.execute(text("SELECT digest FROM used_identifiers")).scalars().all()
    assert machine.get_token()
    with world.operator.deployment.database.reading() as connection:
        rows = connection.execute(text("SELECT digest, expires_at FROM used_identifiers")).all()
    (expires_at,) = (row.expires_at for row in rows if row.digest not in before)
    assert 0 < expires_at - world.clock() <= (60 + 20) * 1000


# ----- Case 59: only registered keys -----


@pytest.mark.parametrize("kid", ["../../dev/null", "' OR 1=1 --", "k" * 10_000, "unknown", 5, ["a"]])
def test_59_a_kid_is_compared_and_nothing_else(world: World, machine: Asserting, kid: object) -> None:
    refuse(world, machine, machine.assert_it(header={"kid": kid}))


@pytest.mark.requirement("RFC 8725", "3.10", "keys that the token brings or names are not used")
@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "x5c"])
def test_59_a_key_that_the_assertion_brings_is_not_used(world: World, machine: Asserting, member: str) -> None:
    own = SigningKey()
    brought = {"jwk": own.public_jwk, "jku": "https://evil.example/jwks", "x5u": "https://evil.example", "x5c": ["MII"]}
    machine.key = own
    refuse(world, machine, machine.assert_it(header={member: brought[member]}))


def test_59_two_keys_with_one_kid_are_not_registered_and_at_an_address_either_signs(
    world: World, receiver_tls: ssl.SSLContext
) -> None:
    one, other = SigningKey(kid="same"), SigningKey(kid="same")
    with pytest.raises(InvalidClientMetadata, match="kid"):
        make_asserting(world, key=one, jwks=jwk_set(one, other))
    with KeyHost(receiver_tls) as host:
        host.publish(one, other)
        machine = make_asserting(world, key=one, jwks_uri=host.url())
        assert machine.get_token()
        machine.key = other
        assert machine.get_token()


# ----- Case 60: other forms -----


OTHER_FORMS = [
    *("crit", "b64", "none", "no-signature", "JSON", "JWE", "nested", "array"),
    *("two-readings", "deep", "long", "four-parts", "padded", "unicode", "empty", "word"),
]


def other_forms(machine: Asserting) -> dict[str, str]:
    good = machine.assert_it()
    header, payload, signature = good.split(".")
    return {
        "crit": machine.assert_it(header={"crit": ["exp"]}),
        "b64": machine.assert_it(header={"b64": False, "crit": ["b64"]}),
        "none": f"{encode_base64url(json.dumps({'alg': 'none'}).encode())}.{payload}.",
        "no-signature": f"{header}.{payload}.",
        "JSON": json.dumps({"payload": payload, "protected": header, "signature": signature}),
        "JWE": ".".join([encode_base64url(b'{"alg":"RSA-OAEP","enc":"A128GCM"}'), "a", "b", "c", "d"]),
        "nested": machine.assert_it(payload=good.encode()),
        "array": machine.assert_it(payload=b"[]"),
        "two-readings": machine.assert_it(payload=b'{"iss":"a","iss":"b"}'),
        "deep": machine.assert_it(payload=b'{"iss":' + b"[" * 5000 + b"]" * 5000 + b"}"),
        "long": "A" * 60_000,
        "four-parts": good + ".AAAA",
        "padded": good + "=",
        "unicode": good + "é",
        "empty": "..",
        "word": "x",
    }


@pytest.mark.parametrize("form", OTHER_FORMS)
def test_60_no_other_form_of_a_token_is_an_assertion(world: World, machine: Asserting, form: str) -> None:
    refuse(world, machine, other_forms(machine)[form])


def test_60_an_assertion_that_is_larger_than_any_body_may_be_is_not_even_read(world: World, machine: Asserting) -> None:
    with nothing_changes(world):
        reply = machine.try_get_token(client_assertion="A" * 100_000)
    assert reply.status == 413


@pytest.mark.requirement("RFC 8725", "3.12", "one kind of JWT is not taken for another")
@pytest.mark.parametrize(
    "typ", ["at+jwt", "dpop+jwt", "oauth-authz-req+jwt", "logout+jwt", "token-introspection+jwt", 5]
)
def test_60_another_kind_of_jwt_is_no_assertion(world: World, machine: Asserting, typ: object) -> None:
    refuse(world, machine, machine.assert_it(header={"typ": typ}))


@pytest.mark.parametrize(
    "typ", [..., "JWT", "jwt", "client-authentication+jwt", "application/client-authentication+jwt"]
)
def test_60_an_assertion_may_say_what_it_is(world: World, machine: Asserting, typ: object) -> None:
    assert machine.try_get_token(client_assertion=machine.assert_it(header={"typ": typ})).status == 200


# ----- Secrets that can be read back -----


def test_a_server_that_seals_no_secrets_registers_no_such_client(shared_world: World) -> None:
    with pytest.raises(InvalidClientMetadata, match="TOKENHOUSE_SEALED_CLIENT_SECRETS"):
        make_asserting(shared_world, token_endpoint_auth_method="client_secret_jwt")


def test_a_stolen_database_does_not_hold_the_secrets_that_are_read_back(world: World) -> None:
    machine = make_asserting(world, token_endpoint_auth_method="client_secret_jwt")
    secret = machine.client_secret or ""
    dump = dump_database(world)
    (row,) = (
        row
        for row in dump["client_secrets"]
        for client in dump["clients"]
        if row["client_pk"] == client["id"] and client["client_id"] == machine.client_id
    )
    assert row["sealed_secret"] is not None
    lying = dump_text({"client_secrets": dump["client_secrets"], "audit_events": dump["audit_events"]})
    assert secret not in lying
    assert secret[-40:] not in lying
    # Nothing in the row is the key of a MAC that counts.
    for loot in loot_of({"client_secrets": [row]}):
        machine.client_secret = loot
        assert_refused(machine.try_get_token())


def test_what_is_offered_is_what_works(world: World, shared_world: World) -> None:
    for each, has_macs in ((world, True), (shared_world, False)):
        metadata = send(f"{each.url}/.well-known/oauth-authorization-server").json()
        for endpoint in ("token", "revocation", "introspection"):
            methods = metadata[f"{endpoint}_endpoint_auth_methods_supported"]
            assert "private_key_jwt" in methods
            assert ("client_secret_jwt" in methods) is has_macs
            algorithms = metadata[f"{endpoint}_endpoint_auth_signing_alg_values_supported"]
            assert algorithms == ["RS256", "PS256", "ES256", *(["HS256"] if has_macs else [])]
