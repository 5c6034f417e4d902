"""Starts Tokenhouse as an operator does: `init`, `user add`, `resource add`, `client add`, `serve`."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import METADATA_PATH, drain_output, free_port, running, wait_for_http
from benchmarks.scenario import Scenario

TOKENHOUSE = Path(sys.executable).parent / "tokenhouse"
COMMAND_TIMEOUT_S = 120


class CommandRefused(RuntimeError):
    """A `tokenhouse` command did not end with 0; the message is what it printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenhouse:
    """A running server. `seconds_to_first_answer` runs from the start of `serve` to the first 200 of its metadata."""

    issuer: str
    pid: int
    seconds_to_first_answer: float


class Deployment:
    """One issuer, its database and keys under `folder`; the server can be started on it again and again."""

    def __init__(self, folder: Path, *, database_url: str | None = None, **settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        # Rate limits are for strangers; log level and everything else stay as they are shipped.
        inherited = {
            name: value
            for name, value in os.environ.items()
            # An installed server has its bytecode beside it; without it each start would compile every module anew.
            if not name.startswith("TOKENHOUSE_") and name != "PYTHONDONTWRITEBYTECODE"
        }
        self.environment = {
            **inherited,
            "TOKENHOUSE_ISSUER": self.issuer,
            "TOKENHOUSE_DATABASE_URL": database_url or f"sqlite:///{folder / 'tokenhouse.db'}",
            "TOKENHOUSE_KEYS_DIR": str(folder / "keys"),
            "TOKENHOUSE_RATE_LIMITS": "off",
            **{f"TOKENHOUSE_{name.upper()}": value for name, value in settings.items()},
        }

    def set_up(
        self, scenario: Scenario, *, more_grants: bool = False, client_metadata: Mapping[str, Any] | None = None
    ) -> None:
        """Initialises the deployment and adds the scenario's user, resource and client.

        `more_grants` gives the client refresh tokens, and adds the machine. `client_metadata`: more of the client's.
        """
        self.command("init")
        self.command(
            *("user", "add", scenario.username, "--email", scenario.email, "--password-stdin"),
            stdin=scenario.password + "\n",
        )
        self.command("resource", "add", "--from", "-", stdin=json.dumps(_resource(scenario)))
        client = {**_client(scenario, refresh_tokens=more_grants), **(client_metadata or {})}
        self.command("client", "add", "--from", "-", stdin=json.dumps(client))
        if more_grants:
            opaque = {**_resource(scenario), "resource": scenario.opaque_resource, "access_token_format": "opaque"}
            self.command("resource", "add", "--from", "-", stdin=json.dumps(opaque))
            self.command("client", "add", "--from", "-", stdin=json.dumps(_machine(scenario)))

    def command(self, *arguments: str, stdin: str = "") -> Any:
        """Runs one `tokenhouse` command with --json; its decoded output. Raises `CommandRefused`."""
        answer = subprocess.run(
            [str(TOKENHOUSE), *arguments, "--json"],
            env=self.environment,
            cwd=self._folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        if answer.returncode != 0:
            shown = " ".join(arguments)
            raise CommandRefused(f"tokenhouse {shown} ended with {answer.returncode}: {answer.stdout}{answer.stderr}")
        return json.loads(answer.stdout) if answer.stdout.strip() else None

    @contextlib.contextmanager
    def serving(self, *, cores: set[int] | None = None, workers: int = 1) -> Iterator[Tokenhouse]:
        """The server of this deployment, ready for requests."""
        log = self._folder / "tokenhouse.log"
        started = time.perf_counter()
        with running(
            self._serve_command(workers), environment=self.environment, log=log, cores=cores, folder=self._folder
        ) as process:
            drain_output(process)
            wait_for_http(process, self.port, METADATA_PATH, log=log)
            seconds = time.perf_counter() - started
            yield Tokenhouse(issuer=self.issuer, pid=process.pid, seconds_to_first_answer=seconds)

    def _serve_command(self, workers: int) -> Sequence[str]:
        listening = ("--host", "127.0.0.1", "--port", str(self.port), "--workers", str(workers))
        return (str(TOKENHOUSE), "serve", *listening)


def _resource(scenario: Scenario) -> dict[str, Any]:
    return {
        "resource": scenario.resource,
        "resource_name": "Photo library",
        "scopes": [
            {"name": name, "description": f"Use your photos: {name}", "required": False}
            for name in scenario.scope.split(" ")
        ],
        "access_token_format": "jwt",
        "signing_alg": "ES256",
    }


def _client(scenario: Scenario, *, refresh_tokens: bool) -> dict[str, Any]:
    return {
        "client_id": scenario.client_id,
        "client_secret": scenario.client_secret,
        "client_name": "Photo printing service",
        "redirect_uris": [scenario.redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"] if refresh_tokens else ["authorization_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic",
        "scope": f"openid profile email {scenario.scope}",
        "policy": {"resources": [scenario.resource]},
    }


def _machine(scenario: Scenario) -> dict[str, Any]:
    resources = [scenario.resource, scenario.opaque_resource]
    return {
        "client_id": scenario.machine_id,
        "client_secret": scenario.machine_secret,
        "client_name": "Nightly report",
        "grant_types": ["client_credentials"],
        "response_types": [],
        "token_endpoint_auth_method": "client_secret_basic",
        "scope": scenario.scope,
        "policy": {"resources": resources, "introspects": resources},
    }
