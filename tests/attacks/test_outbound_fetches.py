"""attacks.md 97, 98: every URL that a client can set, through the product's own paths, and where none may lead.

The server runs in this process, behind a name service that the test commands, so that the interpreter itself reports
every connection that it begins. What is refused when it is registered is refused early; what is not, before a
connection.
"""

import functools
import io
import json
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete
from werkzeug.serving import WSGIRequestHandler, make_server

import app.services.deployment
from app.services.fetch_document import DocumentFetcher
from app.services.manage_clients import RegisteredClient
from app.services.manage_outbox import list_messages
from app.services.manage_users import disable_user
from app.specs.protocol_error import InvalidClientMetadata
from app.specs.rfc4648_base64url import encode_base64url
from app.specs.rfc7523_client_assertion import ASSERTION_TYPE
from app.storage.tables import outbox
from tests.actors.http import Reply, send
from tests.actors.registrant import register
from tests.actors.relying_party import RelyingParty
from tests.clock import MovableClock
from tests.deployments import Operator, make_deployment, make_environment
from tests.in_process import open_application
from tests.patience import wait_until
from tests.server import free_port
from tests.services.fetching import Switchboard
from tests.services.other_host import Names, Network, names, watch_network
from tests.world import World

PUBLIC = "93.184.216.34"
# Nothing of the sort may be connected to, whoever asks and however it is written.
NOWHERE = [
    "https://127.0.0.1{path}",
    "https://127.0.0.1:8443{path}",
    "https://127.1{path}",
    "https://2130706433{path}",
    "https://0x7f000001{path}",
    "https://0x7f.0.0.1{path}",
    "https://0177.0.0.1{path}",
    "https://0.0.0.0{path}",
    "https://[::1]{path}",
    "https://[::]{path}",
    "https://[::ffff:10.0.0.1]{path}",
    "https://[::ffff:a00:1]{path}",
    "https://10.0.0.1{path}",
    "https://169.254.169.254{path}",
    "https://100.64.0.1{path}",
    "https://[64:ff9b::a00:1]{path}",
    "https://[2002:a00:1::]{path}",
    "https://[2001::1]{path}",
    "https://[fd00:ec2::254]{path}",
    "https://[fe80::1%25eth0]{path}",
    "http://127.0.0.1{path}",
    "http://rp.example{path}",
    "https://rp.example:22{path}",
    "https://rp.example:25{path}",
    "https://user@rp.example{path}",
    "https://rp.example@127.0.0.1{path}",
    "https://rp.example\\@127.0.0.1{path}",
    "https:/127.0.0.1{path}",
    "file:///etc/passwd?{path}",
    "gopher://127.0.0.1{path}",
    "ftp://rp.example{path}",
    "javascript:alert(1)//{path}",
    "//127.0.0.1{path}",
]
# What a name leads to, lookup by lookup.
NAMES = {
    "a private address": Names([("10.0.0.1",)]),
    "this machine": Names([("127.0.0.1",)]),
    "the metadata of a cloud": Names([("169.254.169.254",)]),
    "an embedded address": Names([("::ffff:127.0.0.1",)]),
    "a public and a private one": Names([(PUBLIC, "10.0.0.1")]),
    "a private and a public one": Names([("::1", PUBLIC)]),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """Where the server listens, as `World` asks for it."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """The server in this process, and the name service that it asks."""

    world: World
    port: int
    switchboard: Switchboard

    @property
    def operator(self) -> Operator:
        return self.world.operator


def whole(application: Any) -> Any:
    """The application behind a host that has the whole body: this one's stream has no end of its own."""

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        return application(environ, start_response)

    return answer


class Quiet(WSGIRequestHandler):
    def log(self, *_arguments: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    directory: Path = tmp_path_factory.mktemp("inside")
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    environment = make_environment(
        issuer=issuer,
        database_url=f"sqlite:///{directory}/tokenhouse.db",
        directory=directory,
        rate_limits="off",
        registration="open",
        profile="openid",
    )
    settings = make_deployment(environment)
    clock, switchboard = MovableClock(directory / "clock"), Switchboard()
    fetcher = functools.partial(DocumentFetcher, resolve=switchboard)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app.services.deployment, "DocumentFetcher", fetcher)
        stack = ExitStack()
        application = stack.enter_context(open_application(settings, clock=clock))
    server = make_server("127.0.0.1", port, whole(application), threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    operator = Operator(settings, clock=clock)
    world = World(
        issuer=issuer,
        server=Reached(url=issuer),  # type: ignore[arg-type]
        operator=operator,
        clock=clock,
        environment=environment,
    )
    try:
        yield Inside(world=world, port=port, switchboard=switchboard)
    finally:
        server.shutdown()
        server.server_close()
        stack.close()
        operator.close()


# ----- The paths through the product, one per URL that a client can set -----


def add_client(inside: Inside, **metadata: object) -> RegisteredClient | None:
    """The client, or None where the URL does not even get so far."""
    try:
        return inside.operator.add_client(**metadata)
    except InvalidClientMetadata:
        return None


def forged(header: dict[str, object]) -> str:
    """Something that looks like a JWS, for whose key somebody would have to look."""
    claims = {"iss": "x", "sub": "x", "aud": "x", "jti": secrets.token_hex(8), "exp": 2**40}
    return ".".join(encode_base64url(json.dumps(part).encode()) for part in (header, claims)) + "." + "A" * 86


def use_jwks_uri(inside: Inside, urls: Sequence[str]) -> None:
    for url in urls:
        client = add_client(inside, token_endpoint_auth_method="private_key_jwt", jwks_uri=url)
        if client is None:
            continue
        named = {"iss": client.client_id, "sub": client.client_id, "aud": inside.world.issuer}
        claims = {**named, "jti": secrets.token_hex(8)}
        now_s = inside.world.clock() // 1000
        parts = ({"alg": "ES256", "kid": "k"}, {**claims, "iat": now_s, "exp": now_s + 60})
        assertion = ".".join(encode_base64url(json.dumps(part).encode()) for part in parts) + "." + "A" * 86
        form = {
            "grant_type": "authorization_code",
            "code": "x",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
        }
        reply = send(f"{inside.world.url}/token", method="POST", form=form)
        assert (reply.status, reply.json()["error"]) == (401, "invalid_client")


def use_sector_identifier_uri(inside: Inside, urls: Sequence[str]) -> None:
    for url in urls:
        reply = register(inside.world.url, subject_type="pairwise", sector_identifier_uri=url)
        assert (reply.status, reply.json()["error"]) == (400, "invalid_client_metadata"), url


def use_logo_uri(inside: Inside, urls: Sequence[str]) -> None:
    for url in urls:
        client = add_client(inside, logo_uri=url)
        if client is not None:
            assert send(f"{inside.world.url}/client-logo/{client.client_id}").status == 404


def use_request_uri(inside: Inside, urls: Sequence[str]) -> None:
    for url in urls:
        client = add_client(inside, request_uris=[url])
        if client is None:
            continue
        party = inside.world.relying_party(client)
        reply = inside.world.browser().send_once(party.begin(request_uri=url).url)
        assert_refused(reply, party, "invalid_request_uri")


def use_client_document(inside: Inside, urls: Sequence[str]) -> None:
    for url in urls:
        party = inside.world.relying_party(inside.operator.add_client())
        reply = inside.world.browser().send_once(party.begin(client_id=url).url)
        assert (reply.status, "location" in reply.headers) == (400, False), url


def use_backchannel_logout_uri(inside: Inside, urls: Sequence[str]) -> None:
    """One person, logged in at a client for each URL, who is then shut out of all of them."""
    account, browser = inside.operator.add_user(), inside.world.browser()
    told = []
    for url in urls:
        client = add_client(inside, backchannel_logout_uri=url, policy={"skip_consent": True})
        if client is not None:
            inside.world.get_code(inside.world.relying_party(client), account, browser=browser)
            told.append(client.client_id)
    disable_user(inside.operator.deployment, account.username)

    def failed() -> set[str | None]:
        messages = list_messages(inside.operator.deployment)
        return {message.client_id for message in messages if message.last_error is not None}

    wait_until(lambda: set(told) <= failed(), within_s=60)
    # Or they would be tried again, in the middle of another test.
    inside.operator.deployment.database.transact(lambda connection: connection.execute(delete(outbox)))


def use_software_statement(inside: Inside, urls: Sequence[str]) -> None:
    """Its keys are the operator's; what it says about where they are is nothing to go by."""
    for url in urls:
        header = {"alg": "ES256", "kid": "k", "jku": url, "x5u": url}
        reply = register(inside.world.url, software_statement=forged(header))
        assert reply.status == 400, url


def assert_refused(reply: Reply, party: RelyingParty, error: str) -> None:
    if reply.status == 400:
        assert f'data-error="{error}"' in reply.text
    else:
        assert party.read_answer(reply)["error"] == error


USES: dict[str, Callable[[Inside, Sequence[str]], None]] = {
    "jwks_uri": use_jwks_uri,
    "sector_identifier_uri": use_sector_identifier_uri,
    "logo_uri": use_logo_uri,
    "request_uri": use_request_uri,
    "client_id (metadata document)": use_client_document,
    "backchannel_logout_uri": use_backchannel_logout_uri,
    "software_statement": use_software_statement,
}
EVERY_USE = pytest.mark.parametrize("use", list(USES.values()), ids=list(USES))


def begun(inside: Inside, network: Network) -> list[tuple[str, int]]:
    """Every connection but the tests' own to the server."""
    return [address for address in network.connected if address != ("127.0.0.1", inside.port)]


def a_path() -> str:
    return f"/{secrets.token_hex(6)}"


@EVERY_USE
def test_97_no_url_that_a_client_sets_leads_inside(
    inside: Inside, use: Callable[[Inside, Sequence[str]], None]
) -> None:
    inside.switchboard.resolve = names(PUBLIC)
    with watch_network() as network:
        use(inside, [url.format(path=a_path()) for url in NOWHERE])
    assert begun(inside, network) == []


@EVERY_USE
@pytest.mark.parametrize("leads_to", list(NAMES))
def test_98_no_name_that_a_client_sets_leads_inside(
    inside: Inside, use: Callable[[Inside, Sequence[str]], None], leads_to: str
) -> None:
    inside.switchboard.resolve = NAMES[leads_to]
    with watch_network() as network:
        use(inside, [f"https://rp.example{a_path()}"])
    assert begun(inside, network) == []


@EVERY_USE
def test_98_a_name_that_changes_after_the_check_leads_where_it_was_checked(
    inside: Inside, use: Callable[[Inside, Sequence[str]], None]
) -> None:
    """Rebinding: one lookup, and the connection goes to that very address (which nobody reaches from these tests)."""
    rebinding = Names([(PUBLIC,), ("127.0.0.1",), ("10.0.0.1",)])
    inside.switchboard.resolve = rebinding
    with watch_network() as network:
        use(inside, [f"https://rp.example{a_path()}"])
    fetches = 0 if use is use_software_statement else 1
    assert begun(inside, network) == [(PUBLIC, 443)] * fetches
    assert rebinding.asked == [("rp.example", 443)] * fetches
