"""What the doctor finds wrong, one thing at a time."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.services.clock import system_clock
from app.services.doctor import examine
from app.services.doctor_connection import examine_tls
from app.services.findings import Finding
from app.settings import Settings, load_settings
from app.storage.database import Database
from tests.actors.signing_key import SigningKey, jwk_set
from tests.databases import BACKENDS, migrated_database_url
from tests.deployments import REAL_HASH, Operator, make_deployment, make_environment
from tests.services.fetching import JSON
from tests.services.other_host import LOOPBACK, CertificateAuthority, OtherHost, answer

DAY_MS = 86_400_000


@pytest.fixture(params=BACKENDS)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    with migrated_database_url(request.param, tmp_path) as url:
        environment = make_environment(
            issuer="https://auth.example", database_url=url, directory=tmp_path, trusted_proxies="::1"
        )
        yield make_deployment(environment, argon2=REAL_HASH)


def findings(settings: Settings, *, now: int | None = None) -> dict[str, Finding]:
    found = examine(settings, now=system_clock() if now is None else now)
    return {finding.check: finding for finding in found}


def wrong(settings: Settings, **arguments: Any) -> dict[str, str]:
    found = findings(settings, **arguments)
    return {check: finding.status for check, finding in found.items() if finding.status != "ok"}


def change(settings: Settings, statement: str, **values: Any) -> None:
    database = Database(settings.database_url.get_secret_value(), pool_size=1)
    database.transact(lambda connection: connection.execute(text(statement), values))
    database.dispose()


def test_a_fresh_deployment_has_nothing_wrong(settings: Settings) -> None:
    assert wrong(settings) == {}


def test_an_address_for_a_name_has_no_passkeys(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/tokenhouse.db"
    environment = make_environment(issuer="http://127.0.0.1:8400", database_url=url, directory=tmp_path)
    found = {finding.check: finding.status for finding in examine(load_settings(environment), now=system_clock())}
    assert found["passkeys"] == "warning"
    named = load_settings({**environment, "TOKENHOUSE_ISSUER": "http://localhost:8400"})
    assert "passkeys" not in {finding.check for finding in examine(named, now=system_clock())}


def test_a_key_file_that_others_can_read_is_wrong(settings: Settings) -> None:
    (settings.keys_dir / "key-encryption-key").chmod(0o444)
    assert wrong(settings) == {"key file": "error"}


def test_a_keys_directory_that_others_can_write_is_wrong(settings: Settings) -> None:
    settings.keys_dir.chmod(0o777)
    assert wrong(settings) == {"keys directory": "error"}


def test_a_missing_key_encryption_key_is_named_and_hides_no_other_check(settings: Settings) -> None:
    (settings.keys_dir / "key-encryption-key").unlink()
    found = findings(settings)
    assert str(settings.keys_dir) in found["key-encryption key"].sentence
    assert found["clients"].status == "ok"


def test_a_clock_that_is_off_is_noticed_before_it_is_wrong(settings: Settings) -> None:
    assert wrong(settings, now=system_clock() - 3_000) == {"clock": "warning"}
    assert wrong(settings, now=system_clock() + 10_000)["clock"] == "error"


def test_a_signing_key_grows_old(settings: Settings) -> None:
    due = wrong(settings, now=system_clock() + 90 * DAY_MS + 1000)
    assert due["signing key ES256"] == due["signing key RS256"] == "warning"
    assert wrong(settings, now=system_clock() + 91 * DAY_MS)["signing key ES256"] == "error"


def test_tables_that_something_else_changed_are_wrong(settings: Settings) -> None:
    change(settings, "ALTER TABLE clients ADD COLUMN extra TEXT")
    found = findings(settings)
    assert found["schema"].status == "error"
    assert "extra" in found["schema"].sentence


def test_a_newer_schema_is_wrong_and_the_rest_is_not_guessed(settings: Settings) -> None:
    change(settings, "UPDATE alembic_version SET version_num = '0099_since_0098'")
    assert wrong(settings) == {"schema": "error"}
    assert "clients" not in findings(settings)


def test_another_issuer_than_at_init_is_wrong(settings: Settings) -> None:
    other = settings.model_copy(update={"issuer": "https://other.example"})
    assert wrong(other) == {"deployment": "error"}


def test_a_signing_key_that_does_not_open_is_wrong(settings: Settings) -> None:
    change(settings, "UPDATE signing_keys SET sealed_private_jwk = :broken", broken=b"x" * 64)
    assert wrong(settings) == {"sealed keys": "error"}


def test_digests_under_an_older_key_are_counted(settings: Settings) -> None:
    operator = Operator(settings)
    operator.add_client()
    operator.close()
    change(settings, "UPDATE client_secrets SET digest_key_id = 'older'")
    assert findings(settings)["digests"].sentence.endswith("1 in client_secrets")


def test_a_damaged_client_is_named_and_the_others_are_still_examined(settings: Settings) -> None:
    operator = Operator(settings)
    damaged = operator.add_client()
    policy_lost = operator.add_client()
    without_secret = operator.add_client()
    operator.close()
    change(settings, "UPDATE clients SET metadata = '{' WHERE client_id = :c", c=damaged.client_id)
    change(settings, "UPDATE clients SET policy = 'null' WHERE client_id = :c", c=policy_lost.client_id)
    change(
        settings,
        "DELETE FROM client_secrets WHERE client_pk = (SELECT id FROM clients WHERE client_id = :c)",
        c=without_secret.client_id,
    )
    assert wrong(settings) == {
        f"client {damaged.client_id}": "error",
        f"client {policy_lost.client_id}": "error",
        f"client {without_secret.client_id}": "warning",
    }


def test_a_client_with_a_key_needs_no_secret_and_one_whose_secret_is_not_read_back_is_told_of(
    settings: Settings,
) -> None:
    sealing = settings.model_copy(update={"sealed_client_secrets": "on"})
    operator = Operator(sealing)
    operator.add_client(client_id="key", token_endpoint_auth_method="private_key_jwt", jwks=jwk_set(SigningKey()))
    operator.add_client(client_id="mac", token_endpoint_auth_method="client_secret_jwt")
    operator.close()
    assert wrong(sealing) == {}
    assert wrong(settings) == {"client mac": "warning"}


def test_keys_at_an_address_are_asked_for(settings: Settings, authority: CertificateAuthority) -> None:
    settings = settings.model_copy(
        update={"outbound_allowed_networks": (LOOPBACK,), "outbound_ca_bundle": authority.bundle}
    )
    body = json.dumps(jwk_set(SigningKey())).encode()
    with OtherHost(answer(body=body), tls=authority.serve("127.0.0.1")) as host:
        operator = Operator(settings)
        operator.add_client(
            client_id="keys", token_endpoint_auth_method="private_key_jwt", jwks_uri=host.url("/jwks", host="127.0.0.1")
        )
        operator.close()
        assert wrong(settings) == {}
        host.behaviour = answer(body=b'{"keys": []}')
        assert "none of its keys can be used" in findings(settings)["client keys"].sentence
        host.behaviour = answer(status="404 Gone")
        assert "answered 404" in findings(settings)["client keys"].sentence


def test_a_public_client_with_a_secret_is_wrong(settings: Settings) -> None:
    operator = Operator(settings)
    client = operator.add_client()
    operator.close()
    change(
        settings,
        "UPDATE clients SET metadata = replace(metadata, 'client_secret_basic', 'none') WHERE client_id = :c",
        c=client.client_id,
    )
    assert wrong(settings) == {f"client {client.client_id}": "error"}


def test_weak_redirects_and_unknown_resources_are_to_be_known(settings: Settings) -> None:
    operator = Operator(settings)
    loopback = operator.add_client(redirect_uris=["http://127.0.0.1/cb"])
    custom = operator.add_client(redirect_uris=["com.example.app:/cb"])
    unknown = operator.add_client(policy={"resources": ["https://nowhere.example"]})
    operator.close()
    assert wrong(settings) == {f"client {client.client_id}": "warning" for client in (loopback, custom, unknown)}


def test_a_database_that_is_not_there_is_one_finding(tmp_path: Path) -> None:
    settings = load_settings(
        {"TOKENHOUSE_DATABASE_URL": "postgresql://u:a-password@127.0.0.1:1/x", "TOKENHOUSE_KEYS_DIR": str(tmp_path)}
    )
    found = findings(settings)
    assert found["database"].status == "error"
    assert "refused" in found["database"].sentence
    assert "a-password" not in str(found)


@pytest.mark.parametrize(
    ("variables", "check", "status"),
    [
        ({"TOKENHOUSE_TRUSTED_PROXIES": "0.0.0.0/0"}, "trusted proxies", "error"),
        ({"TOKENHOUSE_TRUSTED_PROXIES": ""}, "trusted proxies", "warning"),
        ({"TOKENHOUSE_METRICS_NETWORKS": "::/0"}, "metrics", "warning"),
        ({"TOKENHOUSE_RATE_LIMITS": "off"}, "rate limits", "warning"),
        ({"TOKENHOUSE_ISSUER": "http://localhost:8400"}, "issuer", "warning"),
    ],
    ids=str,
)
def test_a_dangerous_setting_is_noticed(variables: dict[str, str], check: str, status: str, tmp_path: Path) -> None:
    settings = load_settings(
        {
            "TOKENHOUSE_ISSUER": "https://auth.example",
            "TOKENHOUSE_TRUSTED_PROXIES": "127.0.0.1",
            "TOKENHOUSE_DATABASE_URL": f"sqlite:///{tmp_path}/none.db",
            **variables,
        }
    )
    assert findings(settings)[check].status == status


@pytest.mark.parametrize(("days_before", "status"), [(30, "ok"), (3, "warning")])
def test_a_certificate_that_ends_soon_is_to_be_known(
    authority: CertificateAuthority, days_before: int, status: str
) -> None:
    now_s = time.time() - days_before * DAY_MS / 1000
    with OtherHost(JSON, tls=authority.serve("localhost", "127.0.0.1")) as host:
        found = examine_tls(host.url(host="localhost"), ca_bundle=authority.bundle, now_s=now_s)
        assert [(finding.check, finding.status) for finding in found] == [("certificate", status), ("TLS", "ok")]


def test_a_certificate_that_nobody_vouches_for_is_wrong(authority: CertificateAuthority) -> None:
    with OtherHost(JSON, tls=authority.serve("localhost", "127.0.0.1")) as host:
        (finding,) = examine_tls(host.url(host="localhost"), ca_bundle=None, now_s=time.time())
    assert (finding.check, finding.status) == ("certificate", "error")
