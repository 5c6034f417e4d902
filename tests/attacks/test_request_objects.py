"""attacks.md, "PAR and request objects" (48-52 for objects by value, and 18): what a signed request may say.

Under the profile `oauth21`: an object is signed, complete, and nothing beside it counts.
"""

import base64
import json
from typing import Any

import pytest

from app.specs.rfc7515_jose import encode_base64url
from app.specs.rfc7516_jwe import encrypt_jwe
from app.specs.rfc7517_jwk import PublicKey, generate_private_jwk, import_encryption_jwk, public_members
from tests.actors.http import send
from tests.actors.request_object import Requester, unsigned
from tests.actors.signing_key import SigningKey
from tests.attacks.good_conduct import assert_page, nothing_changes
from tests.databases import on_sqlite
from tests.world import World

pytestmark = pytest.mark.usefixtures("standing")


@pytest.fixture(scope="module")
def requester(shared_world: World) -> Requester:
    return Requester(shared_world)


def assert_refused(requester: Requester, raw: str, error: str = "invalid_request_object") -> None:
    """R with the error where a registered redirect URI stands beside the object; P where it only stands within."""
    with nothing_changes(requester.world):
        beside = {"redirect_uri": requester.party.redirect_uri, "state": "beside", "scope": "openid"}
        answer = requester.party.read_answer(requester.send(raw, beside=beside), mode="query")
        page = requester.send(raw, beside={"scope": "openid"})
    assert answer["error"] == error, answer
    assert answer["state"] == "beside"
    assert_page(page, error=error)


def good_answer(requester: Requester, raw: str, **beside: str) -> dict[str, str]:
    world, browser, account = requester.world, requester.world.browser(), requester.world.operator.add_user()
    page = browser.get(requester.url(beside=beside, request=raw))
    page = browser.log_in(page, account.username, account.password)
    page = browser.consent(page) if 'id="consent-form"' in page.text else page
    assert world.issuer
    return requester.party.read_answer(page)


# ----- The good neighbours -----


@pytest.mark.requirement("RFC 9101", "6.2", "RS256, PS256 and ES256 signatures by the client's keys are verified")
@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256"])
@on_sqlite
def test_a_signed_object_is_obeyed_and_nothing_beside_it(world: World, alg: str) -> None:
    """Case 47 for objects: the redirect URI is in the object only, and what stands beside it is passed over."""
    requester = Requester(world, alg=alg)
    wanted = {"id_token": {"email": {"essential": True}}}
    pending, claims = requester.begin(scope="openid email", claims=wanted, max_age=600)
    raw = requester.key.sign(claims, header={"typ": "oauth-authz-req+jwt"})
    evil = {"redirect_uri": "https://evil.example/cb", "state": "theirs", "scope": "openid phone", "max_age": "abc"}
    answer = good_answer(requester, raw, **evil)
    assert answer["state"] == pending.state
    tokens = requester.party.exchange(answer["code"], pending)
    assert tokens.id_claims["nonce"] == pending.nonce
    assert "email" in tokens.id_claims
    assert set(tokens.scope.split()) == {"openid", "email"}


@on_sqlite
def test_an_object_may_be_posted(requester: Requester) -> None:
    _, claims = requester.begin()
    form = {"client_id": requester.party.client_id, "request": requester.key.sign(claims)}
    reply = send(f"{requester.world.url}/authorize", method="POST", form=form)
    assert reply.status == 303
    assert "/authorize/resume" in reply.location


@pytest.mark.parametrize(("skew_s", "is_good"), [(8, True), (61, False)])
@on_sqlite
def test_50_a_clock_may_be_a_little_ahead(requester: Requester, skew_s: int, *, is_good: bool) -> None:
    """Case 50."""
    now_s = requester.world.clock() // 1000
    _, claims = requester.begin(nbf=now_s + skew_s, exp=now_s + skew_s + 60)
    if not is_good:
        assert_refused(requester, requester.key.sign(claims))
        return
    assert "login?" in requester.send(requester.key.sign(claims)).location


# ----- 49: by whom -----


