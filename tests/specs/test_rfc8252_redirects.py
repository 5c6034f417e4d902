import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.specs.protocol_error import InvalidRedirectUri
from app.specs.rfc8252_redirects import (
    check_redirect_uri_registration,
    display_host,
    matches_redirect_uri,
    redirect_kind,
)
from tests.patience import cpu_seconds

REGISTERED = "https://rp.example/cb"

# What no server may register, whatever the application type: attacks 19 to 26.
NEVER_REGISTERED = [
    # not absolute, not whole
    "",
    "//evil.example/cb",
    "/cb",
    "cb",
    "https:evil.example",
    "https:/evil.example",
    "https:///cb",
    "https://",
    "https://:443/cb",
    # fragments
    "https://rp.example/cb#",
    "https://rp.example/cb#x",
    # credentials and backslashes
    "https://user@rp.example/cb",
    "https://rp.example@evil.example/cb",
    "https://@rp.example/cb",
    "https://a@b@rp.example/cb",
    "https://rp.example\\@evil.example/",
    "https://rp.example\\.evil.example/",
    "https:/\\evil.example",
    "https://rp.example/%5c..%5cevil",
    # white space and controls
    " https://rp.example/cb",
    "https://rp.example/cb ",
    "https://rp.example/c b",
    "https://rp.example/cb\n",
    "https://rp.example/cb\r\nLocation: x",
    "https://rp\t.example/cb",
    "\x01https://rp.example/cb",
    "https://rp.example/cb\x00",
    "https://rp.example/%00cb",
    "https://rp.example/%0d%0aSet-Cookie:x",
    "https://rp.example/%7f",
    # paths that two servers read differently
    "https://rp.example/cb/../evil",
    "https://rp.example/cb/./",
    "https://rp.example/..",
    "https://rp.example/cb/..;/x",
    "https://rp.example/cb/..;a=b/x",
    "https://rp.example/cb/%2e%2e/evil",
    "https://rp.example/cb/%2E./evil",
    "https://rp.example/cb%2f..%2f",
    "https://rp.example/cb%2F",
    "https://rp.example/%",
    "https://rp.example/%zz",
    # wildcards
    "https://*.rp.example/cb",
    "https://*/cb",
    "https://rp.example/*",
    "https://rp.example/cb?x=*",
    # plain http off this device, and what only looks like loopback
    "http://rp.example/cb",
    "http://192.0.2.1/cb",
    "http://169.254.169.254/latest",
    "http://127.0.0.2/cb",
    "http://127.1/cb",
    "http://0x7f000001/cb",
    "http://2130706433/cb",
    "http://0177.0.0.1/cb",
    "http://[::ffff:127.0.0.1]/cb",
    "http://[0:0:0:0:0:0:0:1]/cb",
    "http://localhost./cb",
    "http://localhost.evil.example/cb",
    "http://app.localhost/cb",
    "http://0.0.0.0/cb",
    # hosts that browsers rewrite
    "https://RP.example/cb",
    "https://rp.example./cb",
    "https://rp..example/cb",
    "https://-rp.example/cb",
    "https://rp-.example/cb",
    "https://rp_x.example/cb",
    "https://r%70.example/cb",
    "https://127.1/cb",
    "https://0x7f000001/cb",
    "https://192.0.2.1.5/cb",
    "https://[::1/cb",
    "https://[::1]x/cb",
    "https://[fe80::1%25eth0]/cb",
    "https://[2001:DB8::1]/cb",
    "https://[v1.x]/cb",
    "https://rp.example:/cb",
    "https://rp.example:0/cb",
    "https://rp.example:65536/cb",
    "https://rp.example:0443/cb",
    "https://rp.example:44a/cb",
    "https://rp.example:1:2/cb",
    f"https://{'a' * 64}.example/cb",
    "https://xn--.example/cb",
    "https://xn--evil-.example/cb",
    "https://xn--99999999999.example/cb",
    # beyond ASCII
    "https://ｒp.example/cb",
    "https://rp。example/cb",
    "https://rр.example/cb",
    "https://rp.example/caf\u00e9",
    "https://rp.example/cafe\u0301",
    # schemes
    "HTTPS://rp.example/cb",
    "javascript:alert(1)",
    "JaVaScRiPt://x/%0aalert(1)",
    "javascript://rp.example/%0aalert(1)",
    "data:text/html,x",
    "vbscript:x",
    "file:///etc/passwd",
    "blob:https://rp.example/1",
    "about:blank",
    "ftp://rp.example/cb",
    "ws://rp.example/cb",
    "intent://x/#Intent;end",
    "mailto:a@b.example",
    "view-source:https://rp.example/",
    "urn:ietf:wg:oauth:2.0:oob",
    "urn:ietf:wg:oauth:2.0:oob:auto",
    "myapp:/cb",
    "myapp://cb",
    "Com.Example.App:/cb",
    "com.example.app:cb",
    "com.example.app:",
    "com.example.app://",
    "com..app:/cb",
    "com.example.:/cb",
    "com.example.app:/cb#x",
    "com.example.app://user@host/cb",
    # what would be in the response twice
    "https://rp.example/cb?code=x",
    "https://rp.example/cb?a=1&state=x",
    "https://rp.example/cb?%69ss=x",
    "https://rp.example/cb?error",
    # brackets, size
    "https://rp.example/cb?a[]=1",
    "https://rp.example/" + "a" * 2048,
]

