"""The table of thieves in SECURITY.md, row by row: what each of them has in hand, tried at every door."""

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from app.services.deployment import DeploymentError, open_deployment
from app.services.manage_keys import revoke_signing_key
from app.services.mint_secret import mint_secret
from app.services.seals import KEK_FILE, Bearer, SealError, Seals, make_kek, read_kek
from app.settings import load_settings
from app.specs.protocol_error import InvalidToken
from app.specs.rfc7515_jose import sign_jws
from app.specs.rfc9068_access_token import build_claims
from app.storage import changes
from app.storage.clients import find_client, insert_client_secret
from app.storage.database import Connection
from app.verifier import AccessTokenVerifier
from tests.actors.browser import Browser
from tests.actors.http import send
from tests.actors.machine import Machine
from tests.actors.refreshing import refresh_token_of, refreshing_party
from tests.actors.relying_party import Pending, RelyingParty, Tokens, basic
from tests.attacks.thieves_loot import dump_database, dump_text, loot_of, values_of, words_of
from tests.conftest import run_world
from tests.databases import BACKENDS, migrated_database_url
from tests.deployments import PASSWORD, REAL_HASH, Account
from tests.patience import wait_until
from tests.world import World


@dataclass(frozen=True, kw_only=True)
class Victim:
    """A person in the middle of things: logged in, with a code and a transaction that wait, and tokens."""

    account: Account
    browser: Browser
    party: RelyingParty
    resource: str
    code: str
    pending: Pending
    transaction_id: str
    transaction_cookie: str
    tokens: Tokens
    spent_refresh_token: str
    machine: Machine
    opaque_token: str

    def secrets(self) -> list[str]:
        """Everything that the browser and the client hold and nobody else should."""
        held = [self.code, self.pending.code_verifier, self.tokens.access_token, self.tokens.id_token or "", PASSWORD]
        held += [self.tokens.refresh_token or "", self.spent_refresh_token, self.opaque_token]
        return [*held, self.party.client_secret or "", *self.browser.secret_cookies()]


@pytest.fixture(scope="module", params=BACKENDS)
def own_world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server of one's own: the loot is this deployment's and nobody else's."""
    directory = tmp_path_factory.mktemp("thieves")
    with migrated_database_url(request.param, directory) as database_url:
        yield from run_world(directory, database_url, rate_limits="off", log_level="DEBUG", argon2=REAL_HASH)


@pytest.fixture
def fresh_world(tmp_path: Path, sqlite_url: str) -> Iterator[World]:
    """One in which little has happened yet, for thieves who try everything at every door."""
    yield from run_world(tmp_path, sqlite_url, rate_limits="off", log_level="DEBUG")


@pytest.fixture
def victim(own_world: World) -> Victim:
    return make_victim(own_world)


def make_victim(world: World) -> Victim:
    account, resource = world.operator.add_user(name="Ada"), world.operator.add_resource()
    party, browser = refreshing_party(world), world.browser()
    asked = {"scope": "openid profile photos.read offline_access", "resource": resource}
    code, pending = world.get_code(party, account, browser=browser, **asked)
    spent_refresh_token = refresh_token_of(party.exchange(code, pending))
    tokens = party.refresh(spent_refresh_token)
    code, pending = world.get_code(party, account, browser=browser, **asked)
    page = browser.send_once(party.begin(prompt="login", **asked).url)
    transaction_id = page.location.rpartition("transaction=")[2]
    (cookie,) = (value for name, value in browser.cookies.items() if transaction_id in name)
    machine = world.machine(policy={"resources": [world.operator.add_resource(access_token_format="opaque")]})
    return Victim(
        account=account,
        browser=browser,
        party=party,
        resource=resource,
        code=code,
        pending=pending,
        transaction_id=transaction_id,
        transaction_cookie=cookie,
        tokens=tokens,
        spent_refresh_token=spent_refresh_token,
        machine=machine,
        opaque_token=machine.get_token(scope="photos.read").access_token,
    )


# ----- The doors -----


def opens_as_code(victim: Victim, loot: str) -> bool:
    """With the client's own secret and the right verifier beside it."""
    return victim.party.try_exchange(loot, victim.pending).status == 200


def opens_as_refresh_token(victim: Victim, loot: str) -> bool:
    """With the client's own secret beside it."""
    return victim.party.try_refresh(loot).status == 200


def opens_as_client_secret(victim: Victim, loot: str) -> bool:
    """A refusal of the code instead of the client would mean that the client was believed."""
    headers = {"Authorization": basic(victim.party.client_id, loot)}
    reply = victim.party.try_exchange("th_ac_none", victim.pending, headers=headers)
    return reply.json()["error"] != "invalid_client"