@pytest.mark.requirement("RFC 9101", "10.1", "an object that the client did not sign is refused")
@on_sqlite
def test_49_an_object_that_the_client_did_not_sign_is_refused(requester: Requester) -> None:
    """Case 49: `alg` none, another key, a public key as a secret, a signature cut off or turned."""
    _, claims = requester.begin()
    good = requester.key.sign(claims)
    header, payload, signature = good.split(".")
    other = SigningKey("ES256", kid=requester.key.kid)
    hs256 = encode_base64url(json.dumps({"alg": "HS256", "kid": requester.key.kid}).encode())
    forgeries = [
        unsigned(json.dumps(claims).encode()),
        other.sign(claims),
        requester.key.sign(claims, header={"kid": "unknown"}),
        f"{hs256}.{payload}.{signature}",
        f"{header}.{payload}.",
        f"{header}.{payload}.{signature[::-1]}",
        f"{header}.{encode_base64url(json.dumps({**claims, 'scope': 'openid phone'}).encode())}.{signature}",
        "eyJhbGciOiJFUzI1NiJ9..",
        "junk",
        "a.b.c",
    ]
    for forgery in forgeries:
        assert_refused(requester, forgery)


@on_sqlite
def test_49_another_clients_object_is_refused(world: World, requester: Requester) -> None:
    """Case 49: signed by the other one's key, for either's name."""
    other = Requester(world)
    _, claims = other.begin()
    assert_refused(requester, other.key.sign(claims))
    _, claims = requester.begin()
    assert_refused(requester, other.key.sign(claims))


@pytest.mark.parametrize(
    "header",
    [
        {"jwk": {"kty": "EC", "crv": "P-256", "x": "", "y": ""}},
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/cert"},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"]},
        {"typ": "at+jwt"},
    ],
    ids=str,
)
@on_sqlite
def test_49_a_key_that_the_object_brings_is_never_used(requester: Requester, header: dict[str, Any]) -> None:
    """Case 49: not even beside a good signature."""
    _, claims = requester.begin()
    assert_refused(requester, requester.key.sign(claims, header=header))


@on_sqlite
def test_49_a_client_without_keys_has_no_request_objects(world: World) -> None:
    requester = Requester(world, jwks=None)
    _, claims = requester.begin()
    assert_refused(requester, requester.key.sign(claims))


@pytest.mark.requirement("OpenID Connect Registration 1.0", "2", "request_object_signing_alg is obeyed")
@on_sqlite
def test_49_the_algorithm_that_is_registered_is_the_one(world: World) -> None:
    requester = Requester(world, alg="RS256", request_object_signing_alg="PS256")
    _, claims = requester.begin()
    assert_refused(requester, requester.key.sign(claims))


# ----- 50: for whom, and when -----


@pytest.mark.requirement("RFC 9101", "6.2", "iss, aud, exp and nbf are checked")
@pytest.mark.requirement("RFC 9101", "5", "the client_id beside the object and the one within must be identical")
@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ...},
        {"aud": "https://other.example"},
        {"iss": ...},
        {"iss": "somebody"},
        {"client_id": ...},
        {"client_id": "somebody"},
        {"exp": ...},
        {"nbf": ...},
    ],
    ids=str,
)
@on_sqlite
def test_50_an_object_for_others_or_without_an_end_is_refused(requester: Requester, changes: dict[str, Any]) -> None:
    _, claims = requester.begin(**changes)
    assert_refused(requester, requester.key.sign(claims))


@pytest.mark.parametrize(("nbf", "exp"), [(-3700, 100), (0, 3700), (-400, -100), (-100, 0)])
@on_sqlite
def test_50_an_object_is_for_an_hour_at_most(requester: Requester, nbf: int, exp: int) -> None:
    now_s = requester.world.clock() // 1000
    _, claims = requester.begin(nbf=now_s + nbf, exp=now_s + exp)
    assert_refused(requester, requester.key.sign(claims))


@on_sqlite
def test_50_a_client_assertion_is_no_request(requester: Requester) -> None:
    """RFC 9101 10.8: signed by the same key for the same audience, and something else."""
    _, claims = requester.begin(sub=requester.party.client_id)
    assert_refused(requester, requester.key.sign(claims))


