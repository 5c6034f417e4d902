"""A feature that is off is absent: each is switched off in turn, with whatever stands on it."""

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client as HttpClient

from app.features import FEATURES, Feature
from app.settings import SettingsError, load_settings
from tests.architecture.test_features import MEMBERS
from tests.deployments import Account, Operator, make_deployment, make_environment
from tests.in_process import open_application

ISSUER = "http://localhost:8400"
SWITCHABLE = [feature for feature in FEATURES if not feature.is_base]
# Where a feature answers. What has no row here answers at an address that others share.
PATHS = {
    "token_revocation": ["/revoke"],
    "token_introspection": ["/introspect"],
    "openid": ["/userinfo", "/.well-known/openid-configuration"],
    "client_registration": ["/register"],
    "session_management": ["/check-session"],
    "rp_initiated_logout": ["/logout", "/logged-out"],
}
METADATA = "/.well-known/oauth-authorization-server"


@dataclass
class Switched:
    """A running application with some features off."""

    http: HttpClient
    off: frozenset[str]

    def metadata(self) -> dict[str, Any]:
        """What it says of itself."""
        return dict(json.loads(self.http.get(METADATA).data))

    def ask_for_token(self, grant_type: str, client: Any) -> dict[str, Any]:
        """The answer of the token endpoint to a request of that grant that lacks everything else."""
        basic = base64.b64encode(f"{client.client_id}:{client.client_secret}".encode()).decode()
        reply = self.http.post("/token", data={"grant_type": grant_type}, headers={"Authorization": f"Basic {basic}"})
        return dict(json.loads(reply.data))


def closure(name: str) -> frozenset[str]:
    """The feature and all that stand on it."""
    off = {name}
    for feature in FEATURES:
        if off & set(feature.requires):
            off.add(feature.name)
    return frozenset(off)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    directory = tmp_path_factory.mktemp("switches")
    environment = make_environment(
        issuer=ISSUER,
        database_url=f"sqlite:///{directory}/tokenhouse.db",
        directory=Path(directory),
        registration="open",
    )
    operator = Operator(make_deployment(environment))
    operator.add_details_type()
    operator.add_client(
        client_id="everything",
        grant_types=[
            "authorization_code",
            "refresh_token",
            "client_credentials",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ],
        backchannel_logout_uri="https://rp.example/ended",
        post_logout_redirect_uris=["https://rp.example/bye"],
        request_uris=["https://rp.example/request"],
    )
    operator.close()
    return environment


@contextmanager
def switched_off(environment: dict[str, str], *names: str) -> Iterator[Switched]:
    by_name = {feature.name: feature for feature in FEATURES}
    variables = dict(environment)
    listed = []
    for name in names:
        switch = by_name[name].switch
        if switch is None:
            listed.append(name)
        else:
            variables[f"TOKENHOUSE_{switch.upper()}"] = "off"
    variables["TOKENHOUSE_FEATURES_OFF"] = ",".join(sorted(listed))
    with open_application(load_settings(variables)) as application:
        yield Switched(http=HttpClient(application), off=frozenset(names))


def test_with_nothing_off_everything_answers(environment: dict[str, str]) -> None:
    with switched_off(environment) as server:
        assert set().union(*MEMBERS.values()) == set(server.metadata())
        for paths in PATHS.values():
            for path in paths:
                assert server.http.open(path, method="POST" if path == "/register" else "GET").status_code != 404, path