def opens_as_token(victim: Victim, loot: str) -> bool:
    return victim.party.userinfo(loot).status == 200


def opens_as_opaque_token(victim: Victim, loot: str) -> bool:
    """Whoever it belongs to could look into it and use it."""
    return victim.machine.introspect(loot).json()["active"] is True


def opens_as_browser_cookie(world: World, victim: Victim, loot: str) -> bool:
    """Single sign-on would answer with a code."""
    (name,) = (name for name in victim.browser.cookies if "browser" in name)
    thief = world.browser()
    thief.cookies[name] = loot
    asked = victim.party.begin(scope="openid photos.read", resource=victim.resource)
    return "/login" not in thief.send_once(asked.url).location


def opens_as_transaction_cookie(world: World, victim: Victim, loot: str) -> bool:
    (name,) = (name for name in victim.browser.cookies if victim.transaction_id in name)
    thief = world.browser()
    thief.cookies[name] = loot
    page = thief.send_once(f"{world.issuer}/login?transaction={victim.transaction_id}")
    return 'id="login-form"' in page.text


def doors_that_open(world: World, victim: Victim, loot: str) -> list[str]:
    """The names of those that let the thief in."""
    sendable = loot.isascii() and loot.isprintable()
    tried = {
        "client secret": opens_as_client_secret(victim, loot),
        "refresh token": opens_as_refresh_token(victim, loot),
        "token": sendable and opens_as_token(victim, loot),
        "opaque token": opens_as_opaque_token(victim, loot),
        "browser cookie": sendable and ";" not in loot and opens_as_browser_cookie(world, victim, loot),
        "transaction cookie": sendable and ";" not in loot and opens_as_transaction_cookie(world, victim, loot),
    }
    return [door for door, is_open in tried.items() if is_open]


def check_doors_work(world: World, victim: Victim) -> None:
    """Each door opens to its owner, so a refusal of the thief means something. A code lives too short to wait."""
    browser_cookie = next(value for name, value in victim.browser.cookies.items() if "browser" in name)
    assert opens_as_browser_cookie(world, victim, browser_cookie)
    assert opens_as_transaction_cookie(world, victim, victim.transaction_cookie)
    assert opens_as_client_secret(victim, victim.party.client_secret or "")
    assert opens_as_refresh_token(victim, victim.tokens.refresh_token or "")
    assert opens_as_opaque_token(victim, victim.machine.get_token().access_token)
    code, pending = world.get_code(victim.party, victim.account, browser=victim.browser, scope="openid")
    assert opens_as_token(victim, victim.party.exchange(code, pending).access_token)


# ----- The database -----


@pytest.mark.timeout(300)
def test_no_value_of_a_stolen_database_opens_anything(fresh_world: World) -> None:
    victim = make_victim(fresh_world)
    loot = loot_of(dump_database(fresh_world))
    assert len(loot) > 200
    # The code first, while the one whose digest lies there is alive.
    assert [value for value in loot if opens_as_code(victim, value)] == []
    assert opens_as_code(victim, victim.code)
    opened = {value: doors for value in loot if (doors := doors_that_open(fresh_world, victim, value))}
    assert opened == {}
    check_doors_work(fresh_world, victim)


def test_a_stolen_database_and_a_spent_refresh_token_do_not_give_the_living_one(own_world: World) -> None:
    victim = make_victim(own_world)
    (row,) = (
        row
        for row in dump_database(own_world)["refresh_tokens"]
        if row["digest"] in own_world.operator.deployment.seals.digests("rt", victim.spent_refresh_token)
    )
    # While a lost answer may be asked for the living token lies there sealed. What opens it is the spent token together
    # with a key that is not in the database: this server opens it, and whatever lies in the dump does not.
    sealed, place = bytes(row["sealed_successor"]), f"{row['grant_id']}\0{bytes(row['digest']).hex()}"
    bearer = Bearer(secret_type="rt", secret=victim.spent_refresh_token, digest_key_id=row["digest_key_id"])
    opened = own_world.operator.deployment.seals.unseal_for_bearer(bearer, sealed, table="refresh_tokens", row=place)
    assert (victim.tokens.refresh_token or "-").encode() in opened
    keys = {bytes(value) for value in values_of(dump_database(own_world)) if isinstance(value, bytes | memoryview)}
    keys |= {str(value).encode() for value in values_of(dump_database(own_world))} | {b""}
    assert len(keys) > 100
    for key in keys:
        thief = Seals.__new__(Seals)
        thief._digest_keys = ((row["digest_key_id"], key),)
        with pytest.raises(SealError):
            thief.unseal_for_bearer(bearer, sealed, table="refresh_tokens", row=place)

    # Once the living one has been used the copy is gone, so that old dumps and old tokens open no chain.
    victim.party.refresh(victim.tokens.refresh_token)
    (row,) = (other for other in dump_database(own_world)["refresh_tokens"] if other["digest"] == row["digest"])
    assert row["sealed_successor"] is None
    assert victim.party.try_refresh(victim.spent_refresh_token).json()["error"] == "invalid_grant"