# ----- 52, and nesting -----


@pytest.mark.requirement(
    "RFC 9101", "4", "request and request_uri within, and values of another JSON type, are refused"
)
@pytest.mark.parametrize(
    "changes",
    [
        {"scope": ["openid"]},
        {"redirect_uri": {"uri": "https://rp.example"}},
        {"state": 7},
        {"max_age": "soon"},
        {"claims": "{}"},
        {"state": "a\r\nb"},
        {"request": "a.b.c"},
        {"request_uri": "https://rp.example/ro"},
    ],
    ids=str,
)
@on_sqlite
def test_52_a_parameter_of_the_wrong_type_is_refused(requester: Requester, changes: dict[str, Any]) -> None:
    """Case 52; `max_age` is text of digits at most."""
    _, claims = requester.begin(**changes)
    if changes.get("max_age"):
        answer = requester.party.read_answer(requester.send(requester.key.sign(claims)))
        assert answer["error"] == "invalid_request"
        return
    assert_refused(requester, requester.key.sign(claims))


@pytest.mark.parametrize("payload", [b'{"a":1,"a":2}', b"[]", b"{" * 30_000, b'{"exp":1e999}', b"\xff\xfe"])
@on_sqlite
def test_52_a_payload_that_is_no_one_json_object_is_refused(requester: Requester, payload: bytes) -> None:
    assert_refused(requester, requester.key.sign(payload[:20_000]))


# ----- 18: where the refusal goes -----


@pytest.mark.requirement("RFC 9101", "7", "a refusal never goes to a redirect URI that nobody vouched for")
@on_sqlite
def test_18_a_redirect_uri_within_is_believed_only_if_it_is_registered(requester: Requester) -> None:
    """Case 18: the page, although the object is well signed; and never the one beside the object."""
    _, claims = requester.begin(redirect_uri="https://evil.example/cb")
    for beside in ({}, {"redirect_uri": requester.party.redirect_uri}):
        with nothing_changes(requester.world):
            assert_page(requester.send(requester.key.sign(claims), beside=beside))


@on_sqlite
def test_18_a_broken_object_never_leads_to_an_unregistered_uri(requester: Requester) -> None:
    """Case 18: neither to the one within nor to the one beside."""
    _, claims = requester.begin(redirect_uri="https://evil.example/cb")
    beside = {"redirect_uri": "https://evil.example/cb", "scope": "openid"}
    for raw in (unsigned(json.dumps(claims).encode()), "junk"):
        assert_page(requester.send(raw, beside=beside))
        assert_page(requester.send(raw, beside={"scope": "openid"}), error="invalid_request_object")


@on_sqlite
def test_a_refusal_of_what_a_good_object_asks_goes_where_it_says(requester: Requester) -> None:
    pending, claims = requester.begin(code_challenge=..., response_mode="fragment")
    answer = requester.party.read_answer(requester.send(requester.key.sign(claims)), mode="fragment")
    assert (answer["error"], answer["state"]) == ("invalid_request", pending.state)


# ----- 48: who must send one, and by reference -----


@pytest.mark.requirement("RFC 9101", "10.5", "a client that must sign its requests cannot send plain ones")
@on_sqlite
def test_48_a_plain_request_of_a_client_that_must_sign_is_refused(world: World) -> None:
    requester = Requester(world, require_signed_request_object=True)
    pending, claims = requester.begin()
    with nothing_changes(world):
        plain = requester.party.read_answer(send(world.url + pending.url.removeprefix(world.issuer)))
    assert (plain["error"], plain["state"]) == ("invalid_request", pending.state)
    assert "login?" in requester.send(requester.key.sign(claims)).location


@pytest.mark.requirement("RFC 9101", "5.2", "a request_uri that is not registered is refused and not fetched")
@pytest.mark.parametrize(
    "request_uri", ["https://rp.example/unregistered", "urn:ietf:params:oauth:request_uri:x", "http://127.0.0.1/", "x"]
)
@on_sqlite
def test_46_an_address_that_is_not_registered_is_not_fetched(requester: Requester, request_uri: str) -> None:
    """Case 46."""
    beside = {"redirect_uri": requester.party.redirect_uri, "request_uri": request_uri}
    with nothing_changes(requester.world):
        reply = send(requester.world.url + requester.url(beside=beside).removeprefix(requester.world.issuer))
    assert requester.party.read_answer(reply)["error"] == "invalid_request_uri"


