"""Cases 83 to 86: tokens that are bound to a key (RFC 9449), at the token endpoint and at userinfo."""

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app.storage.purge import purge_expired
from app.storage.tables import used_identifiers
from tests.actors.dpop_key import DpopKey
from tests.actors.http import Reply, send
from tests.actors.relying_party import Pending, RelyingParty, basic, read_jwt
from tests.attacks.good_conduct import assert_json_error, nothing_changes
from tests.attacks.raw_http import post_form, send_raw
from tests.conftest import run_world
from tests.databases import BACKENDS, migrated_database_url, on_sqlite
from tests.deployments import Account
from tests.server import ServerProcess, free_port
from tests.world import World

REPLAYS_AT_ONCE = 20


@dataclass
class Sender:
    """A client with a key, and a person who trusts it."""

    world: World
    party: RelyingParty
    account: Account
    key: DpopKey

    @property
    def token_url(self) -> str:
        return f"{self.world.issuer}/token"

    @property
    def userinfo_url(self) -> str:
        return f"{self.world.issuer}/userinfo"

    def prove(self, method: str = "POST", url: str | None = None, **changes: Any) -> str:
        return self.key.prove(method, url or self.token_url, now_ms=self.world.clock(), **changes)

    def get_code(self, **parameters: Any) -> tuple[str, Pending]:
        return self.world.get_code(self.party, self.account, **parameters)

    def exchange(self, code: str, pending: Pending, proof: str | None) -> Reply:
        """An exchange that proves what it is given to prove."""
        headers = {"DPoP": proof} if proof is not None else {}
        if self.party.client_secret is not None:
            headers["Authorization"] = basic(self.party.client_id, self.party.client_secret)
        changes = {"client_id": None} if self.party.client_secret is not None else {}
        return self.party.try_exchange(code, pending, headers=headers, **changes)

    def get_bound_token(self) -> str:
        reply = self.exchange(*self.get_code(), self.prove())
        assert reply.status == 200, reply.text
        token: str = reply.json()["access_token"]
        return token

    def userinfo(self, token: str, proof: str | None, *, scheme: str = "DPoP", method: str = "GET") -> Reply:
        headers = {"Authorization": f"{scheme} {token}", **({"DPoP": proof} if proof is not None else {})}
        return send(f"{self.world.url}/userinfo", method=method, headers=headers)

    def prove_use(self, token: str, **changes: Any) -> str:
        return self.prove("GET", self.userinfo_url, access_token=token, **changes)


def make_sender(world: World, **metadata: Any) -> Sender:
    return Sender(world, world.relying_party(**metadata), world.operator.add_user(), DpopKey())


@pytest.fixture
def sender(standing: World) -> Sender:
    return make_sender(standing)


# ----- What a good request gets -----


@pytest.mark.requirement("RFC 9449", "5, 6.1", "a token asked for with a proof is bound to its key")
@on_sqlite
def test_a_token_asked_for_with_a_proof_is_bound_and_works_with_that_key(sender: Sender) -> None:
    reply = sender.exchange(*sender.get_code(), sender.prove())

    assert reply.status == 200, reply.text
    assert reply.json()["token_type"] == "DPoP"
    token = reply.json()["access_token"]
    assert read_jwt(token)["cnf"] == {"jkt": sender.key.jkt}
    assert "cnf" not in read_jwt(reply.json()["id_token"])
    answer = sender.userinfo(token, sender.prove_use(token))
    assert (answer.status, answer.json()["sub"]) == (200, sender.account.sub)
    # Offered before anybody demands it; good in the next proof.
    for offered in (reply, answer):
        nonce = offered.headers["dpop-nonce"]
        assert sender.userinfo(token, sender.prove_use(token, nonce=nonce)).status == 200


@on_sqlite
def test_without_a_proof_a_token_stays_a_bearer_token(sender: Sender) -> None:
    reply = sender.exchange(*sender.get_code(), None)

    assert reply.json()["token_type"] == "Bearer"
    assert "cnf" not in read_jwt(reply.json()["access_token"])
    assert "dpop-nonce" not in reply.headers


# ----- 83: the proof -----


