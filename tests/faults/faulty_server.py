"""The real server with its weak spots in a test's hand: what goes wrong is read from files, while it runs."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from app.factory import create_app
from app.storage.database import Database, DatabaseUnavailable
from tests.clock import MovableClock

APP = "tests.faults.faulty_server:build_app"
_UNLIMITED_PAGES = 1_000_000


@dataclass(frozen=True, slots=True)
class Faults:
    """What is to go wrong in every server that has this directory."""

    directory: Path

    @property
    def variables(self) -> dict[str, str]:
        """What makes a `ServerProcess` one of these."""
        return {"TEST_APP": APP, "TEST_FAULTS": str(self.directory)}

    def kill_at(self, failpoint: str) -> None:
        """The next process that comes to this point ends there as by kill -9."""
        (self.directory / "kill_at").write_text(failpoint)

    def fail_at(self, failpoint: str) -> None:
        """Whoever comes to this point finds the database gone."""
        (self.directory / "fail_at").write_text(failpoint)

    def fill_database(self) -> None:
        """SQLite gets no page more than it has: "database or disk is full" (SQLITE_FULL)."""
        (self.directory / "full").touch()

    def stop_housekeeping(self) -> None:
        """Servers that are started from now on have nobody who rotates, purges and looks around."""
        (self.directory / "no_housekeeping").touch()

    def clear(self) -> None:
        """Everything is well again."""
        for file in self.directory.iterdir():
            file.unlink()

    # ----- The server's side -----

    def reach(self, failpoint: str) -> None:
        """A process is at a failpoint."""
        if self._read("kill_at") == failpoint:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._read("fail_at") == failpoint:
            raise DatabaseUnavailable(f"failpoint {failpoint}")

    def limit_pages(self, database: Database) -> None:
        """Let whoever writes to an SQLite database find it as full as the test says."""
        group_commit = database._group_commit
        assert group_commit is not None
        transact = group_commit._transact

        def limited(connection: Connection, together: Any) -> None:
            # SQLite takes a limit below the present size as the present size.
            limit = 1 if (self.directory / "full").exists() else _UNLIMITED_PAGES
            driver: Any = connection.connection.driver_connection
            driver.execute(f"PRAGMA max_page_count = {limit}")
            transact(connection, together)

        group_commit._transact = limited  # type: ignore[method-assign]

    def _read(self, name: str) -> str:
        try:
            return (self.directory / name).read_text()
        except FileNotFoundError:
            return ""


def build_app() -> Any:
    """The application of one worker."""
    faults = Faults(Path(os.environ["TEST_FAULTS"]))
    app = create_app(clock=MovableClock(Path(os.environ["TEST_CLOCK"])), failpoints=faults.reach)
    if app.deployment.database.is_sqlite:
        faults.limit_pages(app.deployment.database)
    if (faults.directory / "no_housekeeping").exists():
        app.housekeeper.stop()
    return app
