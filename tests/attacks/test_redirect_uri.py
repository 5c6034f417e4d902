"""attacks.md,
"Authorize: client and redirect_uri" (cases 17-30): every bad one ends on a page and changes nothing."""

from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from app.services.manage_clients import disable_client
from app.specs.protocol_error import InvalidRedirectUri
from tests.actors.http import Reply, send
from tests.actors.relying_party import RelyingParty
from tests.attacks.good_conduct import assert_page, nothing_changes
from tests.databases import on_sqlite
from tests.patience import wait_until
from tests.world import World

pytestmark = pytest.mark.usefixtures("standing")

CALLBACK = "https://rp.example/cb"
# None of these may change where a refusal goes: each is a further thing that is wrong with the request.
DISTRACTIONS = {
    "nothing else": {},
    "prompt none": {"prompt": "none"},
    "bad response type": {"response_type": "banana"},
    "no response type": {"response_type": None},
    "implicit": {"response_type": "token"},
    "hybrid": {"response_type": "code id_token"},
    "bad scope": {"scope": 'openid "'},
    "no openid": {"scope": None},
    "fragment": {"response_mode": "fragment"},
    "form post": {"response_mode": "form_post"},
    "no challenge": {"code_challenge": None},
    "request object": {"request": "eyJhbGciOiJub25lIn0.e30."},
    "huge state": {"state": "s" * 9000},
}


def ask(world: World, party: RelyingParty, **changes: object) -> Reply:
    """One authorization request from a browser in which nobody is logged in."""
    return send(world.url + party.begin(**changes).url.removeprefix(world.issuer))


def refused_everywhere(world: World, party: RelyingParty, **changes: object) -> None:
    """The request is refused on a page by GET and by POST, with prompt=none too, and nothing is written."""
    with nothing_changes(world):
        for more in ({}, {"prompt": "none"}):
            pending = party.begin(**{**more, **changes})
            assert_page(send(world.url + pending.url.removeprefix(world.issuer)))
            assert_page(send(f"{world.url}/authorize", method="POST", form=pending.parameters))


# ----- 17 and 18 -----


@pytest.mark.parametrize("client_id", ["unknown", None, "", "x" * 5000, "' OR 1=1 --", "ünïcode", " "])
@on_sqlite
def test_an_unknown_client_gets_no_redirect_whatever_else_is_wrong(world: World, client_id: str | None) -> None:
    """Case 17."""
    party = world.relying_party()
    with nothing_changes(world):
        for distraction in DISTRACTIONS.values():
            assert_page(ask(world, party, client_id=client_id, **distraction))


@on_sqlite
def test_a_client_id_in_another_case_or_with_spaces_is_unknown(world: World) -> None:
    """Case 17: an identifier is compared character by character."""
    party = world.relying_party()
    for client_id in (party.client_id.upper(), f" {party.client_id}", f"{party.client_id} ", party.client_id[:-1]):
        refused_everywhere(world, party, client_id=client_id)


@on_sqlite
def test_a_client_id_that_comes_twice_gets_no_redirect(world: World) -> None:
    """Case 17: the same one twice, and two."""
    party, other = world.relying_party(), world.relying_party()
    for client_ids in ([party.client_id] * 2, [party.client_id, other.client_id], [party.client_id, ""]):
        refused_everywhere(world, party, client_id=client_ids)


@pytest.mark.parametrize(
    "name", ["redirect_uri", "state", "scope", "response_type", "code_challenge", "nonce", "prompt"]
)
@on_sqlite
def test_any_parameter_that_comes_twice_ends_on_a_page(world: World, name: str) -> None:
    """Cases 17 and 18: which of the two is meant cannot be known, so nothing is sent anywhere."""
    party = world.relying_party()
    value = party.begin().parameters.get(name, "login")
    for values in ([value, value], [value, ""], ["", value]):
        refused_everywhere(world, party, **{name: values})


@on_sqlite
def test_a_disabled_client_gets_no_redirect(world: World) -> None:
    """Case 17: from a second after the operator said so."""
    party = world.relying_party()
    assert ask(world, party).status == 303
    disable_client(world.operator.deployment, party.client_id)
    wait_until(lambda: ask(world, party).status != 303)
    refused_everywhere(world, party)


