"""What the server says that it does is one thing: features == metadata == README == `tokenhouse specs`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli.specs import command as specs
from app.features import FEATURES, PROFILES, Feature
from app.services.publish_metadata import publish_metadata
from tests.deployments import Operator, make_deployment, make_environment
from tests.server import ROOT

README = (ROOT / "README.md").read_text()
# Every member of the metadata, by the feature that puts it there. What a verifier or a browser sees of the others
# (a challenge, a token's header) is not metadata.
MEMBERS = {
    "authorization_code": {
        "authorization_endpoint",
        "token_endpoint",
        "response_types_supported",
        "grant_types_supported",
        "token_endpoint_auth_methods_supported",
        "code_challenge_methods_supported",
        "authorization_response_iss_parameter_supported",
    },
    "response_modes": {"response_modes_supported"},
    "request_objects": {
        "request_parameter_supported",
        "request_uri_parameter_supported",
        "require_request_uri_registration",
        "require_signed_request_object",
        "request_object_signing_alg_values_supported",
        "request_object_encryption_alg_values_supported",
        "request_object_encryption_enc_values_supported",
    },
    "client_credentials": set(),
    "client_assertions": {
        "token_endpoint_auth_signing_alg_values_supported",
        "revocation_endpoint_auth_signing_alg_values_supported",
        "introspection_endpoint_auth_signing_alg_values_supported",
    },
    "refresh_tokens": set(),
    "resource_indicators": {"scopes_supported"},
    "authorization_details": {"authorization_details_types_supported"},
    "jwt_access_tokens": {"jwks_uri"},
    "token_status_lists": {"status_list_aggregation_endpoint"},
    "bearer_token_usage": set(),
    "second_factors": set(),
    "step_up": {"acr_values_supported"},
    "dpop": {"dpop_signing_alg_values_supported"},
    "token_revocation": {"revocation_endpoint", "revocation_endpoint_auth_methods_supported"},
    "token_introspection": {
        "introspection_endpoint",
        "introspection_endpoint_auth_methods_supported",
        "introspection_signing_alg_values_supported",
    },
    "token_exchange": set(),
    "openid": {
        "userinfo_endpoint",
        "subject_types_supported",
        "id_token_signing_alg_values_supported",
        "id_token_encryption_alg_values_supported",
        "id_token_encryption_enc_values_supported",
        "userinfo_signing_alg_values_supported",
        "userinfo_encryption_alg_values_supported",
        "userinfo_encryption_enc_values_supported",
        "claim_types_supported",
        "claims_supported",
        "claims_parameter_supported",
        "prompt_values_supported",
        "display_values_supported",
        "ui_locales_supported",
    },
    "client_registration": {"registration_endpoint"},
    "client_id_metadata_documents": {"client_id_metadata_document_supported"},
    "session_management": {"check_session_iframe"},
    "rp_initiated_logout": {"end_session_endpoint"},
    "backchannel_logout": {"backchannel_logout_supported", "backchannel_logout_session_supported"},
    "frontchannel_logout": {"frontchannel_logout_supported", "frontchannel_logout_session_supported"},
    "upstream_logins": set(),
    "passkeys": set(),
    "server_metadata": {"issuer"},
}


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    directory = tmp_path_factory.mktemp("features")
    database_url = f"sqlite:///{directory}/tokenhouse.db"
    environment = make_environment(
        issuer="https://login.example.com",
        database_url=database_url,
        directory=Path(directory),
        # What is off is absent, so everything is on.
        registration="open",
    )
    operator = Operator(make_deployment(environment))
    operator.add_details_type()
    yield json.loads(publish_metadata(operator.deployment).body)
    operator.close()


def readme_table() -> list[tuple[str, str, str]]:
    """(specification, its title, its address) of each row."""
    return re.findall(r"^\| \[([^\]]+)\]\((\S+)\) \| ([^|]+?) \|", README, flags=re.MULTILINE)


def test_every_member_of_the_metadata_belongs_to_a_feature(metadata: dict[str, object]) -> None:
    assert set(MEMBERS) == {feature.name for feature in FEATURES}
    assert set().union(*MEMBERS.values()) == set(metadata)
    assert sum(len(members) for members in MEMBERS.values()) == len(metadata)


def test_the_readme_names_every_specification_and_no_other() -> None:
    built_in = {(spec.name, spec.url, spec.title) for feature in FEATURES for spec in feature.specs}
    assert set(readme_table()) == built_in
    assert len(readme_table()) == len(built_in)


def test_the_command_prints_the_same() -> None:
    printed = json.loads(CliRunner().invoke(specs, ["--json"]).stdout)
    assert [(row["feature"], [spec["name"] for spec in row["specs"]]) for row in printed] == [
        (feature.name, [spec.name for spec in feature.specs]) for feature in FEATURES
    ]


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_a_feature_stands_on_features_before_it(feature: Feature) -> None:
    names = [each.name for each in FEATURES]
    assert set(feature.requires) <= set(names[: names.index(feature.name)])


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_each_of_its_specifications_is_quoted_where_it_is_obeyed(feature: Feature) -> None:
    sources = [path.read_text() for path in (ROOT / "app").rglob("*.py") if path.name != "features.py"]
    for spec in feature.specs:
        name = spec.name.removesuffix(" 1.0")
        assert any(name in source for source in sources), name


def test_a_client_that_is_stricter_than_its_server_has_more_demanded_of_it() -> None:
    strictness = [rules.strictness for rules in PROFILES.values()]
    assert len(set(strictness)) == len(strictness)
    lax, strict = sorted(PROFILES.values(), key=lambda rules: rules.strictness)
    assert lax.pkce_optional_for_confidential_clients
    assert not strict.pkce_optional_for_confidential_clients
    assert lax.assertions_may_name_the_token_endpoint
    assert not strict.assertions_may_name_the_token_endpoint
