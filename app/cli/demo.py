"""`tokenhouse demo`: the server, a third-party application and an API on this machine, with a person to log in as.

Everything lies under `.demo/` in the current directory and stays there: a second run goes on from where the first was.
The deployment of the `TOKENHOUSE_*` variables, if there is one, is not touched.
"""

import json
import os
import secrets
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import click

import app
from app.cli.display import details
from app.cli.operator_command import Answer, OperatorCommand
from app.cli.side_by_side import Program, SideBySide, is_free
from app.services.deployment import Deployment, open_deployment
from app.services.initialise import initialise
from app.services.manage_clients import add_client, show_client
from app.services.manage_resources import add_resource, show_resource
from app.services.manage_users import NewUser, add_user, show_user
from app.services.migrate_database import upgrade_database
from app.services.mint_secret import mint_secret
from app.services.refusal import Refusal
from app.services.write_log import configure_log
from app.settings import load_settings

STATE: Final = Path(".demo")
MEMORY: Final = STATE / "demonstration.json"
FIRST_PORT: Final = 8400
USERNAME: Final = "ada"
CLIENT_ID: Final = "photo-printing"

# No letter or digit that looks like another: people type it.
_PASSWORD_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # noqa: S105
_EXAMPLES: Final = Path(app.__file__).resolve().parent.parent / "examples"
_SERVE: Final = "from app.cli.main import main; main()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """What is chosen once and remembered. `port` is the server's; the application and the API have the next two."""

    port: int
    password: str = field(repr=False)
    client_secret: str = field(repr=False)

    @property
    def issuer(self) -> str:
        """By name, because passkeys do not work on an IP address."""
        return f"http://localhost:{self.port}"

    @property
    def app_url(self) -> str:
        """The third-party application."""
        return f"http://localhost:{self.port + 1}"

    @property
    def api_url(self) -> str:
        """The API, and its name as a resource."""
        return f"http://localhost:{self.port + 2}/"

    @property
    def ports(self) -> tuple[int, int, int]:
        """Of the server, the application, the API."""
        return self.port, self.port + 1, self.port + 2

    def settings(self) -> dict[str, str]:
        """The deployment's `TOKENHOUSE_*` variables."""
        return {
            "TOKENHOUSE_ISSUER": self.issuer,
            "TOKENHOUSE_DATABASE_URL": f"sqlite:///{STATE}/tokenhouse.db",
            "TOKENHOUSE_KEYS_DIR": str(STATE / "keys"),
            # The application's logo is fetched from this machine, which is refused by default.
            "TOKENHOUSE_OUTBOUND_ALLOWED_NETWORKS": "127.0.0.0/8,::1/128",
        }


@click.command("demo", cls=OperatorCommand)
@click.option("--port", type=click.IntRange(1, 65533), help="The server's port; the two after it are used as well.")
@click.pass_context
def command(ctx: click.Context, port: int | None) -> Answer:
    """Show everything at work on this machine: the server, an application and an API, until Ctrl-C."""
    if not _EXAMPLES.is_dir():
        raise Refusal("no_examples", f"the demonstration needs the examples of a checkout: {_EXAMPLES} is missing")
    demonstration = take_up(port)
    prepare(demonstration)
    programs = ctx.with_resource(SideBySide())
    programs.start(list_programs(demonstration))
    document = {
        "app_url": f"{demonstration.app_url}/",
        "username": USERNAME,
        "password": demonstration.password,
        "issuer": demonstration.issuer,
        "api_url": demonstration.api_url,
        "account_url": f"{demonstration.issuer}/account",
        "state": str(STATE.resolve()),
    }
    human = details(
        [
            ("Open this", f"{demonstration.app_url}/  (a photo printing service)"),
            ("Username", USERNAME),
            ("Password", demonstration.password),
            ("", ""),
            ("Authorization server", demonstration.issuer),
            ("Photo library (API)", demonstration.api_url),
            ("The account page", f"{demonstration.issuer}/account"),
            ("Database, keys, logs", f"{STATE}/"),
        ]
    )
    notes = ("", "Ctrl-C stops everything; the next run goes on from here.")
    return Answer(document=document, human=human, notes=notes, then=programs.wait)


# ----- What is remembered -----


def take_up(port: int | None) -> Demonstration:
    """The demonstration of the last run, or a new one. Raises `Refusal`, also where one of its ports is taken."""
    remembered = _read_memory()
    if remembered is not None and port not in (None, remembered.port):
        raise Refusal(
            "other_port",
            f"this demonstration lives on port {remembered.port}, which is part of its name: "
            f"remove {STATE}/ to begin another one on port {port}",
        )
    if remembered is not None:
        _check_ports_are_free(remembered.ports, advice=f"stop that, or remove {STATE}/ to begin anew on other ports")
        return remembered
    if port is not None:
        _check_ports_are_free((port, port + 1, port + 2), advice="stop that, or choose another --port")
    password = "-".join("".join(secrets.choice(_PASSWORD_ALPHABET) for _ in range(4)) for _ in range(4))
    demonstration = Demonstration(port=port or _find_free_ports(), password=password, client_secret=mint_secret("cs"))
    # Before anything is made with it: whatever stops the run after this, the next one knows the secrets.
    _write_memory(demonstration)
    return demonstration