@pytest.mark.parametrize("distraction", DISTRACTIONS.values(), ids=DISTRACTIONS.keys())
@on_sqlite
def test_an_unregistered_redirect_uri_is_never_used_whatever_else_is_wrong(
    world: World, distraction: dict[str, str]
) -> None:
    """Case 18."""
    party = world.relying_party()
    with nothing_changes(world):
        reply = ask(world, party, redirect_uri="https://evil.example/cb", **distraction)
        assert_page(reply)
    assert "evil.example" not in reply.text
    assert urlsplit(party.redirect_uri).netloc not in reply.text


@on_sqlite
def test_a_logged_in_person_changes_nothing_about_it(world: World) -> None:
    """Case 18, with a session and a remembered consent: still no code, still no redirect."""
    account, party, browser = world.operator.add_user(), world.relying_party(), world.browser()
    world.get_code(party, account, browser=browser)
    with nothing_changes(world):
        for more in ({}, {"prompt": "none"}):
            assert_page(browser.send_once(party.begin(redirect_uri="https://evil.example/", **more).url))


@on_sqlite
def test_two_registered_uris_and_none_requested_is_a_page(world: World) -> None:
    """Case 18: nobody guesses which."""
    party = world.relying_party(redirect_uris=[CALLBACK, "https://rp.example/other"])
    refused_everywhere(world, party, redirect_uri=None)
    refused_everywhere(world, party, redirect_uri="")


# ----- 19 to 25: what is not the registered string -----

NOT_THE_CALLBACK = [
    # 19: dot segments and slashes
    "https://rp.example/cb/../evil", "https://rp.example/cb/..;/x", "https://rp.example/cb%2f..%2f",
    "https://rp.example/cb/./", "https://rp.example/cb//", "https://rp.example/cb/", "https://rp.example//cb",
    "https://rp.example/x/../cb", "https://rp.example/./cb", "https://rp.example/%2e/cb", "https://rp.example/c",
    "https://rp.example", "https://rp.example/", "https://rp.example/cb/%2e%2e/evil",
    "https://rp.example/cb\\..\\evil",
    # 20: query and fragment
    "https://rp.example/cb?", "https://rp.example/cb?x=1", "https://rp.example/cb;evil=1", "https://rp.example/cb#",
    "https://rp.example/cb#x", "https://rp.example/cb%23", "https://rp.example/cb%3fx=1",
    "https://rp.example/cb&x=1",
    # 21: what parsers repair
    "https://rp.example\\@evil.example/cb", "https://rp.example\\.evil.example/cb", "https:/\\evil.example",
    "//evil.example/cb", "https:evil.example", "https:rp.example/cb", "https:///rp.example/cb",
    " https://rp.example/cb",
    "https://rp.example/cb ", "https://rp.example/cb\u00a0", "https://rp.example /cb", "https://rp.exa mple/cb",
    "https://evil.example/https://rp.example/cb", "https://rp.example@evil.example/cb", "https://x@rp.example/cb",
    "https://rp.example:x@evil.example/cb", "https://rp.example.evil.example/cb", "https://evilrp.example/cb",
    "/cb", "cb",
    "https://rp.example/cb\u2028", "https://rp.example/cb\ufeff", "\ufeffhttps://rp.example/cb", "*",
    "https://*/cb",
    # 22: case and escapes
    "HTTPS://RP.EXAMPLE/CB", "HTTPS://rp.example/cb", "https://RP.example/cb", "https://rp.example/CB",
    "https://rp.example/%63b", "https://rp.example/c%62", "https://%72p.example/cb", "hTTps://rp.example/cb",
    # 23: port
    "https://rp.example:443/cb", "https://rp.example:8443/cb", "https://rp.example:/cb",
    "https://rp.example:0443/cb",
    "https://rp.example:80/cb", "http://rp.example/cb", "http://rp.example:443/cb",
    # 25: scripts that look alike
    "https://ｒp.example/cb", "https://rp。example/cb", "https://rр.example/cb", "https://xn--r-otb.example/cb",
    "https://rp.examp\u200dle/cb", "https://rp.example/cb\u0301", "https://ʀp.example/cb", "https://rp.example/ｃb",
    # 26: schemes
    "javascript:alert(1)", "JaVaScRiPt://rp.example/%250aalert(1)", "data:text/html,x", "vbscript:x",
    "file:///etc/passwd",
    "blob:https://rp.example/x", "about:blank", "urn:ietf:wg:oauth:2.0:oob", "urn:ietf:wg:oauth:2.0:oob:auto",
    "oob",
    "postmessage", "ftp://rp.example/cb", "view-source:https://rp.example/cb", "intent://rp.example/cb#Intent;end",
]  # fmt: skip


