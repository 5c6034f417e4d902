import base64
from urllib.parse import parse_qsl, quote_plus, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.specs.protocol_error import InvalidClient, InvalidScope
from app.specs.rfc6749_oauth import (
    build_redirect,
    format_scope,
    is_scope_token,
    parse_basic_credentials,
    parse_scope,
)

VSCHARS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1)
ANY_TEXT = st.text(st.characters(codec="utf-8"), min_size=1)


def basic(credentials: str | bytes) -> str:
    raw = credentials.encode() if isinstance(credentials, str) else credentials
    return "Basic " + base64.b64encode(raw).decode()


# ----- Scope -----


def test_scope_keeps_its_order_and_drops_repetitions() -> None:
    assert parse_scope("photos.read openid photos.read email") == ("photos.read", "openid", "email")


@pytest.mark.parametrize("value", [None, ""])
def test_no_scope_is_an_empty_tuple(value: str | None) -> None:
    assert parse_scope(value) == ()


def test_every_character_of_the_grammar_is_a_scope_token() -> None:
    allowed = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"\\')
    assert parse_scope(allowed) == (allowed,)
    assert format_scope(parse_scope(f"{allowed} openid")) == f"{allowed} openid"


@pytest.mark.requirement("RFC 6749", "3.3", "scope is a list of space-delimited scope-tokens")
@pytest.mark.parametrize(
    "value", [" ", "a  b", " a", "a ", 'a"b', "a\\b", "a\tb", "a\n", "\x00", "é", "a\u00a0b", "ａ", "a\x7f"]
)
def test_scope_outside_the_grammar_is_refused(value: str) -> None:
    with pytest.raises(InvalidScope):
        parse_scope(value)


def test_a_hundred_scopes_are_read_and_one_more_is_refused() -> None:
    tokens = [f"s{number}" for number in range(101)]
    assert len(parse_scope(" ".join(tokens[:100]))) == 100
    with pytest.raises(InvalidScope, match="too many"):
        parse_scope(" ".join(tokens))


def test_a_scope_token_is_told_from_a_list_of_them() -> None:
    assert is_scope_token("photos.read")
    assert not is_scope_token("photos read")
    assert not is_scope_token("")
    assert not is_scope_token("photos\n")


# ----- Basic -----


@pytest.mark.requirement("RFC 6749", "2.3.1", "HTTP Basic with the encoded identifier and secret")
def test_the_example_of_section_2_3_1_is_read() -> None:
    authorization = "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3"
    assert parse_basic_credentials(authorization) == ("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw")


@given(VSCHARS, VSCHARS)
def test_any_credentials_that_the_grammar_allows_survive_the_encoding(client_id: str, secret: str) -> None:
    authorization = basic(f"{quote_plus(client_id)}:{quote_plus(secret)}")
    assert parse_basic_credentials(authorization) == (client_id, secret)


@given(st.binary())
def test_any_octets_give_credentials_or_invalid_client(octets: bytes) -> None:
    try:
        client_id, secret = parse_basic_credentials(basic(octets))
    except InvalidClient:
        return
    assert (client_id + secret).isascii()
    assert client_id
    assert secret


def test_a_client_id_that_is_a_url_comes_encoded() -> None:
    assert parse_basic_credentials(basic("https%3A%2F%2Frp.example%2Fclient:s%3Ae")) == (
        "https://rp.example/client",
        "s:e",
    )