def bad_proofs(sender: Sender) -> Iterator[tuple[str, str]]:
    """Each one step away from a good one."""
    prove = sender.prove
    head, claims, signature = prove().split(".")
    yield "not a JWS", "proof"
    yield "another signature", f"{head}.{claims}.{signature[:-4]}AAAA"
    yield "claims of another", f"{head}.{prove().split('.')[1]}.{signature}"
    yield "alg none", prove(header={"alg": "none"})
    yield "alg HS256", prove(header={"alg": "HS256"})
    yield "another typ", prove(header={"typ": "jwt"})
    yield "no typ", prove(header={"typ": ...})
    yield "no key", prove(header={"jwk": ...})
    yield "another key", prove(header={"jwk": DpopKey().public_jwk})
    yield "a private key", prove(header={"jwk": sender.key.private_jwk})
    yield "a symmetric key", prove(header={"jwk": {"kty": "oct", "k": "a" * 43}})
    yield "a critical extension", prove(header={"crit": ["exp"], "exp": 1})
    for missing in ("jti", "htm", "htu", "iat"):
        changes: dict[str, Any] = {missing: ...}
        yield f"no {missing}", prove(**changes)
    yield "an empty jti", prove(jti="")
    yield "a jti without end", prove(jti="x" * 300)
    yield "iat is a text", prove(iat=str(sender.world.clock() // 1000))
    yield "iat too old", prove(iat=sender.world.clock() // 1000 - 90)
    yield "iat in the future", prove(iat=sender.world.clock() // 1000 + 90)
    yield "nonce is a number", prove(nonce=7)
    # 84
    yield "another method", prove(htm="GET")
    yield "a method in small letters", prove(htm="post")
    yield "another path", prove(htu=f"{sender.world.issuer}/userinfo")
    yield "another host", prove(htu="http://localhost:1/token")
    yield "another scheme", prove(htu=sender.token_url.replace("http://", "https://"))
    yield "htu is no text", prove(htu=[sender.token_url])
    yield "htu is no URL", prove(htu="/token")


@pytest.mark.requirement("RFC 9449", "4.3", "a proof that is wrong in one point is refused, and spends nothing")
def test_a_proof_that_is_one_step_away_is_refused_and_spends_nothing(sender: Sender) -> None:
    code, pending = sender.get_code()
    for name, proof in bad_proofs(sender):
        with nothing_changes(sender.world):
            reply = sender.exchange(code, pending, proof)
        assert_json_error(reply, "invalid_dpop_proof")
        assert reply.json()["error_description"], name
    assert sender.exchange(code, pending, sender.prove()).status == 200


@on_sqlite
def test_two_dpop_headers_are_one_too_many(sender: Sender) -> None:
    code, pending = sender.get_code()
    body = (
        f"grant_type=authorization_code&code={code}&redirect_uri={sender.party.redirect_uri}"
        f"&code_verifier={pending.code_verifier}"
    ).encode()
    authorization = basic(sender.party.client_id, sender.party.client_secret or "")
    for separator in (f"DPoP: {sender.prove()}\r\nDPoP: ", f"DPoP: {sender.prove()}, "):
        headers = (
            f"Content-Length: {len(body)}\r\nAuthorization: {authorization}\r\n{separator}{sender.prove()}\r\n"
        ).encode()
        answer = send_raw(sender.world, post_form("/token", body, headers=headers))
        assert answer.status == 400
        assert b'"invalid_dpop_proof"' in answer.received
    assert sender.exchange(code, pending, sender.prove()).status == 200


@on_sqlite
def test_a_client_registered_for_bound_tokens_gets_no_other(standing: World) -> None:
    sender = make_sender(standing, dpop_bound_access_tokens=True)
    code, pending = sender.get_code()
    with nothing_changes(standing):
        reply = sender.exchange(code, pending, None)
    assert_json_error(reply, "invalid_dpop_proof")
    assert sender.exchange(code, pending, sender.prove()).json()["token_type"] == "DPoP"


# ----- 84: method and address -----


@pytest.mark.requirement("RFC 9449", "4.3", "htu is compared after normalisation, without query and fragment")
@on_sqlite
def test_the_same_address_spelt_in_another_way_is_accepted(sender: Sender) -> None:
    url = sender.token_url
    for same in (f"{url}?a=b", f"{url}#part", url.replace("http:", "HTTP:"), url.replace("/token", "/./%74oken")):
        reply = sender.exchange(*sender.get_code(), sender.prove(htu=same))
        assert reply.status == 200, (same, reply.text)


@on_sqlite
def test_a_host_header_does_not_move_the_address(sender: Sender) -> None:
    code, pending = sender.get_code()
    headers = {
        "Authorization": basic(sender.party.client_id, sender.party.client_secret or ""),
        "Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
    }
    for address in ("http://evil.example/token", "https://evil.example/token"):
        proof = sender.prove(htu=address)
        reply = sender.party.try_exchange(code, pending, headers={**headers, "DPoP": proof}, client_id=None)
        assert_json_error(reply, "invalid_dpop_proof")
    reply = sender.party.try_exchange(code, pending, headers={**headers, "DPoP": sender.prove()}, client_id=None)
    assert reply.status == 200, reply.text


# ----- 85: replays -----


@pytest.fixture(params=BACKENDS)
def two_nodes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[World, str]]:
    """A deployment with two processes; the second one's address."""
    with migrated_database_url(request.param, tmp_path) as database_url:
        for world in run_world(
            tmp_path, database_url, rate_limits="off", dpop_nonce="required", machine_token_audit="batched"
        ):
            second = ServerProcess(
                environment=world.environment, port=free_port(), clock_path=world.clock.path, threads=8
            )
            second.start()
            try:
                yield world, second.url
            finally:
                second.stop()


def at(url: str, sender: Sender) -> Sender:
    """The same sender, at another node."""
    party = copy.copy(sender.party)
    party.server_url = url
    return replace(sender, party=party)


@pytest.mark.requirement("RFC 9449", "11.1", "of one proof sent many times at once to two nodes one is accepted")
@pytest.mark.requirement("RFC 9449", "8", "a demand for a nonce spends neither the code nor the proof's identifier")
def test_of_one_proof_at_two_nodes_one_is_accepted_and_a_demand_for_a_nonce_spends_nothing(
    two_nodes: tuple[World, str],
) -> None:
    world, second_url = two_nodes
    sender = make_sender(world)
    browser = world.browser()
    codes = [world.get_code(sender.party, sender.account, browser=browser) for _ in range(REPLAYS_AT_ONCE)]

    # Without a nonce, with a stranger's: told which one, and nothing is spent, the proof's jti neither.
    for nonce in (..., "made-up"):
        with nothing_changes(world):
            demanded = sender.exchange(*codes[0], sender.prove(jti="the-same", nonce=nonce))
        assert_json_error(demanded, "use_dpop_nonce")
    assert count_used_identifiers(world) == 0

    # The nonce of one node is good at the other, and neither has stored it.
    proof = sender.prove(jti="the-same", nonce=demanded.headers["dpop-nonce"])
    nodes = [sender, at(second_url, sender)]
    with ThreadPoolExecutor(REPLAYS_AT_ONCE) as pool:
        tries = [
            pool.submit(nodes[number % 2].exchange, code, pending, proof)
            for number, (code, pending) in enumerate(codes)
        ]
        replies = [attempt.result() for attempt in tries]
    refused = [number for number, reply in enumerate(replies) if reply.status != 200]
    assert len(refused) == REPLAYS_AT_ONCE - 1
    for number in refused:
        assert_json_error(replies[number], "invalid_dpop_proof")
    assert count_used_identifiers(world) == 1

    # A refused proof has not spent the code that it came with.
    nonce = demanded.headers["dpop-nonce"]
    assert sender.exchange(*codes[refused[0]], sender.prove(nonce=nonce)).status == 200

    # At userinfo too, where nothing is issued.
    token = next(reply for reply in replies if reply.status == 200).json()["access_token"]
    demanded = sender.userinfo(token, sender.prove_use(token))
    assert_json_error(demanded, "use_dpop_nonce", 401)
    assert 'error="use_dpop_nonce"' in demanded.headers["www-authenticate"]
    use = sender.prove_use(token, nonce=demanded.headers["dpop-nonce"])
    with ThreadPoolExecutor(REPLAYS_AT_ONCE) as pool:
        uses = [
            pool.submit(send, f"{(world.url, second_url)[number % 2]}/userinfo", headers=dpop_headers(token, use))
            for number in range(REPLAYS_AT_ONCE)
        ]
        statuses = sorted(attempt.result().status for attempt in uses)
    assert statuses == [200, *[401] * (REPLAYS_AT_ONCE - 1)]

    # A machine's proof as well, also where its token writes nothing else.
    machine = world.machine(policy={"resources": [world.operator.add_resource()]})
    proof = sender.prove(nonce=nonce)
    answers = [machine.post("/token", headers={"DPoP": proof}, grant_type="client_credentials") for _ in range(2)]
    assert read_jwt(answers[0].json()["access_token"])["cnf"] == {"jkt": sender.key.jkt}
    assert answers[0].json()["token_type"] == "DPoP"
    assert_json_error(answers[1], "invalid_dpop_proof")

    # A nonce is good for some minutes. The marks of proofs leave when these are too old in any case.
    world.clock.move(seconds=300)
    stale = sender.exchange(*codes[refused[1]], sender.prove(nonce=nonce))
    assert_json_error(stale, "use_dpop_nonce")
    database, now = world.operator.deployment.database, world.clock()
    database.transact(lambda connection: purge_expired(connection, now=now, audit_before=0, retries_end_before=0))
    assert count_used_identifiers(world) == 0


def dpop_headers(token: str, proof: str) -> dict[str, str]:
    return {"Authorization": f"DPoP {token}", "DPoP": proof}


def count_used_identifiers(world: World) -> int:
    with world.operator.deployment.database.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(used_identifiers)).scalar_one())


# ----- 86: userinfo -----


@pytest.mark.requirement("RFC 9449", "7.1, 7.2", "a bound token is refused without a proof by its own key")
@on_sqlite
def test_a_bound_token_is_worth_nothing_without_its_key(sender: Sender) -> None:
    token = sender.get_bound_token()
    prove, thief = sender.prove_use, replace(sender, key=DpopKey())
    refusals = {
        "as a bearer token": (sender.userinfo(token, None, scheme="Bearer"), "invalid_token"),
        "as a bearer token, with a proof": (sender.userinfo(token, prove(token), scheme="Bearer"), "invalid_token"),
        "in the body": (
            send(f"{sender.world.url}/userinfo", method="POST", form={"access_token": token}),
            "invalid_token",
        ),
        "without a proof": (sender.userinfo(token, None), "invalid_dpop_proof"),
        "another key's proof": (sender.userinfo(token, thief.prove_use(token)), "invalid_token"),
        "no ath": (sender.userinfo(token, prove(token, ath=...)), "invalid_dpop_proof"),
        "another token's ath": (sender.userinfo(token, prove("x" + token)), "invalid_dpop_proof"),
        "the proof of the token request": (sender.userinfo(token, sender.prove()), "invalid_dpop_proof"),
        "another method": (sender.userinfo(token, prove(token), method="POST"), "invalid_dpop_proof"),
    }
    for name, (reply, error) in refusals.items():
        assert (reply.status, reply.json()["error"]) == (401, error), name
        assert 'DPoP realm="userinfo"' in reply.headers["www-authenticate"], name
        assert 'algs="' in reply.headers["www-authenticate"], name
        assert f'error="{error}"' in reply.headers["www-authenticate"], name
    proof = prove(token)
    assert sender.userinfo(token, proof).status == 200
    replayed = sender.userinfo(token, proof)
    assert (replayed.status, replayed.json()["error"]) == (401, "invalid_dpop_proof")


@on_sqlite
def test_an_unbound_token_is_refused_under_the_scheme_of_bound_ones(sender: Sender) -> None:
    token = sender.exchange(*sender.get_code(), None).json()["access_token"]
    for proof in (None, sender.prove_use(token)):
        reply = sender.userinfo(token, proof)
        assert (reply.status, reply.json()["error"]) == (401, "invalid_token")
    assert sender.userinfo(token, None, scheme="Bearer").status == 200


@on_sqlite
def test_who_comes_without_a_token_is_told_both_schemes(standing: World) -> None:
    challenge = send(f"{standing.url}/userinfo").headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="userinfo", DPoP realm="userinfo", algs="')
    assert "error" not in challenge


# ----- Section 10: a code that is bound to a key -----


@pytest.mark.requirement("RFC 9449", "10", "a code asked for with dpop_jkt is exchanged with that key alone")
@on_sqlite
def test_a_code_for_a_key_is_exchanged_with_that_key_alone(sender: Sender) -> None:
    code, pending = sender.get_code(dpop_jkt=sender.key.jkt)
    thief = replace(sender, key=DpopKey())
    with nothing_changes(sender.world):
        assert_json_error(thief.exchange(code, pending, thief.prove()), "invalid_grant")
        assert_json_error(sender.exchange(code, pending, None), "invalid_dpop_proof")
    assert sender.exchange(code, pending, sender.prove()).json()["token_type"] == "DPoP"


@on_sqlite
def test_a_dpop_jkt_that_is_no_thumbprint_is_refused(sender: Sender) -> None:
    for dpop_jkt in ("x", sender.key.jkt + "=", sender.key.jkt[:-1], sender.key.jkt + "AA"):
        pending = sender.party.begin(dpop_jkt=dpop_jkt)
        answer = sender.party.read_answer(sender.world.browser().get(pending.url))
        assert answer["error"] == "invalid_request", dpop_jkt
