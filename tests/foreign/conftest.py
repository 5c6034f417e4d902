"""One server over TLS for the clients of others, on each database."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.databases import BACKENDS, migrated_database_url
from tests.deployments import Account, Operator, make_deployment, make_environment
from tests.foreign.node_clients import FOLDER, ForeignConfig
from tests.foreign.person import Person
from tests.foreign.python_scripts import LOCK
from tests.foreign.tls_server import HOST, Certificate, make_certificate, serving_over_tls
from tests.node_runtime import NodeUnavailable, node_project
from tests.python_environment import EnvironmentUnavailable, python_environment
from tests.server import free_port

NODE_IS_MISSING = "the clients written for Node cannot be installed here: npm's registry or PyPI is out of reach"
REDIRECT_URI = "https://prints.example/callback"


def require_node(folder: Path = FOLDER) -> None:
    """Skips the test, or fails it with CI=true, where Node or the locked npm packages cannot be had."""
    trouble = _find_trouble_with_node(folder)
    if trouble is not None:
        assert os.environ.get("CI") != "true", f"{NODE_IS_MISSING}: {trouble}"
        pytest.skip(f"{NODE_IS_MISSING}: {trouble}")


def require_python() -> None:
    """The same for the clients in Python that have an environment of their own."""
    trouble = _find_trouble_with_python()
    if trouble is not None:
        assert os.environ.get("CI") != "true", trouble
        pytest.skip(trouble)


@cache
def _find_trouble_with_python() -> str | None:
    try:
        python_environment(LOCK)
    except EnvironmentUnavailable as error:
        return str(error)
    return None


@cache
def _find_trouble_with_node(folder: Path) -> str | None:
    try:
        node_project(folder)
    except (NodeUnavailable, OSError, subprocess.SubprocessError) as error:
        return str(error)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The running server, who operates it, and what a client is told about it."""

    issuer: str
    operator: Operator
    certificate: Certificate

    @property
    def ca_file(self) -> str:
        """What clients are told to trust."""
        return str(self.certificate.chain)

    def unregistered(self, *, scope: str) -> ForeignConfig:
        """The configuration of a client that still has to register itself."""
        return ForeignConfig(
            issuer=self.issuer,
            client_id="",
            client_secret=None,
            redirect_uri=REDIRECT_URI,
            scope=scope,
            post_logout_redirect_uri="https://prints.example/goodbye",
            ca_file=self.ca_file,
            loopback_names=(HOST,),
        )

    def add_account(self) -> Account:
        """Somebody with a name and an address."""
        return self.operator.add_user(name="Ada Lovelace")

    def person(self, account: Account) -> Person:
        """Them, at a fresh browser."""
        return Person(account, issuer=self.issuer, ca_file=self.ca_file)

    def config(
        self, *, scope: str, resource: str | None = None, discovery: str = "oidc", **metadata: Any
    ) -> ForeignConfig:
        """A new client's configuration; `metadata` is its registration's. It may not be laxer than OAuth 2.1 is."""
        registration = {"redirect_uris": [REDIRECT_URI], "policy": {"security_profile": "oauth21"}, **metadata}
        client = self.operator.add_client(**registration)
        return ForeignConfig(
            issuer=self.issuer,
            client_id=client.client_id,
            client_secret=client.client_secret,
            redirect_uri=registration["redirect_uris"][0],
            scope=scope,
            resource=resource,
            token_endpoint_auth_method=metadata.get("token_endpoint_auth_method", "client_secret_basic"),
            id_token_signed_response_alg=metadata.get("id_token_signed_response_alg", "RS256"),
            discovery=discovery,
            dpop=metadata.get("dpop_bound_access_tokens", False),
            post_logout_redirect_uri=next(iter(metadata.get("post_logout_redirect_uris", ())), None),
            ca_file=self.ca_file,
            loopback_names=(HOST,),
        )


@pytest.fixture(scope="session", params=BACKENDS)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """`tokenhouse serve` over TLS; tests share it, so each makes its own people, clients and APIs."""
    folder = tmp_path_factory.mktemp("foreign")
    certificate = make_certificate(folder)
    port = free_port()
    issuer = f"https://{HOST}:{port}"
    with migrated_database_url(request.param, folder) as database_url:
        # Clients that make proofs have to come back with a nonce; the others notice nothing of it.
        environment = make_environment(
            issuer=issuer,
            database_url=database_url,
            directory=folder,
            dpop_nonce="required",
            registration="open",
            profile="openid",
        )
        operator = Operator(make_deployment(environment))
        try:
            with serving_over_tls(environment, certificate, port=port, log_path=folder / "server.log"):
                yield House(issuer=issuer, operator=operator, certificate=certificate)
        finally:
            operator.close()
