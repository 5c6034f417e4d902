"""Keys change while an API verifies fifty tokens a second: none fails; and the API outlives the server."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from app.services.manage_keys import rotate_keys
from app.specs.protocol_error import InvalidToken, TemporarilyUnavailable
from app.verifier import AccessTokenVerifier
from tests.actors.browser import Browser
from tests.actors.http import send
from tests.actors.relying_party import RelyingParty
from tests.cli.processes import CommandLine
from tests.deployments import Account
from tests.faults.fault_world import FaultWorld
from tests.faults.invariants import active_kid, check_keys, kid_of
from tests.faults.patience import eventually

VERIFICATIONS_PER_S = 50


@dataclass
class Api:
    """A resource server that verifies the newest token again and again, in a thread of its own."""

    verifier: AccessTokenVerifier
    token: str
    verified: int = 0
    failures: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def verify_for_ever(self) -> None:
        while not self._ended.wait(1 / VERIFICATIONS_PER_S):
            try:
                self.verifier.verify(self.token)
            except (InvalidToken, TemporarilyUnavailable) as error:
                self.failures.append(f"{type(error).__name__}: {error.description}")
            self.verified += 1

    @contextmanager
    def at_work(self) -> Iterator[None]:
        thread = threading.Thread(target=self.verify_for_ever)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(timeout=30)

    def works_on(self, verifications: int) -> None:
        """Wait until so many more have been made."""
        enough = self.verified + verifications
        eventually(lambda: self.verified >= enough, within_s=20, what="the API works")


@dataclass
class Scene:
    """An API, and a person who goes on getting tokens for it."""

    world: FaultWorld
    party: RelyingParty
    account: Account
    browser: Browser
    resource: str

    @classmethod
    def of(cls, world: FaultWorld) -> "Scene":
        # Tokens that outlive the steps of the clock.
        resource = world.operator.add_resource(access_token_lifetime_s=3600)
        return cls(world, world.relying_party(), world.operator.add_user(), world.browser(), resource)

    def new_token(self) -> str:
        code, pending = self.world.get_code(
            self.party, self.account, browser=self.browser, scope="photos.read", resource=self.resource
        )
        reply = self.world.witness.exchange(self.party, code, pending)
        assert reply is not None
        token: str = reply.json()["access_token"]
        return token

    def published_kids(self) -> set[str]:
        return {key["kid"] for key in send(f"{self.world.issuer}/jwks").json()["keys"]}

    def verifier(self) -> AccessTokenVerifier:
        """A verifier that lives in the world's time: its copy of the keys ages as the clock moves."""
        offset_s = self.world.clock() / 1000 - time.time()
        return AccessTokenVerifier(
            issuer=self.world.issuer,
            audience=self.resource,
            clock=lambda: self.world.clock() / 1000,
            monotonic=lambda: time.monotonic() + self.world.clock() / 1000 - time.time() - offset_s,
        )


def test_no_verification_fails_while_the_operator_rotates_at_once(time_machine: FaultWorld) -> None:
    scene = Scene.of(time_machine)
    first = scene.new_token()
    api = Api(scene.verifier(), first)
    with api.at_work():
        api.works_on(10)
        CommandLine(time_machine.environment).json("keys", "rotate", "--now")
        api.token = eventually(
            lambda: token if kid_of(token := scene.new_token()) == active_kid(time_machine) else "",
            within_s=30,
            what="the server signs with the new key",
        )
        api.works_on(25)
    assert api.failures == []
    assert kid_of(api.token) != kid_of(first)
    # What the old key signed is good for as long as it lives.
    assert api.verifier.verify(first).subject == scene.account.sub


def test_no_verification_fails_in_a_planned_rotation(time_machine: FaultWorld) -> None:
    scene = Scene.of(time_machine)
    first = scene.new_token()
    api = Api(scene.verifier(), first)
    publication_s = time_machine.operator.deployment.rotation.publication_ms / 1000
    with api.at_work():
        api.works_on(10)
        before = scene.published_kids()
        rotate_keys(time_machine.operator.deployment)
        # Within a second; the clock would take the busiest machine past the hours in which a key is only published.
        eventually(lambda: scene.published_kids() > before, within_s=30, what="the next key is published")
        # Time passes in steps that are shorter than a verifier keeps its keys.
        for _ in range(4):
            time_machine.clock.move(seconds=publication_s / 4 + 1)
            api.token = scene.new_token()
            api.works_on(5)
        assert kid_of(api.token) == kid_of(first), "a pending key signed before its time"
        # As the housekeeping of any node would.
        assert time_machine.operator.deployment.rotate_keys_if_due()
        api.token = eventually(
            lambda: token if kid_of(token := scene.new_token()) != kid_of(first) else "",
            within_s=30,
            what="the server signs with the new key",
        )
        api.works_on(25)
    assert api.failures == []
    assert api.verifier.verify(first).subject == scene.account.sub
    with time_machine.operator.deployment.database.reading() as connection:
        check_keys(connection)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_no_verification_fails_in_ten_rotations(time_machine: FaultWorld) -> None:
    scene = Scene.of(time_machine)
    api = Api(scene.verifier(), scene.new_token())
    with api.at_work():
        for _ in range(10):
            before = kid_of(api.token)
            CommandLine(time_machine.environment).json("keys", "rotate", "--now")
            api.token = eventually(
                lambda before=before: token if kid_of(token := scene.new_token()) != before else "",  # type: ignore[misc]
                within_s=30,
                what="the server signs with the new key",
            )
            api.works_on(25)
            # The next standby has to be known to verifiers before it signs.
            time_machine.clock.move(seconds=301)
            api.token = scene.new_token()
            api.works_on(25)
    assert api.failures == []


def test_an_api_goes_on_verifying_while_the_authorization_server_is_down(faulty: FaultWorld) -> None:
    scene = Scene.of(faulty)
    api = Api(scene.verifier(), scene.new_token())
    try:
        with api.at_work():
            api.works_on(5)
            faulty.server.kill()
            api.works_on(25)
            # Its copies of keys and status list grow old, too; the list is good for at least six minutes.
            faulty.clock.move(seconds=310)
            api.works_on(25)
        assert api.failures == []
        # Past the list's signed end nobody knows what was revoked: that is the bound, and a 503.
        faulty.clock.move(seconds=310)
        with pytest.raises(TemporarilyUnavailable):
            api.verifier.verify(api.token)
        faulty.clock.reset()
        # Who never had the keys cannot begin.
        with pytest.raises(TemporarilyUnavailable):
            scene.verifier().verify(api.token)
    finally:
        faulty.clock.reset()
        faulty.restart()
    assert scene.verifier().verify(api.token).subject == scene.account.sub
