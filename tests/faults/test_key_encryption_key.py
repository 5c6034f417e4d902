"""The key-encryption key cannot be read: nothing starts and no new key is made; what runs goes on and says so."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.services.manage_keys import rotate_keys_now
from app.services.preflight import check_deployment
from app.services.seals import KEK_FILE, make_kek
from app.settings import load_settings
from tests.actors.relying_party import RelyingParty
from tests.cli.processes import Outcome, clean_environment
from tests.deployments import Account, make_deployment, make_environment
from tests.faults.fault_world import FaultWorld
from tests.faults.invariants import active_kid, check_invariants, kid_of
from tests.faults.patience import eventually
from tests.faults.unprivileged import NOBODY
from tests.server import ROOT, free_port


def unprivileged(environment: dict[str, str], *arguments: str) -> Outcome:
    """A command as a user who may read only what everybody may."""
    finished = subprocess.run(
        [sys.executable, "-m", "tests.faults.unprivileged", *arguments],
        env=clean_environment(environment),
        capture_output=True,
        timeout=60,
        cwd=ROOT,
    )
    return Outcome(exit_code=finished.returncode, stdout=finished.stdout.decode(), stderr=finished.stderr.decode())


@pytest.fixture
def directory() -> Iterator[Path]:
    """A place that the unprivileged user owns; pytest's own is closed to everybody but who runs the tests."""
    directory = Path(tempfile.mkdtemp(prefix="tokenhouse-nobody-"))
    yield directory
    shutil.rmtree(directory)


def give_away(directory: Path) -> None:
    """Let everything under the directory belong to the unprivileged user."""
    if os.geteuid() != 0:
        return
    user = pwd.getpwnam(NOBODY)
    for path in (directory, *directory.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid)


def environment_in(directory: Path) -> dict[str, str]:
    return make_environment(
        issuer="http://localhost:8400", database_url=f"sqlite:///{directory}/tokenhouse.db", directory=directory
    )


def close_the_file(keys: Path) -> Path:
    (keys / KEK_FILE).chmod(0)
    return keys / KEK_FILE


def close_the_directory(keys: Path) -> Path:
    keys.chmod(0)
    return keys


@pytest.mark.parametrize("close", [close_the_file, close_the_directory])
def test_a_key_that_may_not_be_read_stops_the_start_with_its_path_and_the_reason(
    directory: Path, close: Callable[[Path], Path]
) -> None:
    environment = environment_in(directory)
    make_deployment(environment)
    kek = (directory / "keys" / KEK_FILE).read_bytes()
    give_away(directory)
    closed = close(directory / "keys")
    outcome = unprivileged(environment, "serve", "--port", str(free_port()))
    assert outcome.exit_code == 1
    assert str(directory / "keys" / KEK_FILE) in outcome.stderr
    assert "Permission denied" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    closed.chmod(0o700)
    (directory / "keys" / KEK_FILE).chmod(0o400)
    assert (directory / "keys" / KEK_FILE).read_bytes() == kek


def test_init_where_no_key_may_be_written_is_refused_with_the_path_and_leaves_nothing_half_made(
    directory: Path,
) -> None:
    environment = environment_in(directory)
    (directory / "keys").mkdir()
    give_away(directory)
    (directory / "keys").chmod(0)
    outcome = unprivileged(environment, "init")
    assert outcome.exit_code == 1, outcome
    assert str(directory / "keys" / KEK_FILE) in outcome.stderr
    assert "Permission denied" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    # Run again once that is mended, it does everything.
    (directory / "keys").chmod(0o700)
    make_deployment(environment)
    check_deployment(load_settings(environment))


def move_away(kek: Path) -> None:
    kek.rename(kek.with_name("moved"))


def corrupt(kek: Path) -> None:
    shutil.copyfile(kek, kek.with_name("moved"))
    kek.chmod(0o600)
    kek.write_text("tokenhouse-kek-v1:AAAA\n")


def replace_by_another(kek: Path) -> None:
    kek.rename(kek.with_name("moved"))
    make_kek(kek.parent)


def signed_with_the_active_key(world: FaultWorld, party: RelyingParty, account: Account) -> str:
    """A new token if the key that is active now has signed it, else nothing."""
    token = world.get_tokens(party, account).access_token
    return token if kid_of(token) == active_kid(world) else ""


@pytest.mark.parametrize("damage", [move_away, corrupt, replace_by_another])
def test_a_running_server_keeps_its_keys_and_turns_its_readiness_red(
    faulty: FaultWorld, damage: Callable[[Path], None]
) -> None:
    kek = Path(faulty.environment["TOKENHOUSE_KEYS_DIR"]) / KEK_FILE
    party, account = faulty.relying_party(), faulty.operator.add_user()
    assert faulty.try_get("/readyz").status == 200
    damage(kek)
    try:
        not_ready = faulty.try_get("/readyz")
        assert (not_ready.status, faulty.try_get("/livez").status) == (503, 200)
        assert "key-encryption key" in not_ready.json()["reason"]
        assert int(not_ready.headers["retry-after"]) >= 1
        # Old keys and new ones: what the data keys seal is opened without the file.
        assert faulty.serves(party, account)
        rotate_keys_now(faulty.operator.deployment)
        token = eventually(
            lambda: signed_with_the_active_key(faulty, party, account),
            within_s=30,
            what="the server signs with a key that was made without the file",
        )
        assert party.userinfo(token).status == 200
    finally:
        kek.unlink(missing_ok=True)
        kek.with_name("moved").rename(kek)
    # Whoever put the file back has nothing more to do.
    assert faulty.try_get("/readyz").status == 200
    check_invariants(faulty)
