"""No secret in any log line, metric or column: every flow runs at DEBUG, and all that was written is searched."""

import base64
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlsplit

import pytest
from sqlalchemy import MetaData, select

from app.services.manage_clients import rotate_client_secret
from app.services.manage_grants import list_grants
from app.services.manage_users import set_password
from app.services.seals import read_kek
from app.storage.signing_keys import list_signing_keys
from tests.actors.browser import Browser, find_form
from tests.actors.http import Reply, send
from tests.actors.relying_party import Pending, RelyingParty, Tokens, basic
from tests.conftest import run_world
from tests.deployments import Account
from tests.patience import wait_until
from tests.world import World

WRONG_PASSWORD = "a wrong password that is one elsewhere"
NEW_PASSWORD = "the password that came after it"
API_SCOPE = "openid email photos.read"


class Witness(Browser):
    """A browser that remembers every secret that it ever held."""

    def __init__(self, world: World) -> None:
        super().__init__(world.issuer, world.server.url)
        self.secrets: set[str] = set()

    def _send(self, url: str, **request: Any) -> Reply:
        reply = super()._send(url, **request)
        self.secrets |= set(self.secret_cookies())
        for form in ("login-form", "account-form", "consent-form"):
            if f'id="{form}"' in reply.text:
                self.secrets.add(dict(find_form(reply, form).fields)["csrf_token"])
        if "location" in reply.headers:
            self.secrets |= set(parse_qs(urlsplit(reply.location).query).get("code", []))
        return reply


@pytest.fixture
def talkative_world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """A server that logs all that it can."""
    yield from run_world(tmp_path, database_url, log_level="DEBUG", rate_limits="off")


@pytest.fixture
def failing_world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """The same, whose database fails just before it would commit an exchange."""
    yield from run_world(
        tmp_path, database_url, log_level="DEBUG", rate_limits="off", failpoint="issue.before_commit:fail"
    )


# ----- What is searched, and for what -----


def variants(secret: bytes) -> set[bytes]:
    """A secret as it may have been written down."""
    # Base64 of a longer text that begins a byte or two before the secret shares only what lies between.
    encoded = {base64.b64encode(b"x" * shift + secret)[4 * bool(shift) : -4] for shift in (0, 1, 2)}
    forms = {secret, quote_plus(secret).encode(), secret.hex().encode(), json.dumps(secret.decode("latin-1")).encode()}
    return forms | {form for form in encoded if len(form) >= 16}


def find_secrets(haystacks: dict[str, bytes], wanted: set[bytes]) -> set[tuple[str, bytes]]:
    """Where which secret was found."""
    needles = [(secret, form) for secret in wanted for form in variants(secret)]
    return {(place, secret) for place, text in haystacks.items() for secret, form in needles if form in text}


def read_everything(world: World) -> dict[str, bytes]:
    """Every byte of log output, of metrics, and of every column of every table; of the file itself on SQLite."""
    found = {"log": world.server.log_path.read_bytes()}
    database = world.operator.deployment.database
    metadata = MetaData()
    metadata.reflect(database.engine)
    with database.reading() as connection:
        for table in metadata.sorted_tables:
            for column in table.columns:
                values = connection.execute(select(column)).scalars().all()
                found[f"{table.name}.{column.name}"] = b"\n".join(_to_bytes(value) for value in values)
    if database.is_sqlite:
        directory = Path(database.url.database or "").parent
        for file in directory.glob("*.db*"):
            found[file.name] = file.read_bytes()
    return found


def _to_bytes(value: object) -> bytes:
    if isinstance(value, bytes | memoryview):
        return bytes(value)
    return str(value).encode()


def private_keys(world: World) -> set[bytes]:
    """What the deployment itself must not lose: the halves of its keys."""
    deployment = world.operator.deployment
    kek = read_kek(Path(world.environment["TOKENHOUSE_KEYS_DIR"])).key
    found = {kek, base64.urlsafe_b64encode(kek)}
    with deployment.database.reading() as connection:
        rows = list_signing_keys(connection)
    for row in rows:
        assert row.sealed_private_jwk is not None
        opened = deployment.seals.unseal(
            "signing_keys", row.sealed_private_jwk, row.seal_key_id, table="signing_keys", row=row.kid
        )
        found.add(json.loads(opened)["d"].encode())
    return found


