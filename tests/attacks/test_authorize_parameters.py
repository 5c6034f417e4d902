"""attacks.md, "Authorize: protocol parameters, PKCE, sessions": what a client may send (cases 31-36 and 39-41).

Each bad one is R: a redirect to the registered URI with the exact error, `state` and `iss`, and nothing is written.
"""

import pytest

from tests.actors.browser import Browser
from tests.actors.http import Reply, send
from tests.actors.relying_party import RelyingParty
from tests.attacks.good_conduct import assert_json_error, nothing_changes
from tests.attacks.one_step_away import ask, assert_refused, flat
from tests.databases import on_sqlite
from tests.world import World

pytestmark = pytest.mark.usefixtures("standing")

CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


# ----- 31 and 32: how the answer travels -----


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_mode": "web_message"}, "invalid_request"),
        ({"response_mode": "query.jwt"}, "invalid_request"),
        ({"response_mode": "QUERY"}, "invalid_request"),
        ({"response_mode": "query "}, "invalid_request"),
        ({"response_mode": "javascript:alert(1)"}, "invalid_request"),
        ({"response_type": "code code"}, "unsupported_response_type"),
        ({"response_type": " code"}, "unsupported_response_type"),
        ({"response_type": "CODE"}, "unsupported_response_type"),
        ({"response_type": "none"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"request": "eyJhbGciOiJub25lIn0.e30."}, "invalid_request_object"),
        ({"request_uri": "https://evil.example/request"}, "invalid_request_uri"),
        ({"registration": "{}"}, "registration_not_supported"),
    ],
)
@on_sqlite
def test_another_response_type_or_mode_is_refused(
    world: World, signed_in: tuple[RelyingParty, Browser], changes: dict[str, str], error: str
) -> None:
    """Case 31: only `code` exists, so no token ever stands in a URL."""
    assert_refused(world, *signed_in, error, **changes)


@pytest.mark.parametrize(
    ("changes", "mode"),
    [
        ({"response_type": "token"}, "fragment"),
        ({"response_type": "token", "response_mode": "query"}, "fragment"),
        ({"response_type": "id_token", "response_mode": "query"}, "fragment"),
        ({"response_type": "code token", "response_mode": "bogus"}, "fragment"),
        ({"response_type": "code id_token", "response_mode": "form_post"}, "form_post"),
    ],
)
@on_sqlite
def test_a_front_channel_token_is_refused_where_its_client_listens(
    world: World, signed_in: tuple[RelyingParty, Browser], changes: dict[str, str], mode: str
) -> None:
    """Case 31: in the fragment also where the query was asked for; nothing for a token ever goes there."""
    assert_refused(world, *signed_in, "unsupported_response_type", mode=mode, **changes)


@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
@on_sqlite
def test_the_modes_that_exist_may_be_named(signed_in: tuple[RelyingParty, Browser], mode: str) -> None:
    """Case 31, the good neighbour."""
    party, browser = signed_in
    reply = browser.send_once(party.begin(response_mode=mode).url)
    assert set(party.read_answer(reply, mode=mode)) == {"code", "session_state", "state", "iss"}


@pytest.mark.parametrize("mode", ["fragment", "form_post"])
@on_sqlite
def test_a_refusal_travels_as_the_answer_would(
    world: World, signed_in: tuple[RelyingParty, Browser], mode: str
) -> None:
    """Cases 31 and 32: errors are posted too."""
    assert_refused(world, *signed_in, "invalid_request", mode=mode, response_mode=mode, code_challenge=None)


@on_sqlite
def test_a_scheme_of_a_device_cannot_be_posted_to(world: World) -> None:
    """Case 31: a mode that does not fit the client."""
    party = world.relying_party(redirect_uris=["com.example.album:/cb"], token_endpoint_auth_method="none")
    assert_refused(world, party, world.browser(), "invalid_request", response_mode="form_post")


# ----- 33 and 34: PKCE -----


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None},
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge": ""},
        {"code_challenge_method": None},
        {"code_challenge_method": ""},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": "s256"},
        {"code_challenge_method": "S512"},
        {"code_challenge_method": "S256 "},
        {"code_challenge_method": "S256,plain"},
        {"code_challenge": CHALLENGE[:-1]},
        {"code_challenge": CHALLENGE + "A"},
        {"code_challenge": CHALLENGE[:-1] + "="},
        {"code_challenge": CHALLENGE[:-1] + "+"},
        {"code_challenge": CHALLENGE[:-1] + "/"},
        {"code_challenge": CHALLENGE + "="},
        {"code_challenge": CHALLENGE[:-1] + "é"},
        {"code_challenge": "a" * 128},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["client_secret_basic", "none"])