def test_no_secret_lies_in_the_database(own_world: World, victim: Victim) -> None:
    lying = dump_text(dump_database(own_world))
    assert victim.account.sub in lying  # the search finds what is there
    for secret in victim.secrets():
        assert secret not in lying
        # The random part, or the signature, would do as well as the whole.
        assert secret.rpartition(".")[2][-40:] not in lying


def test_a_stolen_password_hash_is_no_password_and_is_slow_to_guess(own_world: World, victim: Victim) -> None:
    (row,) = (row for row in dump_database(own_world)["users"] if row["sub"] == victim.account.sub)
    assert str(row["password_hash"]).startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    browser = own_world.browser()
    page = browser.get(victim.party.begin(scope="openid").url)
    assert 'id="login-form"' in browser.log_in(page, victim.account.username, row["password_hash"]).text


# ----- The database, with the right to write -----


def test_who_can_write_the_database_cannot_make_a_secret_that_counts(own_world: World, victim: Victim) -> None:
    secret = mint_secret("cs")
    message = f"cs\0{secret}".encode()
    key_ids = [row["key_id"] for row in dump_database(own_world)["sealed_keys"] if row["purpose"] == "digest"]
    # Everything that can be computed without the key that lies sealed beside it.
    digests = [
        hashlib.sha256(secret.encode()).digest(),
        hashlib.sha256(message).digest(),
        *(hmac.digest(key, message, "sha256") for key in (b"\0" * 32, key_ids[0].encode(), b"cs")),
    ]

    def write(connection: Connection) -> None:
        changes.bump(connection, "clients")
        row = find_client(connection, victim.party.client_id)
        assert row is not None
        for digest in digests:
            insert_client_secret(connection, row.id, digest=digest, digest_key_id=key_ids[0], created_at=0)

    own_world.operator.deployment.database.transact(write)
    assert opens_as_client_secret(victim, victim.party.client_secret or "")
    assert opens_as_opaque_token(victim, victim.machine.get_token().access_token)
    time_is_up = time.monotonic() + 1.5  # by then every server has seen the change
    while time.monotonic() < time_is_up:
        assert not opens_as_client_secret(victim, secret)


def alter(statement: str, connection: Connection) -> None:
    connection.execute(text(statement))


def test_a_sealed_key_that_was_moved_or_altered_does_not_open(tmp_path: Path) -> None:
    for damage in (
        "UPDATE signing_keys SET sealed_private_jwk = (SELECT other.sealed_private_jwk FROM signing_keys other"
        " WHERE other.alg = 'ES256' AND other.state = 'standby') WHERE alg = 'ES256' AND state = 'active'",
        "UPDATE sealed_keys SET sealed_key = (SELECT other.sealed_key FROM sealed_keys other"
        " WHERE other.purpose = 'digest') WHERE purpose = 'signing_keys'",
    ):
        directory = tmp_path / str(time.monotonic_ns())
        directory.mkdir()
        for world in run_world(directory, f"sqlite:///{directory}/tokenhouse.db"):
            world.server.stop()
            world.operator.deployment.database.transact(
                lambda connection, damage=damage: connection.execute(text(damage))
            )
            with pytest.raises(DeploymentError):
                open_deployment(load_settings(world.environment))


# ----- The key-encryption key, the backup -----


def test_the_key_encryption_key_alone_opens_nothing(own_world: World, victim: Victim) -> None:
    kek = read_kek(load_settings(own_world.environment).keys_dir)
    written = (load_settings(own_world.environment).keys_dir / KEK_FILE).read_text().strip()
    for loot in (written, kek.key.hex(), written.rpartition(":")[2], kek.fingerprint):
        assert doors_that_open(own_world, victim, loot) == []
    check_doors_work(own_world, victim)


def test_a_backup_without_the_key_does_not_start(own_world: World, tmp_path: Path) -> None:
    settings = {**own_world.environment, "TOKENHOUSE_KEYS_DIR": str(tmp_path / "keys")}
    with pytest.raises(DeploymentError, match="the key-encryption key is missing"):
        open_deployment(load_settings(settings))
    assert not (tmp_path / "keys" / KEK_FILE).exists()
    make_kek(tmp_path / "keys")
    with pytest.raises(DeploymentError, match="not the key-encryption key of this database"):
        open_deployment(load_settings(settings))