WEB = [
    "https://rp.example/cb",
    "https://rp.example",
    "https://rp.example/",
    "https://rp.example:8443/cb",
    "https://rp.example/cb?x=1&y=%20+z",
    "https://rp.example/cb?",
    "https://rp.example/a//b",
    "https://rp.example/a%20b/.well-known/...",
    "https://rp.example/cb;v=1",
    "https://rp.example/@user/cb",
    "https://xn--bcher-kva.example/cb",
    "https://192.0.2.1/cb",
    "https://[2001:db8::1]:8443/cb",
    "https://localhost.emobix.co.uk:8443/test/a/x/callback?dummy1=lorem&dummy2=ipsum",
    "http://127.0.0.1/cb",
    "http://127.0.0.1:8080/cb",
    "http://[::1]/cb",
    "http://[::1]:8080/cb",
    "http://localhost:3000/api/auth/callback",
]

NATIVE = [
    # RFC 8252 sections 7.1 to 7.3
    "com.example.app:/oauth2redirect/example-provider",
    "https://app.example.com/oauth2redirect/example-provider",
    "http://127.0.0.1:51004/oauth2redirect/example-provider",
    "http://[::1]:61023/oauth2redirect/example-provider",
    "com.example.app://callback",
    "com.example.app://oauth_callback/x",
    "com.example.my-app:/",
]

URI_TEXT = st.text(st.sampled_from("abAB01.:/?#[]@!$&'()*+,;=%-_~ \\\t\n\x00é／。"), max_size=30)


# ----- Registration -----


@pytest.mark.parametrize("uri", NEVER_REGISTERED)
@pytest.mark.parametrize("application_type", ["web", "native"])
def test_a_dangerous_or_ambiguous_uri_is_never_registered(uri: str, application_type: str) -> None:
    with pytest.raises(InvalidRedirectUri) as refusal:
        check_redirect_uri_registration(uri, application_type=application_type)
    # RFC 6749 5.2: the characters of error_description.
    assert re.fullmatch(r"[\x20\x21\x23-\x5b\x5d-\x7e]+", refusal.value.description)


@pytest.mark.parametrize("uri", WEB)
def test_a_web_application_registers_https_and_loopback(uri: str) -> None:
    check_redirect_uri_registration(uri)


@pytest.mark.requirement("RFC 8252", "7", "private-use schemes, claimed https URIs and loopback are supported")
@pytest.mark.parametrize("uri", NATIVE)
def test_a_native_application_registers_the_three_kinds_of_rfc_8252(uri: str) -> None:
    check_redirect_uri_registration(uri, application_type="native")


def test_a_private_use_scheme_needs_a_native_application() -> None:
    with pytest.raises(InvalidRedirectUri, match="application_type native"):
        check_redirect_uri_registration("com.example.app:/cb")


@pytest.mark.requirement("RFC 8252", "8.4", "private-use schemes without a period character are rejected")
def test_a_scheme_without_a_dot_is_refused_for_native_applications_too() -> None:
    with pytest.raises(InvalidRedirectUri, match="reversed domain name"):
        check_redirect_uri_registration("myapp:/cb", application_type="native")


@pytest.mark.requirement("RFC 6749", "3.1.2", "the endpoint URI must not include a fragment component")
def test_a_fragment_is_named_as_the_reason() -> None:
    with pytest.raises(InvalidRedirectUri, match="must not have a fragment"):
        check_redirect_uri_registration("https://rp.example/cb#frag")


def test_the_description_does_not_repeat_the_uri_but_the_detail_does() -> None:
    with pytest.raises(InvalidRedirectUri) as refusal:
        check_redirect_uri_registration("http://internal.example/cb")
    assert "internal" not in refusal.value.description
    assert "internal.example" in refusal.value.detail


@given(
    st.sampled_from(["https://", "http://127.0.0.1", "http://[::1]", "com.example.app:/", "https://rp.example/"]),
    URI_TEXT,
)
def test_what_registers_is_ascii_without_fragment_backslash_or_space(prefix: str, rest: str) -> None:
    uri = prefix + rest
    try:
        check_redirect_uri_registration(uri, application_type="native")
    except InvalidRedirectUri:
        return
    assert uri.isascii()
    assert uri.isprintable()
    assert not set(uri) & set('#\\ *"<>')
    assert redirect_kind(uri) in ("https", "loopback", "custom")
    assert matches_redirect_uri(uri, uri)