@on_sqlite
def test_a_request_without_a_sound_challenge_is_refused(world: World, changes: dict[str, str], method: str) -> None:
    """Cases 33 and 34: for every client, confidential ones too."""
    party = world.relying_party(token_endpoint_auth_method=method)
    assert_refused(world, party, world.browser(), "invalid_request", **changes)


# ----- 35 and 36: state and nonce -----

STATES = {
    "4 KB": "s" * 4096,
    "the longest": "s" * 8192,
    "unicode": "zürich-東京-😀" * 50,
    "quotes": "\"'`<>&;%25+ #?=/\\\\{}|^~",
    "looks like parameters": "x&code=stolen&iss=https://evil.example",
    "spaces": " leading and trailing ",
    "a URL": "https://rp.example/?a=b#c",
    "right to left": "\u202egnp.exe\u2066",
    "line separators": "a\u2028b\u2029c\u0085d",
    "one": "0",
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES.keys())
def test_state_comes_back_exactly(signed_in: tuple[RelyingParty, Browser], state: str) -> None:
    """Case 35: with a code and with an error alike."""
    assert ask(*signed_in, state=state)["state"] == state
    refused = ask(*signed_in, state=state, response_type="token")
    assert (refused["error"], refused["state"]) == ("unsupported_response_type", state)


@pytest.mark.parametrize("state", ["s" * 8193, "s" * 20_000, "€" * 8193])
@on_sqlite
def test_a_state_over_the_cap_is_refused_and_never_truncated(
    world: World, signed_in: tuple[RelyingParty, Browser], state: str
) -> None:
    """Case 35: the cap is 8,192 characters. What is not echoed whole is not echoed at all."""
    party, browser = signed_in
    pending = party.begin(state=state)
    with nothing_changes(world):
        reply = browser.send_once(f"{world.issuer}/authorize", fields=flat(pending.parameters))
    if reply.status == 413:
        return
    answer = party.read_answer(reply)
    assert answer["error"] == "invalid_request"
    assert "state" not in answer


@on_sqlite
def test_a_request_without_state_gets_none(signed_in: tuple[RelyingParty, Browser]) -> None:
    """Case 35."""
    assert set(ask(*signed_in, state=None)) == {"code", "session_state", "iss"}


@pytest.mark.parametrize("nonce", ["n" * 64, "n" * 2048, "ñ-東-😀", "\"'<>&+ %25", None], ids=range(5))
def test_the_nonce_comes_back_unchanged(world: World, nonce: str | None) -> None:
    """Case 36."""
    tokens = world.get_tokens(world.relying_party(), world.operator.add_user(), nonce=nonce)
    assert tokens.id_claims.get("nonce") == nonce


@on_sqlite
def test_a_nonce_over_the_cap_is_refused(world: World, signed_in: tuple[RelyingParty, Browser]) -> None:
    """Case 36: 2,048 characters."""
    assert_refused(world, *signed_in, "invalid_request", nonce="n" * 2049)


# ----- 39 and 40: claims, resource, scope -----


@pytest.mark.parametrize(
    "claims",
    ["not json", "[]", "null", '{"userinfo":' * 500, "x" * 20_000, '{"userinfo":{"email":{"essential":"yes"}}}',
     '{"id_token":{"sub":{"values":["somebody","somebody else"]}}}'],
    ids=range(7),
)  # fmt: skip
@on_sqlite
def test_39_a_claims_parameter_that_is_none_is_refused(
    world: World, signed_in: tuple[RelyingParty, Browser], claims: str
) -> None:
    """What it widens, and that it asks first, is tested beside the parameter."""
    assert_refused(world, *signed_in, "invalid_request", claims=claims)


@on_sqlite
def test_an_acr_that_cannot_be_met_is_not_claimed(world: World) -> None:
    """Case 39: acr_values are voluntary; the token tells the truth."""
    tokens = world.get_tokens(world.relying_party(), world.operator.add_user(), acr_values="phr mfa urn:made:up")
    assert tokens.id_claims["acr"] not in {"phr", "mfa", "urn:made:up", "https://refeds.org/profile/mfa"}


