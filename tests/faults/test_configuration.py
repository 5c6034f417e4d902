"""What is weak, wrong or unknown in the configuration is refused by its name, and nothing is guessed."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.services.refusal import Refusal
from app.settings import SettingsError, load_settings
from app.specs.protocol_error import ProtocolError
from tests.deployments import Operator, make_deployment, make_environment

ISSUER = {"TOKENHOUSE_ISSUER": "https://auth.example"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKENHOUSE_DEBUG", "1"),
        ("TOKENHOUSE_SECRET_KEY", "s3cret"),
        ("TOKENHOUSE_ISSUER", "http://auth.example"),
        ("TOKENHOUSE_ISSUER", "https://auth.example/"),
        ("TOKENHOUSE_ISSUER", "https://auth.example/?x=1"),
        ("TOKENHOUSE_ACCESS_TOKEN_LIFETIME_S", "86400"),
        ("TOKENHOUSE_AUTHORIZATION_CODE_LIFETIME_S", "600"),
        ("TOKENHOUSE_SIGNING_KEY_LIFETIME_S", "60"),
        ("TOKENHOUSE_RATE_LIMITS", "sometimes"),
        ("TOKENHOUSE_LOG_LEVEL", "CHATTY"),
        ("TOKENHOUSE_OUTBOUND_CA_BUNDLE", "/nowhere/ca.pem"),
        ("TOKENHOUSE_REGISTRATION", "on"),
        ("TOKENHOUSE_REGISTRATION_UNUSED_DAYS", "0"),
        ("TOKENHOUSE_REGISTRATION_POLICY", '{"skip_concent": true}'),
        ("TOKENHOUSE_REGISTRATION_POLICY", '{"access_token_lifetime_s": 86400}'),
        ("TOKENHOUSE_REGISTRATION_POLICY", '{"skip_consent": true}'),
        ("TOKENHOUSE_REGISTRATION_POLICY", "s3cret"),
        ("TOKENHOUSE_CLIENT_ID_METADATA_DOCUMENTS_POLICY", '{"skip_consent": true}'),
        ("TOKENHOUSE_CLIENT_ID_METADATA_DOCUMENTS_POLICY", '{"introspects": ["https://api.example/"]}'),
        ("TOKENHOUSE_SOFTWARE_STATEMENT_ISSUERS", '[{"issuer": "https://trust.example"}]'),
        (
            "TOKENHOUSE_SOFTWARE_STATEMENT_ISSUERS",
            '[{"issuer": "https://trust.example", "jwks_uri": "http://a.example"}]',
        ),
        ("TOKENHOUSE_SOFTWARE_STATEMENT_ISSUERS", '[{"issuer": "https://trust.example", "jwks": {"keys": []}}]'),
    ],
)
def test_a_setting_that_is_weak_wrong_or_unknown_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings(ISSUER | {name: value})
    assert name.removeprefix("TOKENHOUSE_").lower() in str(refusal.value).lower()
    # The value may be a secret.
    assert "s3cret" not in str(refusal.value)


def test_settings_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="jwks_max_age_s"):
        load_settings(ISSUER | {"TOKENHOUSE_SIGNING_KEY_LIFETIME_S": "3600", "TOKENHOUSE_JWKS_MAX_AGE_S": "1800"})


def test_an_unknown_key_of_the_file_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "tokenhouse.toml").write_text('issuer = "https://auth.example"\ndebug = true\n')
    with pytest.raises(SettingsError, match="TOKENHOUSE_DEBUG"):
        load_settings({"TOKENHOUSE_CONFIG": str(tmp_path / "tokenhouse.toml")})


def test_what_is_decided_about_registering_clients_may_stand_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "tokenhouse.toml").write_text(
        """
        issuer = "https://auth.example"
        registration = "open"
        [registration_policy]
        resources = ["https://api.example"]
        [[software_statement_issuers]]
        issuer = "https://trust.example"
        jwks_uri = "https://trust.example/jwks"
        """
    )
    settings = load_settings({"TOKENHOUSE_CONFIG": str(tmp_path / "tokenhouse.toml")})
    assert settings.registration_policy is not None
    assert settings.registration_policy.resources == ("https://api.example",)
    assert settings.software_statement_issuers[0].jwks_uri == "https://trust.example/jwks"


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    directory = tmp_path_factory.mktemp("configuration")
    url = f"sqlite:///{directory}/tokenhouse.db"
    environment = make_environment(issuer="http://localhost:8400", database_url=url, directory=directory)
    operator = Operator(make_deployment(environment))
    yield operator
    operator.close()


@pytest.mark.parametrize(
    "metadata",
    [
        {"redirect_uris": ["https://*.app.example/callback"]},
        {"redirect_uris": ["https://app.example/*"]},
        {"redirect_uris": ["http://app.example/callback"]},
        {"redirect_uris": ["javascript:alert(1)"]},
        {"client_secret": "hunter2"},
        {"client_secret": "x" * 42},
        {"policy": {"access_token_lifetime_s": 86_400}},
        {"policy": {"trusted": True}},
    ],
    ids=str,
)
def test_a_weak_client_is_refused_and_not_stored(operator: Operator, metadata: dict[str, Any]) -> None:
    client_id = f"client-{secrets.token_hex(4)}"
    with pytest.raises((ProtocolError, Refusal)) as refusal:
        operator.add_client(client_id=client_id, **metadata)
    assert str(refusal.value)
    assert operator.deployment.registry.find_client(client_id) is None