@pytest.mark.parametrize(
    "uri",
    [
        "a@a@" * 25_000,
        "https://" + "a." * 1000,
        "https://rp.example/" + "%0" * 1000,
        "com" + ".a" * 1000 + "!:/",
        "https://rp.example/" + "../" * 600,
        "(" * 100_000,
        "https://xn--" + "a" * 2000,
    ],
)
def test_hostile_uris_cost_time_linear_in_their_size(uri: str) -> None:
    def judge() -> None:
        with pytest.raises(InvalidRedirectUri):
            check_redirect_uri_registration(uri, application_type="native")
        matches_redirect_uri(uri, "http://127.0.0.1/cb")

    assert cpu_seconds(judge) < 0.1


# ----- Comparison -----


@pytest.mark.requirement("RFC 9700", "2.1", "redirect URIs are compared by exact string matching")
@pytest.mark.parametrize(
    "requested",
    [
        "https://rp.example/cb/../evil",
        "https://rp.example/cb/..;/x",
        "https://rp.example/cb%2f..%2f",
        "https://rp.example/cb/./",
        "https://rp.example/cb//",
        "https://rp.example/cb/",
        "https://rp.example/cb?",
        "https://rp.example/cb?x=1",
        "https://rp.example/cb;evil=1",
        "https://rp.example/cb#",
        "https://rp.example/cb#x",
        "https://rp.example/cb%23",
        "https://rp.example\\@evil.example/cb",
        "https://rp.example/cb ",
        " https://rp.example/cb",
        "https://rp.example/cb\n",
        "https://rp.example/c\tb",
        "HTTPS://RP.EXAMPLE/CB",
        "https://RP.example/cb",
        "https://rp.example/CB",
        "https://rp.example/%63b",
        "https://rp.example:443/cb",
        "https://rp.example:8443/cb",
        "http://rp.example/cb",
        "//rp.example/cb",
        "https://rp.example.evil.example/cb",
        "https://ｒp.example/cb",
        "https://rp。example/cb",
        "",
    ],
)
def test_a_requested_uri_that_differs_in_anything_is_not_the_registered_one(requested: str) -> None:
    assert matches_redirect_uri(REGISTERED, REGISTERED)
    assert not matches_redirect_uri(requested, REGISTERED)


@given(URI_TEXT, URI_TEXT)
def test_beside_the_loopback_literals_only_equal_strings_match(requested: str, registered: str) -> None:
    assume(requested != registered)
    assert not matches_redirect_uri(requested, registered)
    assert not matches_redirect_uri(f"https://rp.example{requested}", f"https://rp.example{registered}")


@pytest.mark.parametrize("query", ["?a=1&b=2", "?b=2&a=1&", "?a=1&b=2&c=3", ""])
def test_a_registered_query_is_matched_in_its_order_and_whole(query: str) -> None:
    assert not matches_redirect_uri(f"https://rp.example/cb{query}", "https://rp.example/cb?b=2&a=1")