@pytest.mark.parametrize("requested", NOT_THE_CALLBACK)
@on_sqlite
def test_what_is_not_the_registered_redirect_uri_to_the_letter_is_refused(world: World, requested: str) -> None:
    """Cases 19-26."""
    refused_everywhere(world, world.relying_party(redirect_uris=[CALLBACK]), redirect_uri=requested)


@pytest.mark.parametrize("control", ["%09", "%0a", "%0d", "%00", "%0d%0a", "%1f", "%7f", "%c2%a0", "%e2%80%a8"])
def test_control_characters_in_a_redirect_uri_are_not_stripped(world: World, control: str) -> None:
    """Case 21: parsers of URLs drop tabs and newlines; here nothing is dropped."""
    url = world.relying_party(redirect_uris=[CALLBACK]).begin(redirect_uri=None).url.removeprefix(world.issuer)
    with nothing_changes(world):
        for before, after in (
            ("", CALLBACK),
            ("https://rp", ".example/cb"),
            (CALLBACK, ""),
            ("ht", "tps://rp.example/cb"),
        ):
            redirect_uri = quote(before, safe="") + control + quote(after, safe="")
            assert_page(send(f"{world.url}{url}&redirect_uri={redirect_uri}"))


@pytest.mark.parametrize(
    "requested",
    ["https://rp.example/cb?a=1", "https://rp.example/cb?b=2&a=1", "https://rp.example/cb?a=1&b=2&c=3",
     "https://rp.example/cb?a=1&b=2&", "https://rp.example/cb?a=1;b=2", "https://rp.example/cb?a=1&b=3",
     "https://rp.example/cb?a=1&b=2&b=2", "https://rp.example/cb?a=%31&b=2", "https://rp.example/cb",
     "https://rp.example/cb?A=1&b=2",
     "https://rp.example/cb?a=1&b=2#", "https://rp.example/cb?a=1&amp;b=2", "https://rp.example/cb?a=1+&b=2"],
)  # fmt: skip
@on_sqlite
def test_another_query_than_the_registered_one_is_refused(world: World, requested: str) -> None:
    """Case 20: extra, missing, in another order."""
    refused_everywhere(
        world, world.relying_party(redirect_uris=["https://rp.example/cb?a=1&b=2"]), redirect_uri=requested
    )


def test_a_composed_path_is_not_the_decomposed_one(world: World) -> None:
    """Case 25: NFC and NFD are two paths; both are escaped, so that they can be told apart."""
    party = world.relying_party(redirect_uris=["https://rp.example/caf%C3%A9"])
    assert ask(world, party).status == 303
    for path in ("cafe%CC%81", "café", "cafe\u0301", "caf%c3%a9", "caf%E9"):
        refused_everywhere(world, party, redirect_uri=f"https://rp.example/{path}")


# ----- 23 and 24: loopback -----

LOOPBACK = [("http://127.0.0.1/cb", "http://127.0.0.1"), ("http://[::1]/cb", "http://[::1]")]


@pytest.mark.parametrize(("registered", "origin"), LOOPBACK)
@pytest.mark.parametrize("port", ["", ":1", ":80", ":8080", ":65535"])
@on_sqlite
def test_a_loopback_literal_may_come_with_any_port(world: World, registered: str, origin: str, port: str) -> None:
    """Case 23: RFC 8252 7.3. The code then goes to that port, and is redeemed with it."""
    account = world.operator.add_user()
    party = world.relying_party(
        redirect_uris=[registered], token_endpoint_auth_method="none", application_type="native"
    )
    requested = f"{origin}{port}/cb"
    pending = party.begin(redirect_uri=requested)
    reply = world.authorize(world.browser(), pending, account)
    assert reply.location.startswith(f"{requested}?code=")
    code = dict(parse_qsl(urlsplit(reply.location).query))["code"]
    assert party.exchange(code, pending).claims["sub"] == account.sub


