"""Revocation that reaches a verifier: which lists it fetches, which it believes, how long, and what it does then."""

import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.specs.protocol_error import ProtocolError, TemporarilyUnavailable
from app.specs.rfc4648_base64url import encode_base64url
from app.specs.token_status_list import status_claim
from app.verifier import AccessTokenVerifier, FetchedList, WouldWait
from app.verifier.background import THREAD_NAME
from app.verifier.status_lists import MAX_LISTS
from tests.patience import wait_until
from tests.verifier.conftest import MakeVerifier
from tests.verifier.issuer import (
    IssuerServer,
    MovableClock,
    SigningKey,
    answer_bytes,
    answer_json,
    make_claims,
    make_statuses,
    wait_for_background_fetches,
)

ROOT = Path(__file__).resolve().parents[2]


class Issuer:
    """The server, its key, and tokens that name its list."""

    def __init__(self, server: IssuerServer, key: SigningKey, clock: MovableClock) -> None:
        self.server, self.key, self.clock = server, key, clock

    def token(self, index: int, *, name: str = "one", **changes: Any) -> str:
        changes = {"status": status_claim(self.server.list_uri(name), index), **changes}
        return self.key.sign(make_claims(self.server.issuer, now_s=self.clock.now_s, jti=f"id-{index}", **changes))

    def revoke(self, *revoked: int, **changes: Any) -> None:
        self.server.publish_list(*revoked, now_s=self.clock.now_s, **changes)


@pytest.fixture
def issuer(server: IssuerServer, key: SigningKey, clock: MovableClock) -> Issuer:
    issuer = Issuer(server, key, clock)
    issuer.revoke(7)
    return issuer


def refusal(verify: Callable[..., object], *arguments: Any, **options: Any) -> str:
    try:
        verify(*arguments, **options)
    except ProtocolError as error:
        return f"{error.error}: {error.description}"
    return "accepted"


REVOKED = "invalid_token: the token has been revoked"


# ----- Revoked or not ------------------------------------------------------------------------------------------------


@pytest.mark.requirement("draft-ietf-oauth-status-list", "8.3", "a token whose entry is set is refused")
def test_a_revoked_token_is_refused_and_its_neighbours_are_not(issuer: Issuer, make_verifier: MakeVerifier) -> None:
    verifier = make_verifier(issuer.server.issuer)
    verdicts = {index: refusal(verifier.verify, issuer.token(index)) for index in range(1024)}
    assert {index for index, verdict in verdicts.items() if verdict != "accepted"} == {7}
    assert verdicts[7] == REVOKED
    assert issuer.server.list_requests() == 1


def test_a_revocation_is_known_after_half_a_ttl_also_for_a_token_that_was_seen(
    issuer: Issuer, make_verifier: MakeVerifier
) -> None:
    verifier, token = make_verifier(issuer.server.issuer), issuer.token(8)
    assert verifier.verify(token).subject == "alice"
    issuer.revoke(7, 8)
    issuer.clock.advance(2.4)
    assert verifier.verify(token).subject == "alice"
    wait_for_background_fetches()
    assert issuer.server.list_requests() == 1
    issuer.clock.advance(0.2)
    # The call that finds it due is answered from the copy at hand.
    verifier.verify(token)
    wait_for_background_fetches()
    assert refusal(verifier.verify, token) == REVOKED


def test_after_a_pause_the_first_call_waits_for_a_new_list(issuer: Issuer, make_verifier: MakeVerifier) -> None:
    verifier, token = make_verifier(issuer.server.issuer), issuer.token(8)
    verifier.verify(token)
    issuer.clock.advance(60)
    issuer.revoke(8)
    assert refusal(verifier.verify, token) == REVOKED


@pytest.mark.parametrize("index", [1024, 2**20, 10**30])
def test_an_index_that_the_list_does_not_have_is_refused(
    index: int, issuer: Issuer, make_verifier: MakeVerifier
) -> None:
    verifier = make_verifier(issuer.server.issuer)
    assert refusal(verifier.verify, issuer.token(index)) == "invalid_token: the status list has no entry for the token"