@pytest.mark.requirement("RFC 8252", "7.3", "any port must be allowed for loopback IP redirect URIs")
@pytest.mark.parametrize("literal", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize("rest", ["/cb", "", "/cb?x=1", "?x=1", "/"])
@given(port=st.integers(1, 65535))
def test_a_loopback_literal_matches_on_any_port(literal: str, rest: str, port: int) -> None:
    requested = f"http://{literal}:{port}{rest}"
    assert matches_redirect_uri(requested, f"http://{literal}{rest}")
    assert matches_redirect_uri(requested, f"http://{literal}:8080{rest}")
    assert matches_redirect_uri(f"http://{literal}{rest}", f"http://{literal}:8080{rest}")


@pytest.mark.parametrize(
    ("requested", "registered"),
    [
        ("http://127.0.0.1:8080/cb/x", "http://127.0.0.1/cb"),
        ("http://127.0.0.1:8080/cb?x=1", "http://127.0.0.1/cb"),
        ("http://127.0.0.1:8080/cb", "http://127.0.0.1/cb?x=1"),
        ("http://127.0.0.1:8080", "http://127.0.0.1/"),
        ("http://127.0.0.1:8080/CB", "http://127.0.0.1/cb"),
        ("http://127.0.0.1:8080/cb#x", "http://127.0.0.1/cb"),
        ("http://127.0.0.1:8080/cb\n", "http://127.0.0.1/cb"),
        ("http://127.0.0.1:/cb", "http://127.0.0.1/cb"),
        ("http://127.0.0.1:080/cb", "http://127.0.0.1/cb"),
        ("http://127.0.0.1:65536/cb", "http://127.0.0.1/cb"),
        ("http://127.0.0.1:8080@evil.example/cb", "http://127.0.0.1/cb"),
        ("http://127.0.0.1@evil.example/cb", "http://127.0.0.1/cb"),
        ("http://127.0.0.1.evil.example/cb", "http://127.0.0.1/cb"),
        ("http://127.0.0.1:80a/cb", "http://127.0.0.1/cb"),
        ("http://127.0.0.1:１/cb", "http://127.0.0.1/cb"),
        ("https://127.0.0.1:8443/cb", "https://127.0.0.1/cb"),
        ("https://127.0.0.1:8443/cb", "http://127.0.0.1/cb"),
        ("HTTP://127.0.0.1:8080/cb", "http://127.0.0.1/cb"),
        ("http://[::1]:8080/cb", "http://127.0.0.1/cb"),
        ("http://127.0.0.1:8080/cb", "http://[::1]/cb"),
        ("http://[0:0:0:0:0:0:0:1]:8080/cb", "http://[::1]/cb"),
        ("http://[::ffff:127.0.0.1]:8080/cb", "http://127.0.0.1/cb"),
        ("http://127.1:8080/cb", "http://127.0.0.1/cb"),
        ("http://0x7f000001:8080/cb", "http://127.0.0.1/cb"),
        ("http://127x0y0z1:8080/cb", "http://127.0.0.1/cb"),
    ],
)
def test_the_loopback_exception_is_for_the_port_and_nothing_else(requested: str, registered: str) -> None:
    assert not matches_redirect_uri(requested, registered)


@pytest.mark.parametrize(
    ("requested", "registered"),
    [
        ("http://localhost:8080/cb", "http://localhost/cb"),
        ("http://localhost:8080/cb", "http://localhost:9090/cb"),
        ("http://localhost:8080/cb", "http://127.0.0.1/cb"),
        ("http://127.0.0.1:8080/cb", "http://localhost/cb"),
    ],
)
@pytest.mark.requirement("RFC 8252", "8.3", "the name localhost is not recommended: its port is compared")
def test_localhost_is_a_name_like_any_other(requested: str, registered: str) -> None:
    assert not matches_redirect_uri(requested, registered)
    assert matches_redirect_uri(requested, requested)


# ----- What people are told -----


@pytest.mark.parametrize(
    ("uri", "kind", "shown"),
    [
        ("https://rp.example/cb", "https", "rp.example"),
        ("https://rp.example:8443/cb?x=1", "https", "rp.example"),
        ("https://xn--bcher-kva.example/cb", "https", "xn--bcher-kva.example"),
        ("https://192.0.2.1/cb", "https", "192.0.2.1"),
        ("https://[2001:db8::1]:8443/cb", "https", "[2001:db8::1]"),
        ("http://127.0.0.1:51004/cb", "loopback", "this device"),
        ("http://[::1]/cb", "loopback", "this device"),
        ("http://localhost:3000/cb", "loopback", "this device"),
        ("https://localhost:3000/cb", "loopback", "this device"),
        ("https://app.localhost/cb", "loopback", "this device"),
        ("com.example.app:/cb", "custom", "com.example.app"),
        ("com.example.app://bank.example/cb", "custom", "com.example.app"),
    ],
)
def test_people_see_where_a_redirect_leads(uri: str, kind: str, shown: str) -> None:
    assert redirect_kind(uri) == kind
    assert display_host(uri) == shown


@pytest.mark.parametrize("uri", ["http://rp.example/cb", "rp.example", ""])
def test_what_could_not_be_registered_has_no_kind(uri: str) -> None:
    with pytest.raises(ValueError, match=r"http leads nowhere|absolute|characters"):
        redirect_kind(uri)


@pytest.mark.parametrize(
    ("requested", "registered", "matches"),
    [
        ("http://localhost:3118/cb", "http://localhost/cb", True),
        ("http://localhost:3118/cb?x=1", "http://localhost/cb?x=1", True),
        ("http://localhost:3118/other", "http://localhost/cb", False),
        ("http://localhost:3118/cb", "http://localhost:8080/cb", False),
        ("http://localhost:70000/cb", "http://localhost/cb", False),
        ("http://localhost:3118@evil.example/cb", "http://localhost/cb", False),
        ("http://localhost.evil.example:3118/cb", "http://localhost/cb", False),
        ("https://localhost:3118/cb", "http://localhost/cb", False),
        ("http://127.0.0.1:3118/cb", "http://localhost/cb", False),
    ],
)
@pytest.mark.requirement("RFC 8252", "8.3", "the name localhost has any port only where that was decided")
def test_localhost_without_a_port_has_any_port_where_the_caller_says_so(
    requested: str, registered: str, matches: bool
) -> None:
    assert matches_redirect_uri(requested, registered, any_port_of_localhost=True) is matches
    assert not matches_redirect_uri(requested, registered)