def test_the_scheme_is_case_insensitive() -> None:
    assert parse_basic_credentials(basic("a:b").replace("Basic", "bASIC")) == ("a", "b")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic",
        "Basic ",
        "Bearer YTpi",
        "Basic YTpi YTpi",
        "Basic YTpi, Basic YTpi",
        "Basic YTpi\n",
        "Basic\tYTpi",
        " Basic YTpi",
        "Basic YTp",
        "Basic YTpi=",
        "Basic YTpiYh==",
        "Basic YTo_",
        "Basic " + "=" * 4,
        "Basic Y",
        basic("no-colon"),
        basic(":secret"),
        basic("id:"),
        basic(b"id:\xff\xfe"),
        basic(b"\xc0\xaf:secret"),
        basic("id:%ff"),
        basic("id:%zz"),
        basic("id:100%"),
        basic("id:a%00b"),
        basic("i\nd:secret"),
        basic("id:secr\x7fet"),
        basic("id:geheim€"),
        "Basic " + "A" * 100_001,
    ],
)
def test_odd_basic_credentials_are_invalid_client(authorization: str) -> None:
    with pytest.raises(InvalidClient) as refusal:
        parse_basic_credentials(authorization)
    assert refusal.value.status == 401


# ----- Redirect -----


@pytest.mark.requirement("RFC 6749", "4.1.2", "code and state are added to the query component")
def test_the_example_of_section_4_1_2_is_built() -> None:
    location = build_redirect("https://client.example.com/cb", {"code": "SplxlOBeZQQYbYS6WxSbIA", "state": "xyz"})
    assert location == "https://client.example.com/cb?code=SplxlOBeZQQYbYS6WxSbIA&state=xyz"


@pytest.mark.requirement("RFC 9207", "2", "iss is the issuer identifier, form-encoded")
def test_the_issuer_is_encoded_like_the_example_of_rfc_9207() -> None:
    params = {
        "code": "x1848ZT64p4IirMPT0R-X3141MFPTuBX-VFL_cvaplMH58",
        "state": "ZWVlNDBlYzA1NjdkMDNhYjg3ZjUxZjAyNGQzMTM2NzI",
    }
    location = build_redirect("https://client.example/cb", {**params, "iss": "https://honest.as.example"})
    assert location.endswith("&iss=https%3A%2F%2Fhonest.as.example")


@pytest.mark.requirement("RFC 6749", "3.1.2", "an existing query component must be retained")
@pytest.mark.parametrize(
    ("registered", "location"),
    [
        ("https://rp.example/cb?x=1", "https://rp.example/cb?x=1&code=c"),
        ("https://rp.example/cb?x=%7e+%20&&y", "https://rp.example/cb?x=%7e+%20&&y&code=c"),
        ("https://rp.example/cb?", "https://rp.example/cb?code=c"),
        ("https://rp.example/cb?x=1&", "https://rp.example/cb?x=1&code=c"),
        ("com.example.app:/cb", "com.example.app:/cb?code=c"),
        ("http://127.0.0.1:51004/cb", "http://127.0.0.1:51004/cb?code=c"),
    ],
)
def test_a_registered_query_is_kept_byte_for_byte(registered: str, location: str) -> None:
    assert build_redirect(registered, {"code": "c"}) == location


def test_the_fragment_mode_leaves_the_query_alone() -> None:
    location = build_redirect("https://rp.example/cb?x=1", {"state": "a b", "iss": "i"}, response_mode="fragment")
    assert location == "https://rp.example/cb?x=1#state=a%20b&iss=i"


@given(ANY_TEXT)
def test_any_state_comes_back_exactly_and_cannot_split_the_header(state: str) -> None:
    location = build_redirect("https://rp.example/cb", {"state": state})
    assert dict(parse_qsl(urlsplit(location).query, strict_parsing=True)) == {"state": state}
    assert location.isascii()
    assert location.isprintable()
    assert " " not in location


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://rp.example/cb#x",
        "https://rp.example/cb\r\nSet-Cookie: a=b",
        "https://rp.example/c b",
        "https://rp.example\\cb",
        "https://rp.example/é",
        'https://rp.example/"',
        "",
    ],
)
def test_a_redirect_uri_that_could_not_be_registered_never_becomes_a_header(redirect_uri: str) -> None:
    with pytest.raises(ValueError, match="redirect_uri holds a character"):
        build_redirect(redirect_uri, {"code": "c"})