def test_lists_of_others_may_have_several_bits_per_token(issuer: Issuer, make_verifier: MakeVerifier) -> None:
    # The draft's example: 1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3
    issuer.revoke(status_list={"bits": 2, "lst": "eNo76fITAAPfAgc"})
    verifier = make_verifier(issuer.server.issuer)
    accepted = [index for index in range(12) if refusal(verifier.verify, issuer.token(index)) == "accepted"]
    assert accepted == [2, 4, 6]
    assert refusal(verifier.verify, issuer.token(1)) == "invalid_token: the token has been revoked or suspended"


def test_a_token_without_status_verifies_unless_a_status_is_required(
    issuer: Issuer, make_verifier: MakeVerifier
) -> None:
    token = issuer.token(0, status=...)
    assert make_verifier(issuer.server.issuer).verify(token).subject == "alice"
    strict = make_verifier(issuer.server.issuer, require_status=True)
    assert "has no status" in refusal(strict.verify, token)
    assert strict.verify(issuer.token(1)).subject == "alice"
    assert issuer.server.list_requests() == 1


def test_who_ignores_status_fetches_no_list(issuer: Issuer, make_verifier: MakeVerifier) -> None:
    verifier = make_verifier(issuer.server.issuer, ignore_status=True)
    assert verifier.verify(issuer.token(7)).subject == "alice"
    assert issuer.server.list_requests() == 0
    with pytest.raises(ValueError, match="exclude each other"):
        make_verifier(issuer.server.issuer, ignore_status=True, require_status=True)


# ----- Which lists are fetched ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://evil.example/status-lists/one",
        "{issuer}.evil.example/status-lists/one",
        "{issuer}@evil.example/status-lists/one",
        "{issuer}/status-lists",
        "{issuer}/status-lists/",
        "{issuer}/status-listsone",
        "{issuer}/keys",
        "{issuer}/status-lists/../keys",
        "{issuer}/status-lists/one/../../keys",
        "{issuer}/status-lists/%2e%2e/keys",
        "{issuer}/status-lists/.one",
        "{issuer}/status-lists//one",
        "{issuer}/status-lists/one?a=b",
        "{issuer}/status-lists/one#a",
        "{issuer}/status-lists/one\n",
        "{issuer}/status-lists/one two",
        "{issuer}/status-lists/\\one",
    ],
)
def test_nothing_outside_of_the_issuers_lists_is_fetched(uri: str, issuer: Issuer, make_verifier: MakeVerifier) -> None:
    verifier = make_verifier(issuer.server.issuer)
    token = issuer.token(1, status=status_claim(uri.format(issuer=issuer.server.issuer), 1))
    assert refusal(verifier.verify, token) == "invalid_token: the token's status is not kept in a list of its issuer"
    assert set(issuer.server.requests) == {"/.well-known/openid-configuration", "/keys"}


def test_a_token_that_the_issuer_did_not_sign_causes_no_fetch(issuer: Issuer, make_verifier: MakeVerifier) -> None:
    verifier = make_verifier(issuer.server.issuer)
    verifier.fetch_keys()
    stranger = Issuer(issuer.server, SigningKey(), issuer.clock)
    issuer.clock.advance(30)
    assert "no key of the issuer" in refusal(verifier.verify, stranger.token(1))
    expired = issuer.token(1, exp=int(issuer.clock.now_s) - 60, iat=int(issuer.clock.now_s) - 90)
    assert "has expired" in refusal(verifier.verify, expired)
    assert issuer.server.list_requests() == 0


def test_another_prefix_is_the_operators_choice(issuer: Issuer, make_verifier: MakeVerifier) -> None:
    prefix = f"{issuer.server.origin}/elsewhere/"
    issuer.server.answers["/elsewhere/a/b.jwt"] = issuer.server.answers["/status-lists/one"]
    verifier = make_verifier(issuer.server.issuer, status_list_prefix=prefix)
    token = issuer.token(1, status=status_claim(prefix + "a/b.jwt", 1))
    # The list says that it is another one.
    assert "is not known" in refusal(verifier.verify, token)
    issuer.revoke(7, sub=prefix + "a/b.jwt")
    issuer.server.answers["/elsewhere/a/b.jwt"] = issuer.server.answers["/status-lists/one"]
    issuer.clock.advance(60)
    assert verifier.verify(issuer.token(1, status=status_claim(prefix + "a/b.jwt", 1))).subject == "alice"
    with pytest.raises(ValueError, match="https was expected"):
        make_verifier(issuer.server.issuer, status_list_prefix="http://lists.example/")