@on_sqlite
def test_an_object_by_value_and_by_reference_at_once_is_refused(requester: Requester) -> None:
    _, claims = requester.begin()
    beside = {"redirect_uri": requester.party.redirect_uri, "request_uri": "https://rp.example/ro"}
    answer = requester.party.read_answer(requester.send(requester.key.sign(claims), beside=beside))
    assert answer["error"] == "invalid_request"


# ----- 51: encrypted -----


def our_keys(world: World) -> dict[str, PublicKey]:
    """What clients encrypt to."""
    jwks = send(f"{world.url}/jwks").json()["keys"]
    return {key["alg"]: import_encryption_jwk(key) for key in jwks if key["use"] == "enc"}


@pytest.mark.requirement("RFC 9101", "6.1", "an object that is encrypted to the server is decrypted")
@pytest.mark.parametrize(
    ("alg", "enc"),
    [
        ("RSA-OAEP-256", "A256GCM"),
        ("RSA-OAEP-256", "A128CBC-HS256"),
        ("ECDH-ES", "A128GCM"),
        ("ECDH-ES", "A256CBC-HS512"),
    ],
)
@on_sqlite
def test_51_an_encrypted_object_is_opened(requester: Requester, alg: str, enc: str) -> None:
    """Case 51, the good neighbour."""
    pending, claims = requester.begin()
    key = our_keys(requester.world)[alg]
    raw = encrypt_jwe(requester.key.sign(claims).encode(), key, alg=alg, enc=enc, cty="JWT")
    assert good_answer(requester, raw)["state"] == pending.state


@on_sqlite
def test_51_what_cannot_be_opened_is_refused_alike(requester: Requester) -> None:
    """Case 51: for another key, changed, nested again, compressed, by a weak algorithm: one sentence for all of it."""
    _, claims = requester.begin()
    signed = requester.key.sign(claims).encode()
    key = our_keys(requester.world)["ECDH-ES"]
    stranger = import_encryption_jwk({**public_members(generate_private_jwk("ECDH-ES")), "kid": key.kid})
    good = encrypt_jwe(signed, key, alg="ECDH-ES", enc="A256GCM")
    header, *rest = good.split(".")
    parsed = json.loads(_decode(header))

    def with_header(**members: Any) -> str:
        return ".".join([encode_base64url(json.dumps({**parsed, **members}).encode()), *rest])

    bad = [
        encrypt_jwe(signed, stranger, alg="ECDH-ES", enc="A256GCM"),
        good[:-2] + ("AA" if good[-2:] != "AA" else "BB"),
        encrypt_jwe(good.encode(), key, alg="ECDH-ES", enc="A256GCM"),
        encrypt_jwe(b"\xff" * 100, key, alg="ECDH-ES", enc="A256GCM"),
        with_header(zip="DEF"),
        with_header(alg="RSA1_5"),
        with_header(alg="PBES2-HS256+A128KW", p2c=2**31, p2s="AAAA"),
        with_header(alg="dir"),
        with_header(jku="https://evil.example"),
        with_header(kid="unknown"),
    ]
    sentences = set()
    for raw in bad:
        beside = {"redirect_uri": requester.party.redirect_uri}
        answer = requester.party.read_answer(requester.send(raw, beside=beside))
        assert answer["error"] == "invalid_request_object"
        sentences.add(answer["error_description"].partition(" [")[0])
    assert len(sentences) == 1


@on_sqlite
def test_51_what_is_encrypted_must_be_signed_too(requester: Requester) -> None:
    """Case 51: anybody can encrypt to us."""
    _, claims = requester.begin()
    key = our_keys(requester.world)["RSA-OAEP-256"]
    for within in (json.dumps(claims).encode(), unsigned(json.dumps(claims).encode()).encode()):
        assert_refused(requester, encrypt_jwe(within, key, alg="RSA-OAEP-256", enc="A128GCM"))


def _decode(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