OTHER_RESTS = (
    *(":8080/cb/", ":8080/CB", ":8080/cb?x=1", ":8080/cb?", ":8080/cb#", ":8080", ":8080/", ":0/cb"),
    *(":/cb", ":080/cb", ":65536/cb", ":99999/cb", ":-1/cb", ":+80/cb", ":8080 /cb", ":80a/cb", ":٨٠/cb", ":8080//cb"),
    *(
        ":8080/./cb",
        "./cb",
        ":8080@evil.example/cb",
        "@evil.example/cb",
        ".evil.example/cb",
        ":8080\\@evil.example/cb",
        ":80:80/cb",
    ),
)


@pytest.mark.parametrize(("registered", "origin"), LOOPBACK)
@on_sqlite
def test_the_rest_of_a_loopback_redirect_stays_exact(world: World, registered: str, origin: str) -> None:
    """Case 23: path, query, fragment, and a port that is one."""
    party = world.relying_party(redirect_uris=[registered])
    with nothing_changes(world):
        for rest in OTHER_RESTS:
            assert_page(ask(world, party, redirect_uri=origin + rest))


HOSTS = ["127.0.0.1", "[::1]", "localhost"]
OTHER_HOSTS = [
    "0.0.0.0",  # noqa: S104
    "127.1", "0x7f000001", "2130706433", "127.0.0.2", "127.000.000.001", "0177.0.0.1", "[::ffff:127.0.0.1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]", "[::1%25lo]", "LOCALHOST", "localhost.", "127.0.0.1.", "app.localhost", "[::0001]",
    "127.0.0.1.nip.io",
]  # fmt: skip


@pytest.mark.parametrize("registered", HOSTS)
@on_sqlite
def test_one_name_of_this_device_is_not_another(world: World, registered: str) -> None:
    """Case 24: only the literal that is registered."""
    party = world.relying_party(redirect_uris=[f"http://{registered}:3000/cb"])
    assert ask(world, party).status == 303
    for other in [*HOSTS, *OTHER_HOSTS]:
        if other != registered:
            with nothing_changes(world):
                assert_page(ask(world, party, redirect_uri=f"http://{other}:3000/cb"))


@pytest.mark.parametrize("port", ["", ":80", ":3001"])
@on_sqlite
def test_the_name_localhost_keeps_its_port(world: World, port: str) -> None:
    """Case 24: any port is for the literals alone (RFC 8252 8.3)."""
    party = world.relying_party(redirect_uris=["http://localhost:3000/cb"])
    refused_everywhere(world, party, redirect_uri=f"http://localhost{port}/cb")


@on_sqlite
def test_https_on_a_loopback_literal_keeps_its_port(world: World) -> None:
    """Case 23: the exception is for http."""
    party = world.relying_party(redirect_uris=["https://127.0.0.1:8443/cb"])
    refused_everywhere(world, party, redirect_uri="https://127.0.0.1:9443/cb")
    refused_everywhere(world, party, redirect_uri="http://127.0.0.1:8443/cb")


# ----- 25 and 26: registration -----


@on_sqlite
def test_the_consent_page_names_the_host_in_punycode(world: World) -> None:
    """Case 25."""
    account, browser = world.operator.add_user(), world.browser()
    party = world.relying_party(client_name="аррӏе", redirect_uris=["https://xn--80ak6aa92e.example/cb"])
    page = browser.log_in(browser.get(party.begin().url), account.username, account.password)
    assert "xn--80ak6aa92e.example" in page.text
    assert "аррӏе.example" not in page.text