def _find_free_ports() -> int:
    for port in range(FIRST_PORT, 65000, 10):
        if all(is_free(each) for each in (port, port + 1, port + 2)):
            return port
    raise Refusal("no_free_port", "no three ports in a row are free on localhost")


def _check_ports_are_free(ports: tuple[int, ...], *, advice: str) -> None:
    taken = [str(port) for port in ports if not is_free(port)]
    if taken:
        raise Refusal("port_taken", f"something else listens on port {', '.join(taken)} of localhost: {advice}")


def _read_memory() -> Demonstration | None:
    try:
        return Demonstration(**json.loads(MEMORY.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise Refusal("unreadable_file", f"{MEMORY}: {error}; remove {STATE}/ to begin anew") from error


def _write_memory(demonstration: Demonstration) -> None:
    try:
        STATE.mkdir(mode=0o700, exist_ok=True)
        # Written beside and then renamed, so that there is never half of it.
        written = MEMORY.with_suffix(".new")
        descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(demonstration), file, indent=2)
        written.replace(MEMORY)
    except OSError as error:
        raise Refusal("unwritable_file", f"{MEMORY}: {error.strerror}") from error


# ----- What is made with it -----


def prepare(demonstration: Demonstration) -> None:
    """Make whatever of the deployment is not there yet."""
    settings = load_settings(demonstration.settings())
    configure_log("ERROR")
    try:
        click.echo("Looking at the deployment; the first time it is made, which takes some seconds …", err=True)
        initialise(settings)
    except Refusal as refusal:
        if refusal.error != "already_initialised":
            raise
        upgrade_database(settings)
    deployment = open_deployment(settings, pool_size=1)
    try:
        _ensure_person(deployment, demonstration)
        _ensure_resource(deployment, demonstration)
        _ensure_client(deployment, demonstration)
    finally:
        deployment.close()


def _ensure_person(deployment: Deployment, demonstration: Demonstration) -> None:
    try:
        show_user(deployment, USERNAME)
    except Refusal:
        claims = {"name": "Ada Lovelace", "given_name": "Ada", "family_name": "Lovelace", "locale": "en"}
        email = "ada@example.org"
        add_user(deployment, NewUser(username=USERNAME, email=email, password=demonstration.password, claims=claims))


def _ensure_resource(deployment: Deployment, demonstration: Demonstration) -> None:
    try:
        show_resource(deployment, demonstration.api_url)
    except Refusal:
        document = {
            "resource": demonstration.api_url,
            "resource_name": "Photo library",
            "scopes": [
                {"name": "photos.read", "description": "See your photos"},
                {"name": "photos.dates", "description": "See when your photos were taken"},
            ],
        }
        add_resource(deployment, document)


def _ensure_client(deployment: Deployment, demonstration: Demonstration) -> None:
    try:
        show_client(deployment, CLIENT_ID)
    except Refusal:
        document = {
            "client_id": CLIENT_ID,
            "client_secret": demonstration.client_secret,
            "client_name": "Paper & Light",
            "client_uri": f"{demonstration.app_url}/",
            "logo_uri": f"{demonstration.app_url}/static/logo.png",
            "redirect_uris": [f"{demonstration.app_url}/callback"],
            "scope": "openid profile photos.read photos.dates",
            "policy": {"resources": [demonstration.api_url]},
        }
        add_client(deployment, document)


# ----- What runs -----


def list_programs(demonstration: Demonstration) -> list[Program]:
    """The server by `tokenhouse serve`, and the examples as anybody would start them."""
    server_port, app_port, api_port = demonstration.ports
    # Nothing of another deployment's settings reaches any of them.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TOKENHOUSE_")}
    app_settings = {
        "ISSUER": demonstration.issuer,
        "CLIENT_ID": CLIENT_ID,
        "CLIENT_SECRET": demonstration.client_secret,
        "APP_URL": demonstration.app_url,
        "LIBRARY_URL": demonstration.api_url,
        "LIBRARY_RESOURCE": demonstration.api_url,
    }
    api_settings = {"ISSUER": demonstration.issuer, "AUDIENCE": demonstration.api_url}
    return [
        Program(
            name="the authorization server",
            command=[sys.executable, "-c", _SERVE, "serve", "--host", "127.0.0.1", "--port", str(server_port)],
            environment={**inherited, **demonstration.settings()},
            port=server_port,
            path="/readyz",
            log=STATE / "server.log",
        ),
        _example("the photo printing service", "photo_printing/website.py", app_port, {**inherited, **app_settings}),
        _example("the photo library", "photo_library/api.py", api_port, {**inherited, **api_settings}),
    ]


def _example(name: str, path: str, port: int, environment: dict[str, Any]) -> Program:
    return Program(
        name=name,
        command=[sys.executable, str(_EXAMPLES / path), "--port", str(port)],
        environment=environment,
        port=port,
        path="/",
        log=STATE / f"{Path(path).parent.name}.log",
    )