def test_fifty_threads_that_start_together_cause_one_fetch(issuer: Issuer, make_verifier: MakeVerifier) -> None:
    verifier = make_verifier(issuer.server.issuer)
    tokens = [issuer.token(index) for index in range(100, 150)]
    together = threading.Barrier(50)

    def verify(token: str) -> str:
        together.wait()
        return verifier.verify(token).subject

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(verify, tokens)) == ["alice"] * 50
    assert (issuer.server.list_requests(), issuer.server.jwks_requests) == (1, 1)


def test_an_event_loop_never_waits_for_a_list(issuer: Issuer, make_verifier: MakeVerifier) -> None:
    verifier = make_verifier(issuer.server.issuer)
    verifier.fetch_keys()
    with pytest.raises(WouldWait):
        verifier.verify_at_once(issuer.token(1))
    wait_for_background_fetches()
    assert verifier.verify_at_once(issuer.token(1)).subject == "alice"
    assert issuer.server.list_requests() == 1


def test_a_list_goes_when_no_living_token_names_it(issuer: Issuer, make_verifier: MakeVerifier) -> None:
    verifier = make_verifier(issuer.server.issuer)
    verifier.verify(issuer.token(1))
    verifier.verify(issuer.token(2, exp=int(issuer.clock.now_s) + 30))
    issuer.clock.advance(300)
    verifier.renew_due()
    wait_for_background_fetches()
    assert issuer.server.list_requests() == 2
    issuer.clock.advance(11)
    verifier.renew_due()
    wait_for_background_fetches()
    assert issuer.server.list_requests() == 2


def test_the_number_of_lists_is_bounded(key: SigningKey, clock: MovableClock, make_verifier: MakeVerifier) -> None:
    class Source:
        """Every list that anybody asks for, without a network."""

        asked = 0

        def fetch_list(self, uri: str, *, etag: str | None) -> FetchedList:  # noqa: ARG002
            Source.asked += 1
            now_s = int(clock.now_s)
            claims = {"sub": uri, "iat": now_s, "exp": now_s + 600, "ttl": 5, "status_list": {"bits": 1, "lst": LIST}}
            return FetchedList(unverified_list=key.sign(claims, typ="statuslist+jwt"))

        def fetch_list_uris(self, aggregation_uri: str) -> tuple[str, ...]:  # noqa: ARG002
            return ()

    base = "https://login.example.com"
    verifier = make_verifier(base, keys=[key.public_jwk], status_list_source=Source())

    def token(number: int) -> str:
        status = status_claim(f"{base}/status-lists/{number}", 1)
        # Later tokens live longer, so that the first list is the least needed.
        return key.sign(make_claims(base, status=status, exp=int(clock.now_s) + 300 + number))

    for number in range(MAX_LISTS + 1):
        verifier.verify(token(number))
    assert Source.asked == MAX_LISTS + 1
    verifier.verify(token(MAX_LISTS))
    assert Source.asked == MAX_LISTS + 1
    verifier.verify(token(0))
    assert Source.asked == MAX_LISTS + 2


LIST = "eNrbuRgAAhcBXQ"


# ----- Which lists are believed --------------------------------------------------------------------------------------


def signed_by_a_stranger(issuer: Issuer) -> None:
    issuer.revoke(key=SigningKey())


def answered(**answer: Any) -> Callable[[Issuer], None]:
    def publish(issuer: Issuer) -> None:
        issuer.server.answers["/status-lists/one"] = answer_bytes(**{"body": b"", **answer})

    return publish


def changed(**changes: Any) -> Callable[[Issuer], None]:
    return lambda issuer: issuer.revoke(
        **{name: make(issuer) if callable(make) else make for name, make in changes.items()}
    )


def a_token_for_a_list(issuer: Issuer) -> None:
    issuer.server.answers["/status-lists/one"] = answer_bytes(issuer.token(1).encode())