@pytest.mark.parametrize(
    "resource",
    ["https://unknown.example", "photos", "/photos", "//x", "https://", "urn:", "https://x.example#f", "{}#",
     "{}#f", "{}/other",
     "{}?x=1", "{} ", "HTTPS://{}", "javascript:alert(1)", "https://u:p@x.example", "https://x.example\\@y",
     "*", "x" * 3000],
)  # fmt: skip
@on_sqlite
def test_a_resource_that_is_not_registered_to_the_letter_is_refused(
    world: World, signed_in: tuple[RelyingParty, Browser], resource: str
) -> None:
    """Case 40."""
    registered = world.operator.add_resource()
    asked = resource.format(registered) if "{}" in resource else resource
    for resources in (asked, [registered, asked]):
        assert_refused(world, *signed_in, "invalid_target", resource=resources, scope="openid photos.read")


@on_sqlite
def test_a_resource_that_the_operator_did_not_allow_this_client_is_refused_like_an_unknown_one(world: World) -> None:
    """Case 40."""
    allowed, other = world.operator.add_resource(), world.operator.add_resource()
    party = world.relying_party(policy={"resources": [allowed]})
    assert_refused(world, party, world.browser(), "invalid_target", resource=other, scope="photos.read")
    assert_refused(world, party, world.browser(), "invalid_target", resource=[allowed, other], scope="photos.read")
    reply = world.browser().send_once(party.begin(resource=allowed, scope="photos.read").url)
    assert reply.location.startswith(f"{world.issuer}/login?")


@pytest.mark.parametrize(
    "scope",
    [
        None,
        "photos.unknown",
        'openid "',
        "openid\\x",
        "openid é",
        "email",
        "offline_access",
        " ".join(map(str, range(101))),
    ],
)
@on_sqlite
def test_a_scope_that_nobody_has_is_refused(
    world: World, signed_in: tuple[RelyingParty, Browser], scope: str | None
) -> None:
    """Case 40's neighbour: RFC 6749 3.3."""
    assert_refused(world, *signed_in, "invalid_scope", scope=scope)


@on_sqlite
def test_a_scope_beyond_the_registered_ones_is_refused(world: World) -> None:
    """Case 40's neighbour."""
    party = world.relying_party(scope="openid profile")
    assert_refused(world, party, world.browser(), "invalid_scope", scope="openid email")


@pytest.mark.parametrize("lifetime", ["0", "-5", "9", "abc", "1e3", "٣٠٠", "10.5", "9" * 30])
@on_sqlite
def test_a_lifetime_that_is_no_number_of_seconds_is_refused(
    world: World, signed_in: tuple[RelyingParty, Browser], lifetime: str
) -> None:
    """Our own parameter deserves the same."""
    assert_refused(world, *signed_in, "invalid_request", tokenhouse_expires_in=lifetime)


# ----- 41: mix-up -----


@pytest.mark.parametrize("code", ["SplxlOBeZQQYbYS6WxSbIA", "th_ac_" + "a" * 49, "", "x" * 5000, "é", "code'--"])
@on_sqlite
def test_a_code_of_another_server_is_refused_here(world: World, code: str) -> None:
    """Case 41."""
    party = world.relying_party()
    with nothing_changes(world):
        reply = party.try_exchange(code, party.begin())
    assert_json_error(reply, "invalid_grant" if code else "invalid_request")


@on_sqlite
def test_discovery_says_that_answers_carry_their_issuer(world: World) -> None:
    """Case 41: and every answer does (RFC 9207); `read_answer` looks at each."""
    for path in ("openid-configuration", "oauth-authorization-server"):
        document = send(f"{world.url}/.well-known/{path}").json()
        assert document["authorization_response_iss_parameter_supported"] is True
        assert document["issuer"] == world.issuer


@on_sqlite
def test_a_refusal_of_the_person_carries_the_issuer_too(world: World) -> None:
    """Case 41."""
    account, party, browser = world.operator.add_user(), world.relying_party(), world.browser()
    pending = party.begin()
    page: Reply = browser.log_in(browser.get(pending.url), account.username, account.password)
    answer = party.read_answer(browser.consent(page, allow=False))
    assert answer["error"] == "access_denied"
    assert answer["state"] == pending.state
