import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.specs.rfc3986_uri import Uri, check_web_host, parse_uri


@pytest.mark.requirement("RFC 3986", "3", "the example of the components")
def test_the_example_of_section_3_is_taken_apart() -> None:
    uri = parse_uri("foo://example.com:8042/over/there?name=ferret#nose")
    assert uri == Uri(
        scheme="foo",
        userinfo=None,
        host="example.com",
        port=8042,
        path="/over/there",
        query="name=ferret",
        fragment="nose",
    )


@pytest.mark.requirement("RFC 3986", "1.1.2", "the example URIs")
@pytest.mark.parametrize(
    ("value", "host", "path"),
    [
        ("ftp://ftp.is.co.za/rfc/rfc1808.txt", "ftp.is.co.za", "/rfc/rfc1808.txt"),
        ("http://www.ietf.org/rfc/rfc2396.txt", "www.ietf.org", "/rfc/rfc2396.txt"),
        ("ldap://[2001:db8::7]/c=GB?objectClass?one", "[2001:db8::7]", "/c=GB"),
        ("mailto:John.Doe@example.com", None, "John.Doe@example.com"),
        ("tel:+1-816-555-1212", None, "+1-816-555-1212"),
        ("telnet://192.0.2.16:80/", "192.0.2.16", "/"),
        (
            "urn:oasis:names:specification:docbook:dtd:xml:4.1.2",
            None,
            "oasis:names:specification:docbook:dtd:xml:4.1.2",
        ),
    ],
)
def test_the_examples_of_section_1_1_2_are_read(value: str, host: str | None, path: str) -> None:
    uri = parse_uri(value)
    assert (uri.host, uri.path) == (host, path)


def test_an_empty_part_is_told_from_an_absent_one() -> None:
    uri = parse_uri("https://@rp.example/?#")
    assert (uri.userinfo, uri.query, uri.fragment) == ("", "", "")
    bare = parse_uri("https://rp.example")
    assert (bare.userinfo, bare.query, bare.fragment, bare.port, bare.path) == (None, None, None, None, "")


@given(st.text(st.sampled_from("aZ0.:/?#[]@!$&'()*+,;=%-_~ \\\n\x00é"), max_size=40))
def test_the_parts_of_any_uri_that_is_read_make_it_again(rest: str) -> None:
    value = "a:" + rest
    try:
        uri = parse_uri(value)
    except ValueError:
        return
    authority = ""
    if uri.host is not None:
        authority = f"//{'' if uri.userinfo is None else uri.userinfo + '@'}{uri.host}"
        authority += "" if uri.port is None else f":{uri.port}"
    query = "" if uri.query is None else f"?{uri.query}"
    fragment = "" if uri.fragment is None else f"#{uri.fragment}"
    assert f"{uri.scheme}:{authority}{uri.path}{query}{fragment}" == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "relative/path",
        "//host/path",
        "1a:b",
        ":x",
        "a b:c",
        "https://h/%",
        "https://h/%g0",
        "https://h/\u00e9",
        "https://h/#a#b",
        "https://h/[x]",
        "https://h]/",
        "https://[::1]]/",
        "https://u[@h/",
        "https://h:99999/",
        "https://" + "a" * 2041,
    ],
)
def test_what_is_no_absolute_uri_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"must|holds"):
        parse_uri(value)


@pytest.mark.parametrize("host", ["rp.example", "localhost", "192.0.2.1", "[::1]", "xn--bcher-kva.example", "a" * 63])
def test_a_host_in_its_one_form_is_accepted(host: str) -> None:
    check_web_host(host)


@pytest.mark.parametrize(
    "host",
    [None, "", "RP.example", "a..b", "a.", "1.2.3", "1.2.3.256", "0x7f.1", "[::01]", "[1.2.3.4]", "a" * 64, "xn--a-"],
)
def test_a_host_in_any_other_form_is_refused(host: str | None) -> None:
    with pytest.raises(ValueError, match=r"must|punycode"):
        check_web_host(host)
