"""The verifier with the tokens of an authorization server that is not ours: node-oidc-provider, run as it comes."""

import base64
import hashlib
import secrets
from pathlib import Path
from urllib.parse import urlencode

import pytest
import requests

from app.specs.protocol_error import InvalidToken
from app.verifier import AccessTokenVerifier
from benchmarks.flows import discover, parse_code
from benchmarks.form_browser import FormBrowser
from benchmarks.node_peer import running_node_peer
from benchmarks.scenario import Scenario
from tests.foreign.conftest import require_node

TIMEOUT_S = 30


def get_access_token(issuer: str, scenario: Scenario) -> str:
    """A token for the scenario's resource, by the whole code flow."""
    endpoints, verifier = discover(issuer), secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    query = {
        "response_type": "code",
        "client_id": scenario.client_id,
        "redirect_uri": scenario.redirect_uri,
        "scope": scenario.scope,
        "resource": scenario.resource,
        "state": "s",
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    browser = FormBrowser(endpoints.origin)
    callback = browser.authorize(
        f"{endpoints.authorization}?{urlencode(query)}",
        redirect_uri=scenario.redirect_uri,
        username=scenario.username,
        password=scenario.password,
    )
    browser.close()
    answer = requests.post(
        endpoints.token,
        data={
            "grant_type": "authorization_code",
            "code": parse_code(callback),
            "redirect_uri": scenario.redirect_uri,
            "code_verifier": verifier,
            "resource": scenario.resource,
        },
        auth=(scenario.client_id, scenario.client_secret),
        timeout=TIMEOUT_S,
    )
    token: str = answer.json()["access_token"]
    return token


@pytest.mark.requirement("RFC 9068", "4", "a resource server validates any issuer's JWT access tokens")
def test_tokens_of_node_oidc_provider_verify_by_its_own_metadata_and_keys(tmp_path: Path) -> None:
    require_node()
    scenario = Scenario()
    with running_node_peer(scenario, folder=tmp_path) as peer:
        token = get_access_token(peer.issuer, scenario)
        options = {"issuer": peer.issuer, "background": False}
        verifier = AccessTokenVerifier(audience=scenario.resource, **options)
        for _ in range(2):
            claims = verifier.verify(token, scope=scenario.scope)
        with pytest.raises(InvalidToken, match="has no status"):
            AccessTokenVerifier(audience=scenario.resource, require_status=True, **options).verify(token)
        with pytest.raises(InvalidToken, match="for another audience"):
            AccessTokenVerifier(audience="https://other.example", **options).verify(token)
    assert (claims.subject, claims.client_id) == (scenario.username, scenario.client_id)
    assert claims.audience == (scenario.resource,)