def test_a_backup_holds_no_personal_data_of_the_audit_trail_in_the_clear(own_world: World, victim: Victim) -> None:
    events = dump_database(own_world)["audit_events"]
    # Its own name stands in the trail, and it lives at that address.
    lying = dump_text({"audit_events": events}).replace(own_world.issuer, "")
    assert any(row["sealed_personal"] for row in events)
    assert victim.account.username not in lying
    assert "127.0.0.1" not in lying


# ----- The log -----


@pytest.mark.timeout(300)
def test_nothing_in_a_stolen_log_opens_anything(fresh_world: World) -> None:
    victim = make_victim(fresh_world)
    wait_until(lambda: '"/token"' in fresh_world.server.log_text())  # lines are written in batches
    log = fresh_world.server.log_text()
    for secret in victim.secrets():
        assert secret not in log
    words = words_of(log)
    assert [word for word in words if opens_as_code(victim, word)] == []
    assert opens_as_code(victim, victim.code)
    assert {word: doors for word in words if (doors := doors_that_open(fresh_world, victim, word))} == {}
    check_doors_work(fresh_world, victim)


# ----- One resource server -----


def test_a_token_taken_from_one_api_works_at_no_other_and_not_here(own_world: World, victim: Victim) -> None:
    token, other = victim.tokens.access_token, own_world.operator.add_resource()
    at_home = AccessTokenVerifier(issuer=own_world.issuer, audience=victim.resource)
    assert at_home.verify(token, scope="photos.read").subject == victim.account.sub
    with pytest.raises(InvalidToken):
        AccessTokenVerifier(issuer=own_world.issuer, audience=other).verify(token)
    assert doors_that_open(own_world, victim, token) == []
    assert not opens_as_code(victim, token)


def test_a_token_taken_from_one_api_ends_by_itself_within_minutes(own_world: World, victim: Victim) -> None:
    claims = victim.tokens.claims
    assert claims["exp"] - claims["iat"] <= 300
    late = AccessTokenVerifier(issuer=own_world.issuer, audience=victim.resource, clock=lambda: time.time() + 300 + 11)
    with pytest.raises(InvalidToken):
        late.verify(victim.tokens.access_token)


# ----- One node -----


def test_what_a_thief_of_one_node_signs_is_worthless_after_the_drill(own_world: World, victim: Victim) -> None:
    deployment = own_world.operator.deployment
    stolen = deployment.get_signing_key("ES256")
    now_s = int(time.time())
    claims = build_claims(
        issuer=own_world.issuer,
        subject=victim.account.sub,
        audience=victim.resource,
        client_id=victim.party.client_id,
        scope="photos.read",
        issued_at_s=now_s,
        expires_at_s=now_s + 3600,
        jti="invented",
    )
    forged = sign_jws({"typ": "at+jwt"}, json.dumps(claims).encode(), stolen, "ES256")
    # The row of the table is honest: until the key is revoked, an offline verifier cannot know better.
    before = AccessTokenVerifier(issuer=own_world.issuer, audience=victim.resource)
    assert before.verify(forged).subject == victim.account.sub
    revoke_signing_key(deployment, stolen.kid)

    def is_refused() -> bool:
        after = AccessTokenVerifier(issuer=own_world.issuer, audience=victim.resource)
        try:
            after.verify(forged)
        except InvalidToken:
            return True
        return False

    wait_until(is_refused)
    # The tokens of honest people are signed by the standby, and everybody goes on.
    code, pending = own_world.get_code(
        victim.party, victim.account, browser=victim.browser, scope="photos.read", resource=victim.resource
    )
    fresh = victim.party.exchange(code, pending).access_token
    assert AccessTokenVerifier(issuer=own_world.issuer, audience=victim.resource).verify(fresh)


def test_a_token_that_a_stolen_key_signs_for_the_server_itself_is_refused(own_world: World, victim: Victim) -> None:
    stolen = own_world.operator.deployment.get_signing_key("ES256")
    now_s = int(time.time())
    claims = build_claims(
        issuer=own_world.issuer,
        subject=victim.account.sub,
        audience=f"{own_world.issuer}/userinfo",
        client_id=victim.party.client_id,
        scope="openid",
        issued_at_s=now_s,
        expires_at_s=now_s + 300,
        jti="AAAAAAAAAAAAAAAAAAAAAA",
    )
    forged = sign_jws({"typ": "at+jwt"}, json.dumps(claims).encode(), stolen, "ES256")
    reply = send(f"{own_world.url}/userinfo", headers={"Authorization": f"Bearer {forged}"})
    assert reply.status == 401


def test_the_key_encryption_key_is_readable_by_its_owner_only(own_world: World) -> None:
    keys_dir = load_settings(own_world.environment).keys_dir
    assert (keys_dir / KEK_FILE).stat().st_mode & 0o777 == 0o400