@pytest.mark.parametrize(
    "uri",
    ["javascript:alert(1)", "JaVaScRiPt://x/%0a", "data:text/html,x", "vbscript:x", "file:///etc/passwd",
     "blob:https://x/y",
     "about:blank", "urn:ietf:wg:oauth:2.0:oob", "http://rp.example/cb", "https://rp.example/cb#x",
     "https://*.rp.example/cb",
     "https://rp.example/*", "https://u:p@rp.example/cb", "https://ｒp.example/cb", "https://rр.example/cb",
     "//rp.example/cb",
     "https://rp.example/cb/../x", "https://rp.example\\@evil/cb", "https:rp.example/cb",
     "https://rp.example/cb ", "cb",
     "https://rp.example/cb\n", "https://127.1/cb", "http://0x7f000001/cb", "http://[::ffff:127.0.0.1]/cb",
     "http://127.0.0.2/cb",
     "https://rp.example/cb?code=x", "https://rp.example/cb?iss=x&a=b", "myapp:/cb",
     "https://", "https:///cb",
     "http://169.254.169.254/latest", "https://RP.example/cb", "HTTPS://rp.example/cb",
     "chrome-extension://abc/cb", ""],
)  # fmt: skip
@on_sqlite
def test_a_dangerous_redirect_uri_is_refused_at_registration(world: World, uri: str) -> None:
    """Case 26, and what 19-25 would make of it later."""
    with nothing_changes(world), pytest.raises(InvalidRedirectUri):
        world.operator.add_client(redirect_uris=[uri])
    with nothing_changes(world), pytest.raises(InvalidRedirectUri):
        world.operator.add_client(redirect_uris=[CALLBACK, uri])


# ----- 27 to 30 -----


@on_sqlite
def test_the_redirect_uri_of_another_client_is_refused(world: World) -> None:
    """Case 27."""
    party, other = world.relying_party(), world.relying_party()
    refused_everywhere(world, party, redirect_uri=other.redirect_uri)
    refused_everywhere(world, party, client_id=other.client_id)


@pytest.mark.parametrize(
    "appended", ["?next=https://evil.example", "&next=https://evil.example", "?next=//evil", "%3Fnext=x"]
)
@on_sqlite
def test_nothing_can_be_appended_to_a_callback_that_redirects_on(world: World, appended: str) -> None:
    """Case 28."""
    refused_everywhere(world, world.relying_party(redirect_uris=[CALLBACK]), redirect_uri=CALLBACK + appended)


@pytest.mark.parametrize(
    "registered",
    ["https://rp.example/cb?x=1", "https://rp.example/cb?x=%2F&y=%20+", "https://rp.example/cb?x",
     "https://rp.example/cb?x=1&",
     "https://rp.example/cb?", "https://rp.example/cb?x=1&x=2", "https://rp.example/cb?state_=1&codes=2"],
)  # fmt: skip
def test_a_registered_query_is_kept_byte_for_byte(world: World, registered: str) -> None:
    """Case 29: for a code and for an error, and each answer parameter comes once."""
    account, party = world.operator.add_user(), world.relying_party(redirect_uris=[registered])
    pending = party.begin()
    good = world.authorize(world.browser(), pending, account)
    bad = ask(world, party, prompt="none")
    for reply, first in ((good, "code"), (bad, "error")):
        assert reply.location.startswith(registered)
        added = reply.location.removeprefix(registered).lstrip("?&")
        names = [name for name, _ in parse_qsl(added, keep_blank_values=True)]
        assert names == [
            *(["code", "session_state"] if first == "code" else ["error", "error_description"]),
            "state",
            "iss",
        ]
    assert party.exchange(party.read_callback(good, pending), pending).claims["sub"] == account.sub


@on_sqlite
def test_every_redirect_is_a_303_that_nobody_stores(world: World) -> None:
    """Case 30: after a GET and after a form's POST alike; a 307 would post the password on to the client."""
    account, party, browser = world.operator.add_user(), world.relying_party(), world.browser()
    pending = party.begin()
    replies = [browser.send_once(pending.url)]
    replies.append(browser.send_once(f"{world.issuer}/authorize", fields=list(pending.parameters.items())))
    page = browser.get(replies[0].location)
    form = _form(page)
    fields = [*form, ("username", account.username), ("password", account.password)]
    replies.append(browser.send_once(f"{world.issuer}/login", fields=fields))
    replies.append(browser.send_once(replies[-1].location))
    consent = browser.get(replies[-1].location)
    replies.append(
        browser.send_once(
            f"{world.issuer}/consent", fields=[*_form(consent), ("decision", "allow"), ("scope", "openid")]
        )
    )
    replies.append(browser.send_once(party.begin(prompt="none login").url))
    assert replies[-2].location.startswith(party.redirect_uri)
    for reply in replies:
        assert reply.status == 303
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.body == b""


def _form(page: Reply) -> list[tuple[str, str]]:
    names = ("transaction", "csrf_token")
    return [(name, page.text.partition(f'name="{name}" value="')[2].partition('"')[0]) for name in names]