UNBELIEVABLE: dict[str, tuple[Callable[[Issuer], None], str]] = {
    "a stranger's": (signed_by_a_stranger, "no key of the issuer verifies the signature"),
    "another typ": (changed(typ="JWT"), r"typ is not statuslist\+jwt"),
    "an access token": (a_token_for_a_list, r"typ is not statuslist\+jwt"),
    "another list's": (changed(sub="https://login.example/status-lists/two"), "sub is not the address"),
    "another issuer's": (changed(iss="https://evil.example"), "from another issuer"),
    "expired": (changed(exp=lambda issuer: int(issuer.clock.now_s)), "has expired"),
    "from the future": (changed(iat=lambda issuer: int(issuer.clock.now_s) + 11), "issued in the future"),
    "without exp": (changed(exp=...), "has no exp"),
    "without iat": (changed(iat=...), "iat is missing"),
    "without entries": (changed(status_list={"bits": 1, "lst": "eNoDAAAAAAE"}), "is empty"),
    "no list": (changed(status_list=...), "status_list is missing"),
    "not found": (answered(status=404), "answered 404"),
    "an error": (answered(status=500), "answered 500"),
    "a redirect": (answered(status=302, headers={"Location": "/keys"}), "answered 302"),
    "304 to the first question": (answered(status=304), "answered 304"),
    "no JWS": (answered(body=b"<html>"), "compact form"),
    "not ASCII": (answered(body=b"\xff.a.b"), "compact form"),
    "too large": (answered(body=b"x" * 600_000), "is larger than"),
}