class Harvest:
    """What people and clients held in their hands while the flows ran."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.browsers: list[Witness] = []
        self.secrets: set[str] = {WRONG_PASSWORD, NEW_PASSWORD}

    def browser(self) -> Witness:
        self.browsers.append(Witness(self.world))
        return self.browsers[-1]

    def party(self, **metadata: Any) -> RelyingParty:
        party = self.world.relying_party(**metadata)
        if party.client_secret is not None:
            self.secrets |= {party.client_secret, basic(party.client_id, party.client_secret).removeprefix("Basic ")}
        return party

    def account(self) -> Account:
        account = self.world.operator.add_user(name="Ada Lovelace")
        self.secrets.add(account.password)
        return account

    def get_code(self, party: RelyingParty, account: Account, browser: Witness | None = None) -> tuple[str, Pending]:
        resource = self.world.operator.add_resource()
        code, pending = self.world.get_code(
            party, account, browser=browser or self.browser(), scope=API_SCOPE, resource=resource
        )
        self.secrets |= {code, pending.code_verifier}
        return code, pending

    def keep(self, tokens: Tokens) -> Tokens:
        for token in (tokens.access_token, tokens.id_token or ""):
            self.secrets |= {token, token.rpartition(".")[2]}
        return tokens

    def all(self) -> set[bytes]:
        held = self.secrets.union(*(browser.secrets for browser in self.browsers))
        found = {secret.encode() for secret in held if secret} | private_keys(self.world)
        assert all(len(secret) >= 16 for secret in found), "too short to be looked for, or to be a secret"
        return found


# ----- The flows -----


def run_good_flows(harvest: Harvest) -> None:
    world, account, browser = harvest.world, harvest.account(), harvest.browser()
    for method in ("client_secret_basic", "client_secret_post", "none"):
        party = harvest.party(token_endpoint_auth_method=method)
        code, pending = harvest.get_code(party, account, browser)
        harvest.keep(party.exchange(code, pending))
    party = harvest.party(id_token_signed_response_alg="ES256")
    tokens = harvest.keep(world.get_tokens(party, account))
    assert party.userinfo(tokens.access_token).status == 200
    code, pending = harvest.get_code(party, account, browser)
    rotated = rotate_client_secret(world.operator.deployment, party.client_id)
    harvest.secrets.add(rotated.client_secret)
    set_password(world.operator.deployment, account.username, NEW_PASSWORD)


def run_refused_flows(harvest: Harvest) -> None:
    world, account, party = harvest.world, harvest.account(), harvest.party()
    refuse_logins(harvest, account)
    code, pending = harvest.get_code(party, account)
    harvest.keep(party.exchange(code, pending))
    assert party.try_exchange(code, pending).status == 400
    code, pending = harvest.get_code(party, account)
    assert party.try_exchange(code, pending, code_verifier="v" * 43).status == 400
    thief = harvest.party(token_endpoint_auth_method="client_secret_post")
    code, pending = harvest.get_code(party, account)
    assert thief.try_exchange(code, pending).status == 400
    page = harvest.browser().get(party.begin(redirect_uri="https://evil.example/cb").url)
    assert page.status == 400
    tokens = harvest.keep(world.get_tokens(harvest.party(), account, scope=API_SCOPE, resource=_resource(world)))
    assert party.userinfo(tokens.access_token).status == 401
    assert party.userinfo(tokens.id_token or "").status == 401


def _resource(world: World) -> str:
    return world.operator.add_resource()


def refuse_logins(harvest: Harvest, account: Account) -> None:
    """A wrong password, and a password typed where the name belongs."""
    party, browser = harvest.party(), harvest.browser()
    page = browser.get(party.begin().url)
    assert browser.log_in(page, account.username, WRONG_PASSWORD).status == 200
    assert browser.log_in(page, account.password, WRONG_PASSWORD).status == 200
    consent = browser.log_in(page, account.username, account.password)
    assert party.read_answer(browser.consent(consent, allow=False))["error"] == "access_denied"


def put_secrets_in_wrong_places(harvest: Harvest) -> None:
    """Mistakes that real clients make."""
    world, account, party = harvest.world, harvest.account(), harvest.party()
    code, pending = harvest.get_code(party, account)
    secret = party.client_secret or ""
    swapped = basic(secret, party.client_id)
    harvest.secrets.add(swapped.removeprefix("Basic "))
    assert party.try_exchange(code, pending, headers={"Authorization": swapped}, client_id=None).status == 401
    assert party.try_exchange(code, pending, headers={}, client_id=secret).status == 401
    url = f"{world.url}/token?client_id={party.client_id}&client_secret={secret}&code={code}"
    assert send(url, method="POST", form={"grant_type": "authorization_code"}).status == 401
    assert party.try_exchange(code, pending, redirect_uri=f"{party.redirect_uri}?code={code}").status == 400
    assert party.try_exchange(code, pending, grant_type=code).status == 400
    tokens = harvest.keep(party.exchange(code, pending))
    assert send(f"{world.url}/userinfo?access_token={tokens.access_token}").status == 401
    assert party.try_exchange(tokens.access_token, pending).status == 400
    browser = harvest.browser()
    login = browser.get(party.begin(state=code).url)
    assert 'id="login-form"' in login.text
    browser.get(f"{world.issuer}/login?username={account.username}&password={quote_plus(account.password)}")
    browser.get(f"{world.issuer}/authorize?client_id={quote_plus(secret)}&redirect_uri=https://app.example/cb")


# ----- The searches -----


def test_no_secret_is_written_anywhere(talkative_world: World) -> None:
    harvest = Harvest(talkative_world)
    run_good_flows(harvest)
    run_refused_flows(harvest)
    marker = finish(talkative_world)
    metrics = send(f"{talkative_world.url}/metrics")
    assert metrics.status == 200
    talkative_world.server.stop()
    everything = {**read_everything(talkative_world), "metrics": metrics.body}
    assert_the_search_works(talkative_world, everything, marker)
    assert len(harvest.all()) > 60
    assert find_secrets(everything, harvest.all()) == set()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_secret_is_written_where_a_client_sent_it_in_the_wrong_place(talkative_world: World) -> None:
    harvest = Harvest(talkative_world)
    put_secrets_in_wrong_places(harvest)
    finish(talkative_world)
    talkative_world.server.stop()
    everything = read_everything(talkative_world)
    # A `state` comes back in the answer, so it is kept until then: whatever a client puts into it.
    everything.pop("authorization_transactions.request")
    files = {name: text for name, text in everything.items() if ".db" not in name}
    assert find_secrets(files, harvest.all()) == set()


def test_no_secret_is_written_when_the_database_fails(failing_world: World) -> None:
    harvest = Harvest(failing_world)
    account, party = harvest.account(), harvest.party()
    code, pending = harvest.get_code(party, account)
    assert party.try_exchange(code, pending).status == 503
    finish(failing_world)
    failing_world.server.stop()
    everything = read_everything(failing_world)
    assert b'"failure"' in everything["log"]
    assert b"issue_tokens.py" in everything["log"], "the log says where it failed"
    assert find_secrets(everything, harvest.all()) == set()


def finish(world: World) -> str:
    """Wait until what was told last has been written: log lines and refusals go out in batches."""
    marker = f"marker-{secrets.token_hex(8)}"
    send(f"{world.url}/token", method="POST", form={"grant_type": "authorization_code", "client_id": marker})

    def is_written() -> bool:
        return marker in world.server.log_text() and marker.encode() in read_everything(world)["audit_events.client_id"]

    wait_until(is_written)
    return marker


def assert_the_search_works(world: World, everything: dict[str, bytes], marker: str) -> None:
    """A search that finds nothing proves something only if it finds what is there."""
    account = world.operator.add_user()
    party = world.relying_party()
    fresh = read_everything(world)
    for place, value in (("users.sub", account.sub), ("clients.client_id", party.client_id)):
        assert find_secrets(fresh, {value.encode()}) >= {(place, value.encode())}
    assert find_secrets(everything, {marker.encode()}) >= {
        ("log", marker.encode()),
        ("audit_events.client_id", marker.encode()),
    }
    assert b"token.issued" in everything["log"]
    assert len(everything) > 100
    assert list_grants(world.operator.deployment)
