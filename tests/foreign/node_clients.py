"""Runs the scripts of tests/foreign/node: npm's OpenID clients and resource-server libraries, unmodified.

Nothing here knows Tokenhouse: a `ForeignConfig` names any issuer, and `Drive` is whatever logs a person in.
"""

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.foreign.tls_server import Certificate
from tests.node_runtime import find_node, node_environment, node_project

FOLDER = Path(__file__).resolve().parent / "node"
SCRIPT_TIMEOUT_S = 60

Drive = Callable[[str], str]
"""Takes a URL of the server, acts as the person's browser, returns the URL that the client is called back at.

What is posted to the client stands as that URL's query.
"""


class ForeignRefusal(AssertionError):
    """The foreign library did not accept what the server gave; the message is the library's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignConfig:
    """What a client has to know about a server and itself.

    `client_secret` None means a public client. `resource` None asks for a token for UserInfo. `ca_file` is the
    certificate that the server's one is verified against, and `loopback_names` are host names that mean this machine.
    """

    issuer: str
    client_id: str
    client_secret: str | None
    redirect_uri: str
    scope: str
    resource: str | None = None
    token_endpoint_auth_method: str = "client_secret_basic"
    id_token_signed_response_alg: str = "RS256"
    discovery: str = "oidc"
    dpop: bool = False
    exchange_for: str | None = None
    """The resource for which the access token is exchanged; both are then introspected, revoked and introspected."""
    ca_file: str | None = None
    loopback_names: tuple[str, ...] = ()
    registration: Mapping[str, Any] | None = None
    """Where the client registers itself first: its `metadata`, and an `initial_access_token`."""
    post_logout_redirect_uri: str | None = None
    response_mode: str | None = None
    signing_jwk: Mapping[str, Any] | None = None
    """The private key with which the client signs its request objects, and its assertions for `private_key_jwt`."""
    decryption_jwk: Mapping[str, Any] | None = None
    """The private key that ID tokens and UserInfo are encrypted to."""


def run_node_flow(script: str, config: ForeignConfig, drive: Drive) -> dict[str, Any]:
    """Runs a flow script to the end, driving each URL that it asks the browser for; returns what it printed last.

    Raises `ForeignRefusal` where the library refuses, with the library's code and message.
    """
    with _script(script, document_of(config), config) as process:
        return lead_browser(script, process, drive)


def lead_browser(script: str, process: subprocess.Popen[str], drive: Drive) -> dict[str, Any]:
    """Drives each URL that a flow script asks the browser for; what it says last."""
    stdin = process.stdin
    if stdin is None:
        raise RuntimeError("the script has no stdin")
    while "authorization_url" in (document := _refuse_errors(script, _read_line(process))):
        stdin.write(drive(document["authorization_url"]) + "\n")
        stdin.flush()
    return document


def verify_with_jose(access_token: str, config: ForeignConfig) -> dict[str, Any]:
    """`{"claims", "header"}` as npm's jose sees them; raises `ForeignRefusal` where it refuses."""
    document = {**document_of(config), "access_token": access_token}
    with _script("verify_access_token.js", document, config) as process:
        return _refuse_errors("verify_access_token.js", _read_line(process))


@contextlib.contextmanager
def protected_express_api(
    config: ForeignConfig, *, scope_of_photos: str, access_token_signing_alg: str = "ES256"
) -> Iterator[str]:
    """The base URL of an Express API behind express-oauth2-jwt-bearer, with `/photos` and `/albums`."""
    document = {
        **document_of(config),
        "scope_of_photos": scope_of_photos,
        "access_token_signing_alg": access_token_signing_alg,
    }
    with _script("protected_api.js", document, config) as process:
        yield f"http://127.0.0.1:{_read_line(process)['port']}"


@contextlib.contextmanager
def web_application(script: str, config: ForeignConfig, *, app_url: str, certificate: Certificate) -> Iterator[None]:
    """A web application of a script, answering over TLS at `app_url`."""
    files = {"certificate": str(certificate.chain), "key": str(certificate.key)}
    with _script(script, {**document_of(config), "app_url": app_url, "tls": files}, config) as process:
        _read_line(process)
        yield


def document_of(config: ForeignConfig) -> dict[str, Any]:
    """The JSON that the scripts read; None is left out, as an absent member."""
    members = {
        "issuer": config.issuer,
        "client_id": config.client_id,
        "client_secret": config.client_secret,
        "redirect_uri": config.redirect_uri,
        "scope": config.scope,
        "resource": config.resource,
        "token_endpoint_auth_method": config.token_endpoint_auth_method,
        "id_token_signed_response_alg": config.id_token_signed_response_alg,
        "discovery": config.discovery,
        "dpop": config.dpop,
        "exchange_for": config.exchange_for,
        "registration": config.registration,
        "post_logout_redirect_uri": config.post_logout_redirect_uri,
        "response_mode": config.response_mode,
        "signing_jwk": config.signing_jwk,
        "decryption_jwk": config.decryption_jwk,
    }
    return {name: value for name, value in members.items() if value is not None}


@contextlib.contextmanager
def _script(name: str, document: Mapping[str, Any], config: ForeignConfig) -> Iterator[subprocess.Popen[str]]:
    project = node_project(FOLDER)
    environment = {
        **node_environment(),
        "FOREIGN_CONFIG": json.dumps(document),
        "LOOPBACK_NAMES": ",".join(config.loopback_names),
    }
    if config.ca_file is not None:
        environment["NODE_EXTRA_CA_CERTS"] = os.path.abspath(config.ca_file)
    command = [str(find_node()), "--import", "./loopback_names.js", name]
    with talking(command, folder=project, environment=environment) as process:
        yield process


@contextlib.contextmanager
def talking(command: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that speaks in lines of JSON, for as long as a test needs it."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watchdog = threading.Timer(SCRIPT_TIMEOUT_S, process.kill)
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def _read_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        process.wait(SCRIPT_TIMEOUT_S)
        stderr = process.stderr.read() if process.stderr else ""
        raise ForeignRefusal(f"the script ended without an answer: {stderr.strip()[-1500:]}")
    document: dict[str, Any] = json.loads(line)
    return document


def _refuse_errors(script: str, document: dict[str, Any]) -> dict[str, Any]:
    if "error" in document:
        raise ForeignRefusal(f"{script}: {document}")
    return document