@pytest.mark.parametrize("name", UNBELIEVABLE)
def test_a_list_that_is_not_to_be_believed_lets_nobody_in(
    name: str, issuer: Issuer, make_verifier: MakeVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    publish, reason = UNBELIEVABLE[name]
    publish(issuer)
    verifier = make_verifier(issuer.server.issuer)
    with caplog.at_level(logging.WARNING, "tokenhouse_verifier"), pytest.raises(TemporarilyUnavailable) as refused:
        verifier.verify(issuer.token(1))
    assert refused.value.description == (
        "whether the token has been revoked is not known: there is no status list that is not too old"
    )
    assert int(refused.value.headers["Retry-After"]) >= 1
    (record,) = (record for record in caplog.records if "status list" in record.getMessage())
    assert re.search(reason, record.getMessage())
    # The next good list heals it.
    issuer.clock.advance(15)
    issuer.revoke(7)
    assert verifier.verify(issuer.token(1)).subject == "alice"


def test_an_older_list_never_replaces_a_newer_one(
    issuer: Issuer, make_verifier: MakeVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.revoke(7, 8)
    verifier, token = make_verifier(issuer.server.issuer), issuer.token(9)
    verifier.verify(token)
    issuer.server.publish_list(now_s=issuer.clock.now_s - 1, exp=int(issuer.clock.now_s) + 6000)
    issuer.clock.advance(3)
    verifier.verify(token)
    wait_for_background_fetches()
    assert "older than the list at hand" in caplog.text
    assert refusal(verifier.verify, issuer.token(8)) == REVOKED
    # Nor does it lengthen the newer one's life.
    issuer.clock.advance(598)
    assert "is not known" in refusal(verifier.verify, issuer.token(9))


def test_a_revocation_is_never_taken_back(
    issuer: Issuer, make_verifier: MakeVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    verifier = make_verifier(issuer.server.issuer)
    assert refusal(verifier.verify, issuer.token(7)) == REVOKED
    issuer.clock.advance(6)
    issuer.revoke(8)
    assert [refusal(verifier.verify, issuer.token(index)) for index in (7, 8, 9)] == [REVOKED, REVOKED, "accepted"]
    assert "takes revocations back, which is not believed" in caplog.text


def test_a_list_that_became_shorter_keeps_what_was_revoked(issuer: Issuer, make_verifier: MakeVerifier) -> None:
    issuer.revoke(1000)
    verifier = make_verifier(issuer.server.issuer)
    verifier.verify(issuer.token(1))
    issuer.clock.advance(6)
    issuer.revoke(status_list={"bits": 1, "lst": LIST})
    assert refusal(verifier.verify, issuer.token(1000)) == REVOKED


def test_a_list_signed_by_the_next_key_is_believed(
    issuer: Issuer, next_key: SigningKey, make_verifier: MakeVerifier
) -> None:
    verifier = make_verifier(issuer.server.issuer)
    verifier.fetch_keys()
    issuer.clock.advance(20)
    issuer.server.publish(issuer.key, next_key)
    issuer.revoke(7, key=next_key)
    assert verifier.verify(issuer.token(1)).subject == "alice"
    assert refusal(verifier.verify, issuer.token(7)) == REVOKED


# ----- How long, and what then ---------------------------------------------------------------------------------------


def test_while_the_issuer_is_down_the_last_list_is_believed_until_its_exp_and_then_nobody_is_let_in(
    issuer: Issuer, make_verifier: MakeVerifier
) -> None:
    verifier = make_verifier(issuer.server.issuer)
    long_lived = {"exp": int(issuer.clock.now_s) + 3600}
    token, revoked = issuer.token(1, **long_lived), issuer.token(7, **long_lived)
    assert verifier.verify(token).subject == "alice"
    issuer.server.stop()
    try:
        for _ in range(10):
            issuer.clock.advance(59.9)
            assert verifier.verify(token).subject == "alice"
            assert refusal(verifier.verify, revoked) == REVOKED
            wait_for_background_fetches()
        issuer.clock.advance(1)
        with pytest.raises(TemporarilyUnavailable, match="is not known") as refused:
            verifier.verify(token)
        assert 1 <= int(refused.value.headers["Retry-After"]) <= 15
    finally:
        issuer.server.start()
    issuer.revoke(7)
    issuer.clock.advance(15)
    assert verifier.verify(token).subject == "alice"


def test_a_304_does_not_make_a_list_younger(issuer: Issuer, make_verifier: MakeVerifier) -> None:
    verifier = make_verifier(issuer.server.issuer)
    token = issuer.token(1, exp=int(issuer.clock.now_s) + 3600)
    for _ in range(100):
        verifier.verify(token)
        issuer.clock.advance(5.9)
    assert issuer.server.list_requests() == 100
    issuer.clock.advance(10)
    assert "is not known" in refusal(verifier.verify, token)
    issuer.revoke(1)
    issuer.clock.advance(5)
    assert refusal(verifier.verify, token) == REVOKED


@pytest.mark.parametrize(
    ("options", "believed_s"), [({}, 600), ({"status_max_age_s": 60}, 60), ({"status_grace_s": 90}, 690)]
)
def test_the_bound_is_the_lists_exp_or_what_the_operator_states(
    options: dict[str, float], believed_s: int, issuer: Issuer, make_verifier: MakeVerifier
) -> None:
    verifier = make_verifier(issuer.server.issuer, **options)
    token = issuer.token(1, exp=int(issuer.clock.now_s) + 3600)
    verifier.verify(token)
    issuer.server.answers["/status-lists/one"] = answer_bytes(b"", status=500)
    issuer.clock.advance(believed_s - 1)
    assert verifier.verify(token).subject == "alice"
    issuer.clock.advance(1)
    assert "is not known" in refusal(verifier.verify, token)


def test_a_list_without_exp_is_believed_for_as_long_as_the_operator_states(
    issuer: Issuer, make_verifier: MakeVerifier
) -> None:
    issuer.revoke(7, exp=...)
    verifier = make_verifier(issuer.server.issuer, status_max_age_s=60)
    assert verifier.verify(issuer.token(1)).subject == "alice"
    assert "is not known" in refusal(make_verifier(issuer.server.issuer).verify, issuer.token(1))


def test_an_issuer_that_never_finishes_its_answer_holds_callers_only_until_the_timeout(
    issuer: Issuer, make_verifier: MakeVerifier
) -> None:
    verifier = make_verifier(issuer.server.issuer, timeout_s=0.2)
    verifier.fetch_keys()
    normal = issuer.server.answers["/status-lists/one"]

    def hang(handler: Any) -> None:
        issuer.server.gate.wait(30)
        normal(handler)

    issuer.server.answers["/status-lists/one"] = hang
    for _ in range(2):
        assert "is not known" in refusal(verifier.verify, issuer.token(1))
    issuer.server.gate.set()
    wait_for_background_fetches()
    issuer.clock.advance(15)
    assert verifier.verify(issuer.token(1)).subject == "alice"


def test_given_keys_of_an_issuer_without_an_address_leave_no_way_to_know_a_status(
    key: SigningKey, make_verifier: MakeVerifier
) -> None:
    verifier = make_verifier("urn:example:issuer", keys=[key.public_jwk])
    token = key.sign(make_claims("urn:example:issuer", status=status_claim("https://a.example/one", 1)))
    assert "cannot be checked here" in refusal(verifier.verify, token)
    assert verifier.verify(key.sign(make_claims("urn:example:issuer"))).subject == "alice"


# ----- The refresher -------------------------------------------------------------------------------------------------


def test_the_refresher_renews_lists_and_keys_though_nobody_calls(issuer: Issuer, make_verifier: MakeVerifier) -> None:
    issuer.server.answers["/status-lists"] = answer_json(
        {"status_lists": [issuer.server.list_uri("one"), issuer.server.list_uri("two"), "https://evil.example/three"]}
    )
    issuer.revoke(5, name="two")
    verifier = make_verifier(issuer.server.issuer, background=True)
    assert verifier.verify(issuer.token(1)).subject == "alice"
    # A list that no token has named here yet is at hand as well.
    wait_until(lambda: issuer.server.list_requests("two") == 1)
    wait_for_background_fetches()
    assert refusal(verifier.verify_at_once, issuer.token(5, name="two")) == REVOKED
    issuer.revoke(1, 7)
    issuer.clock.advance(4)
    wait_until(lambda: issuer.server.list_requests("one") >= 2)
    wait_for_background_fetches()
    assert refusal(verifier.verify_at_once, issuer.token(1)) == REVOKED
    issuer.clock.advance(226)
    wait_until(lambda: issuer.server.jwks_requests == 2)


def test_the_refresher_ends_with_its_verifier(issuer: Issuer, make_verifier: MakeVerifier) -> None:
    def refreshers() -> int:
        return sum(thread.name == THREAD_NAME for thread in threading.enumerate())

    wait_until(lambda: refreshers() == 0)
    verifier: AccessTokenVerifier | None = make_verifier(issuer.server.issuer, background=True)
    assert verifier is not None
    assert refreshers() == 0
    verifier.verify(issuer.token(1))
    assert refreshers() == 1
    verifier = None
    wait_until(lambda: refreshers() == 0)


def test_an_issuer_without_aggregation_is_no_trouble(issuer: Issuer, make_verifier: MakeVerifier) -> None:
    verifier = make_verifier(issuer.server.issuer)
    verifier.verify(issuer.token(1))
    for document in (b"[]", b'{"status_lists":"x"}', b'{"status_lists":[1]}', b"<html>"):
        issuer.server.answers["/status-lists"] = answer_bytes(document)
        issuer.clock.advance(700)
        issuer.revoke(7)
        verifier.verify(issuer.token(1))
        verifier.renew_due()
        wait_for_background_fetches()
    assert issuer.server.requests["/status-lists"] == 4
    assert verifier.verify(issuer.token(1)).subject == "alice"


FORK = """
import os, sys, threading
from app.verifier import AccessTokenVerifier
from app.verifier.background import THREAD_NAME
issuer, audience, token = sys.argv[1:]
verifier = AccessTokenVerifier(issuer=issuer, audience=audience, clock=lambda: 1_800_000_000)
verifier.verify(token)
names = lambda: [thread.name for thread in threading.enumerate()]
assert THREAD_NAME in names()
child = os.fork()
if child == 0:
    before = THREAD_NAME in names()
    verifier.verify(token + "") and verifier.fetch_keys()
    os._exit(0 if not before and THREAD_NAME in names() else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_worker_process_gets_a_refresher_of_its_own(issuer: Issuer) -> None:
    run = subprocess.run(
        [sys.executable, "-c", FORK, issuer.server.issuer, "https://api.example.com/photos", issuer.token(1)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr


def test_statuses_of_the_tests_are_what_the_draft_says() -> None:
    assert make_statuses(0, 3, 9, size=16) == bytes([0b00001001, 0b00000010])
    assert encode_base64url(make_statuses(size=8)) == "AA"