@pytest.mark.parametrize("feature", SWITCHABLE, ids=lambda feature: feature.name)
def test_a_feature_that_is_off_is_absent_and_the_others_are_not(environment: dict[str, str], feature: Feature) -> None:
    off = closure(feature.name)
    with switched_off(environment, *off) as server:
        gone = set().union(*(MEMBERS[name] for name in off))
        # How assertions are signed at an endpoint is said by one feature and goes with the endpoint's too.
        for name, prefix in (("token_revocation", "revocation_"), ("token_introspection", "introspection_")):
            gone |= {member for member in MEMBERS["client_assertions"] if name in off and member.startswith(prefix)}
        kept = set().union(*(members for name, members in MEMBERS.items() if name not in off))
        metadata = server.metadata()
        assert set(metadata) == kept - gone
        grants = {name for each in FEATURES if each.name in off for name in each.grant_types}
        assert not grants & set(metadata["grant_types_supported"])
        for name in off:
            for path in PATHS.get(name, ()):
                for method in ("GET", "POST"):
                    assert server.http.open(path, method=method).status_code == 404, (method, path)
        for name, paths in PATHS.items():
            if name not in off:
                assert server.http.open(paths[0], method="POST").status_code != 404, paths
        registry = server.http.application.deployment.registry  # type: ignore[attr-defined]
        client = registry.find_client("everything")
        assert client is not None
        assert not grants & set(client.metadata.grant_types)
        for each in FEATURES:
            for member in each.client_members if each.name in off else ():
                assert not getattr(client.metadata, member) or member.endswith("_alg"), member


@pytest.mark.parametrize(
    ("off", "query", "error"),
    [
        ("request_objects", "request=x.y.", "request_not_supported"),
        ("request_objects", "request_uri=https://rp.example/request", "request_uri_not_supported"),
        ("response_modes", "response_mode=form_post", "invalid_request"),
        ("openid", "scope=openid", "invalid_scope"),
    ],
)
def test_what_asks_for_a_feature_that_is_off_is_refused(
    environment: dict[str, str], off: str, query: str, error: str
) -> None:
    with switched_off(environment, *closure(off)) as server:
        client = server.http.application.deployment.registry.find_client("everything")  # type: ignore[attr-defined]
        redirect_uri = client.metadata.redirect_uris[0]
        challenge = f"code_challenge={'c' * 43}&code_challenge_method=S256"
        scope = "" if "scope=" in query else "&scope=openid"
        asked = f"client_id=everything&response_type=code&redirect_uri={redirect_uri}&{challenge}&{query}{scope}"
        reply = server.http.get(f"/authorize?{asked}")
        assert reply.status_code == 303
        assert f"error={error}" in reply.headers["Location"]


def test_without_session_management_no_login_leaves_its_cookie(environment: dict[str, str]) -> None:
    operator = Operator(load_settings(environment))
    account = operator.add_user()
    operator.close()
    for off in ("", "session_management"):
        with switched_off(environment, *([off] if off else [])) as server:
            page = log_in(server.http, account)
            cookies = " ".join(page.headers.getlist("Set-Cookie"))
            assert ("-state-" in cookies) is not bool(off), cookies


def log_in(http: HttpClient, account: Account) -> Any:
    """A login at a request of the registered client; the answer to the form."""
    client = http.application.deployment.registry.find_client("everything")  # type: ignore[attr-defined]
    challenge = f"code_challenge={'c' * 43}&code_challenge_method=S256"
    redirect_uri = client.metadata.redirect_uris[0]
    asked = f"client_id=everything&response_type=code&redirect_uri={redirect_uri}&scope=openid&{challenge}"
    page = http.get(f"/authorize?{asked}", base_url=ISSUER, follow_redirects=True)
    fields = dict(re.findall(r'name="(transaction|csrf_token)" value="([^"]+)"', page.text))
    form = {**fields, "username": account.username, "password": account.password}
    return http.post("/login", data=form, base_url=ISSUER, headers={"Origin": ISSUER})


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("authorization_code", "is what the rest stands on"),
        ("no_such_thing", "there is no feature"),
        ("openid", "session_management stands on openid"),
        ("client_registration", "is switched by TOKENHOUSE_REGISTRATION"),
    ],
)
def test_a_list_that_cannot_be_obeyed_stops_the_start(environment: dict[str, str], names: str, said: str) -> None:
    with pytest.raises(SettingsError, match="TOKENHOUSE_FEATURES_OFF") as refusal:
        load_settings({**environment, "TOKENHOUSE_FEATURES_OFF": names})
    assert said in str(refusal.value)
