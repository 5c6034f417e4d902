"""The page of connected applications: what it shows, and that what is ended or narrowed there ends everywhere."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.services.list_audit import list_audit
from app.services.manage_grants import list_grants, show_grant
from app.specs.protocol_error import InvalidToken
from app.verifier import AccessTokenVerifier
from tests.actors.account import find_grant_form, open_account, press, shown_grants
from tests.actors.browser import Browser, Form, find_form
from tests.actors.http import Reply
from tests.actors.refreshing import OFFLINE, allow, refresh_token_of, refreshing_party
from tests.actors.relying_party import RelyingParty, Tokens
from tests.actors.token_exchange import Chain, exchange, make_chain, make_exchanger, try_exchange
from tests.deployments import Account
from tests.patience import wait_until
from tests.world import World

PATH = "/account/applications"
on_sqlite = pytest.mark.parametrize("shared_world", ["sqlite"], indirect=True)


def connect(
    world: World, *, party: RelyingParty | None = None, account: Account | None = None, **api: Any
) -> tuple[Account, RelyingParty, str, Tokens]:
    """A person who lets an application read and write their photos while they are away."""
    account, party = account or world.operator.add_user(), party or refreshing_party(world)
    resource = world.operator.add_resource(**api)
    scope = f"{OFFLINE} email photos.read photos.write"
    tokens = allow(world, party, account, scope=scope, resource=resource, prompt="consent")
    return account, party, resource, tokens


def grant_of(world: World, account: Account) -> str:
    """The one grant of a person."""
    (grant,) = list_grants(world.operator.deployment, user=account.sub)
    return grant.grant_id


def open_page(world: World, account: Account) -> tuple[Browser, Reply]:
    browser = open_account(world, account, PATH)
    return browser, browser.get(f"{world.issuer}{PATH}")


def narrow(browser: Browser, page: Reply, grant_id: str, without: str = "", **values: str) -> Reply:
    """Untick what ends in `without`, and fill in the rest."""
    form = find_grant_form(page, grant_id, ends=False)
    kept = [value for name, value in form.fields if name == "scope" and not (without and value.endswith(without))]
    return press(browser, form, scope=kept, **values)


def is_refused(verifier: AccessTokenVerifier, token: str) -> bool:
    try:
        verifier.verify(token)
    except InvalidToken:
        return True
    return False


# ----- What it shows -----


@on_sqlite
def test_an_application_stands_there_with_what_it_may_do_and_when_it_last_did(world: World) -> None:
    account, party, _, tokens = connect(world)
    world.clock.move(seconds=7200)
    party.refresh(tokens.refresh_token)
    _, page = open_page(world, account)
    assert shown_grants(page) == [grant_of(world, account)] * 1
    for words in (
        "Photo printing",
        "Photo library",
        "See your photos",
        "Add and delete photos",
        "See your e-mail address",
    ):
        assert words in page.text
    last_use = re.search(r"<dt>Last used</dt><dd>(.*?)</dd>", page.text, re.DOTALL)
    since = re.search(r"<dt>Since</dt><dd>(.*?)</dd>", page.text)
    assert last_use is not None
    assert since is not None
    assert "<code>127.0.0.1</code>" in last_use[1]
    assert since[1] not in last_use[1]
    assert page.headers["cross-origin-opener-policy"] == "same-origin"
    assert page.headers["cache-control"] == "no-store"


@on_sqlite
def test_the_address_of_the_last_use_lies_sealed(world: World) -> None:
    account, _, _, _ = connect(world)
    with world.operator.deployment.database.reading() as connection:
        sealed = connection.exec_driver_sql(
            "SELECT sealed_last_use FROM grants WHERE grant_id = ?", (grant_of(world, account),)
        ).scalar_one()
    assert sealed
    assert b"127.0.0.1" not in sealed


@on_sqlite
def test_it_is_said_where_an_application_gets_back_what_is_ended(world: World) -> None:
    exempt = refreshing_party(world, policy={"skip_consent": True})
    account, _, _, _ = connect(world)
    _, page = open_page(world, account)
    assert "without asking you" not in page.text
    world.get_tokens(exempt, account, scope="openid email")
    _, page = open_page(world, account)
    assert page.text.count("without asking you") == 1


# ----- Ending -----


def test_what_is_ended_on_the_page_is_refused_offline_within_seconds(world: World) -> None:
    account, party, resource, tokens = connect(world)
    verifier = AccessTokenVerifier(issuer=world.issuer, audience=resource)
    assert not is_refused(verifier, tokens.access_token)
    browser, page = open_page(world, account)
    answer = press(browser, find_grant_form(page, grant_of(world, account), ends=True))
    assert "The access has ended" in answer.text
    assert shown_grants(answer) == []
    wait_until(lambda: is_refused(verifier, tokens.access_token))
    refused = party.try_refresh(tokens.refresh_token)
    assert (refused.status, refused.json()["error"]) == (400, "invalid_grant")
    # And whoever ended it is asked again before there is any.
    assert 'id="consent-form"' in browser.get(party.begin(scope="openid photos.read", resource=resource).url).text


@on_sqlite
def test_an_answer_that_is_only_remembered_can_be_forgotten(world: World) -> None:
    account, party = world.operator.add_user(), world.relying_party()
    world.get_tokens(party, account)
    world.clock.move(seconds=100_000)
    browser, page = open_page(world, account)
    assert shown_grants(page) == []
    assert "You said yes: Know that it is you" in page.text
    form = find_disconnect(page)
    assert "has no access any more" in press(browser, form).text
    assert 'id="consent-form"' in browser.get(party.begin().url).text


@on_sqlite
def test_an_application_is_disconnected_with_all_that_it_holds(world: World) -> None:
    account, party, _, first = connect(world)
    _, _, _, second = connect(world, party=party, account=account)
    browser, page = open_page(world, account)
    assert len(shown_grants(page)) == 2
    press(browser, find_disconnect(page))
    for tokens in (first, second):
        assert party.try_refresh(tokens.refresh_token).status == 400
    assert list_grants(world.operator.deployment, user=account.sub) == ()


def find_disconnect(page: Reply) -> Form:
    """The form of the only application on the page."""
    return find_form(page, "disconnect-1")


# ----- Narrowing -----


def test_a_scope_that_is_unticked_is_gone_at_once_and_from_every_later_token(world: World) -> None:
    account, party, resource, tokens = connect(world)
    verifier = AccessTokenVerifier(issuer=world.issuer, audience=resource)
    browser, page = open_page(world, account)
    answer = narrow(browser, page, grant_of(world, account), without="photos.write")
    assert "The access is limited" in answer.text
    assert "Add and delete photos" not in re.sub(r"You said no: .*", "", answer.text)
    # Nothing wider lives on.
    assert party.userinfo(tokens.access_token).status == 401
    wait_until(lambda: is_refused(verifier, tokens.access_token))
    fresh = party.refresh(tokens.refresh_token, resource=resource)
    assert fresh.claims["scope"] == "photos.read"
    assert not is_refused(verifier, fresh.access_token)
    wider = party.try_refresh(fresh.refresh_token, resource=resource, scope="photos.read photos.write")
    assert (wider.status, wider.json()["error"]) == (400, "invalid_scope")
    # The memory has changed alike: what is asked for again comes without it, unasked.
    again = allow(
        world, party, account, browser=browser, scope=f"{OFFLINE} email photos.read photos.write", resource=resource
    )
    assert again.claims["scope"] == "photos.read"


@on_sqlite
def test_what_the_person_is_told_about_is_narrowed_too(world: World) -> None:
    account, party, _, tokens = connect(world)
    browser, page = open_page(world, account)
    narrow(browser, page, grant_of(world, account), without=" email")
    # Refreshed for userinfo, it has no e-mail address any more.
    fresh = party.refresh(tokens.refresh_token, resource=f"{world.issuer}/userinfo")
    assert "email" not in party.userinfo(fresh.access_token).json()
    assert "email" not in fresh.scope.split()


@on_sqlite
def test_an_end_date_ends_it_and_a_later_one_gives_nothing(world: World) -> None:
    account, party, _, tokens = connect(world)
    grant_id = grant_of(world, account)
    before = show_grant(world.operator.deployment, grant_id).expires_at
    browser, page = open_page(world, account)
    form = find_grant_form(page, grant_id, ends=False)
    far = press(browser, form, until="2999-01-01")
    assert "Nothing was changed" in far.text
    assert show_grant(world.operator.deployment, grant_id).expires_at == before
    tomorrow = (datetime.fromtimestamp(world.clock() / 1000, UTC) + timedelta(days=1)).date()
    assert "The access is limited" in press(browser, form, until=tomorrow.isoformat()).text
    assert before > show_grant(world.operator.deployment, grant_id).expires_at
    tokens = party.refresh(tokens.refresh_token)
    world.clock.move(seconds=2 * 86_400)
    assert party.try_refresh(tokens.refresh_token).status == 400


@on_sqlite
@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"until": "2001-01-01"}, "has not passed yet"),
        ({"network": "not a network"}, "is not an IPv4 or IPv6 address"),
        ({"scope": ()}, "Nothing would be left"),
    ],
    ids=["past", "network", "nothing"],
)
def test_what_cannot_be_obeyed_is_explained_and_changes_nothing(
    world: World, values: dict[str, Any], sentence: str
) -> None:
    account, party, _, tokens = connect(world, enforces=["status", "networks"])
    browser, page = open_page(world, account)
    answer = press(browser, find_grant_form(page, grant_of(world, account), ends=False), **values)
    assert answer.status == 400
    assert sentence in answer.text
    assert (
        party.userinfo(party.refresh(tokens.refresh_token, resource=f"{world.issuer}/userinfo").access_token).status
        == 200
    )


@on_sqlite
def test_access_is_tied_to_a_network_and_never_untied(world: World) -> None:
    account, party, _, tokens = connect(world, enforces=["status", "networks"])
    grant_id = grant_of(world, account)
    browser, page = open_page(world, account)
    answer = press(browser, find_grant_form(page, grant_id, ends=False), network="127.0.0.0/24")
    assert "127.0.0.0/24" in answer.text
    fresh = party.refresh(tokens.refresh_token)
    assert fresh.claims["th_networks"] == ["127.0.0.0/24"]
    wider = press(browser, find_grant_form(answer, grant_id, ends=False), network="127.0.0.0/8")
    assert "Nothing was changed" in wider.text
    outside = press(browser, find_grant_form(answer, grant_id, ends=False), network="198.51.100.0/24")
    assert "lies outside" in outside.text
    assert show_grant(world.operator.deployment, grant_id).networks == ("127.0.0.0/24",)
    # The memory knows no networks, so it is asked again.
    assert 'id="consent-form"' in browser.get(party.begin().url).text


@on_sqlite
def test_networks_are_not_offered_where_an_api_does_not_check_them(world: World) -> None:
    account, _, _, _ = connect(world)
    browser, page = open_page(world, account)
    assert 'name="network"' not in page.text
    form = find_grant_form(page, grant_of(world, account), ends=False)
    assert press(browser, form, network="127.0.0.0/24").status == 400
    assert show_grant(world.operator.deployment, grant_of(world, account)).networks == ()


@on_sqlite
def test_what_an_api_requires_cannot_be_unticked(world: World) -> None:
    scopes = [
        {"name": "photos.read", "description": "See your photos", "required": True},
        {"name": "photos.write", "description": "Add photos"},
    ]
    account, _, resource, _ = connect(world, scopes=scopes)
    browser, page = open_page(world, account)
    form = find_grant_form(page, grant_of(world, account), ends=False)
    press(browser, form, scope=[f"{resource} photos.write"])
    assert show_grant(world.operator.deployment, grant_of(world, account)).scope == "openid photos.read photos.write"


@on_sqlite
def test_a_code_that_was_not_redeemed_yet_is_worth_what_is_left(world: World) -> None:
    account, party, resource = world.operator.add_user(), refreshing_party(world), world.operator.add_resource()
    browser = world.browser()
    code, pending = world.get_code(
        party, account, browser=browser, scope="openid photos.read photos.write", resource=resource
    )
    page = browser.get(f"{world.issuer}{PATH}")
    narrow(browser, page, grant_of(world, account), without="photos.write")
    assert party.exchange(code, pending).claims["scope"] == "photos.read"


# ----- What was passed on -----


def branches(page: Reply, chain: Chain) -> list[str]:
    """What hangs on the chain's first grant."""
    root = [grant.grant_id for grant in list_grants(chain.world.operator.deployment, user=chain.account.sub)]
    return [grant for grant in shown_grants(page) if grant in root][1:]


@on_sqlite
def test_who_holds_what_through_whom_is_shown_and_a_branch_can_be_cut(world: World) -> None:
    chain = make_chain(world)
    held = chain.get_token()
    passed_on = exchange(chain.library, held, resource=chain.prints)
    _, page = open_page(world, chain.account)
    assert "See your prints" in page.text
    browser = open_account(world, chain.account, PATH)
    page = browser.get(f"{world.issuer}{PATH}")
    (branch,) = branches(page, chain)
    assert "The access has ended" in press(browser, find_grant_form(page, branch, ends=True)).text
    assert not world.api_server(chain.prints).introspect(passed_on).json()["active"]
    assert world.api_server(chain.photos).introspect(held).json()["active"]


@on_sqlite
def test_what_was_exchanged_ends_when_its_grant_is_narrowed(world: World) -> None:
    chain = make_chain(world)
    held = chain.get_token()
    passed_on = exchange(chain.library, held, resource=chain.prints)
    browser, page = open_page(world, chain.account)
    root = next(grant for grant in shown_grants(page) if f"narrow-{grant}" in page.text)
    narrow(browser, page, root, without="photos.write")
    assert not world.api_server(chain.prints).introspect(passed_on).json()["active"]
    assert try_exchange(chain.library, held, resource=chain.prints).json()["error"] == "invalid_request"


@on_sqlite
def test_an_api_that_was_taken_back_whole_is_not_reached_by_an_exchange(world: World) -> None:
    chain = make_chain(world)
    everything = {"resource": chain.prints, "scopes": ["prints.read", "prints.order"]}
    library = make_exchanger(world, introspects=[chain.photos], token_exchange_audiences=[everything])
    asked = {"scope": f"{OFFLINE} photos.read prints.read", "resource": [chain.photos, chain.prints]}
    party = refreshing_party(world)
    code, pending = world.get_code(party, chain.account, **asked, prompt="consent")
    tokens = party.exchange(code, pending, resource=chain.photos)
    assert try_exchange(library, tokens.access_token, resource=chain.prints).json()["scope"] == "prints.read"
    browser, page = open_page(world, chain.account)
    root = next(grant for grant in shown_grants(page) if f"narrow-{grant}" in page.text)
    assert "The access is limited" in narrow(browser, page, root, without="prints.read").text
    later = party.refresh(tokens.refresh_token, resource=chain.photos)
    refused = try_exchange(library, later.access_token, resource=chain.prints)
    # Not what the operator lists for APIs about which nobody was asked: that would be more than before.
    assert (refused.status, refused.json().get("error")) == (400, "invalid_target"), refused.text


# ----- Attacks -----


@on_sqlite
@pytest.mark.parametrize("action", ["end", "narrow"])
def test_another_persons_grant_answers_like_an_unknown_one(world: World, action: str) -> None:
    victim, party, _, tokens = connect(world)
    attacker, _, _, _ = connect(world)
    browser, page = open_page(world, attacker)
    form = find_grant_form(page, grant_of(world, attacker), ends=action == "end")
    foreign = press(browser, form, grant=grant_of(world, victim))
    unknown = press(browser, form, grant="g" + "a" * 26)
    assert foreign.status == unknown.status == 404
    assert foreign.text == unknown.text
    assert party.try_refresh(tokens.refresh_token).status == 200


@on_sqlite
def test_another_persons_application_is_not_disconnected(world: World) -> None:
    _, party, _, tokens = connect(world)
    attacker, _, _, _ = connect(world)
    browser, page = open_page(world, attacker)
    form = find_disconnect(page)
    answers = [press(browser, form, client_id=client_id) for client_id in (party.client_id, "nobody", "")]
    assert [answer.status for answer in answers] == [404, 404, 404]
    assert answers[0].text == answers[1].text
    assert party.try_refresh(tokens.refresh_token).status == 200


@on_sqlite
def test_a_form_that_is_not_ours_changes_nothing(world: World) -> None:
    account, party, _, tokens = connect(world)
    browser, _ = open_page(world, account)
    fields = [("grant", grant_of(world, account)), ("client_id", party.client_id)]
    for action in ("end", "narrow", "disconnect"):
        for csrf_token in ([], [("csrf_token", "")], [("csrf_token", "0" * 64)]):
            assert browser.post(f"{world.issuer}{PATH}/{action}", [*fields, *csrf_token]).status == 403
    assert party.try_refresh(tokens.refresh_token).status == 200


@on_sqlite
def test_a_form_of_another_session_is_refused(world: World) -> None:
    account, _, _, _ = connect(world)
    _, page = open_page(world, account)
    other = open_account(world, account, PATH)
    assert press(other, find_grant_form(page, grant_of(world, account), ends=True)).status == 403


@on_sqlite
def test_ending_and_narrowing_are_events_of_the_person(world: World) -> None:
    account, party, _, _ = connect(world)
    browser, page = open_page(world, account)
    grant_id = grant_of(world, account)
    # The form may say what it likes: whose grant it is stands in the grant.
    narrow(browser, page, grant_id, without="photos.write", client_id="somebody-else")
    press(browser, find_grant_form(page, grant_id, ends=True))
    events = {event.type: event for event in list_audit(world.operator.deployment, sub=account.sub, limit=50)}
    assert events["grant.narrowed"].grant_id == events["grant.revoked"].grant_id == grant_id
    assert events["grant.narrowed"].client_id == events["grant.revoked"].client_id == party.client_id
    assert events["grant.narrowed"].actor == events["grant.revoked"].actor == "user"
    assert [pair[1] for pair in events["grant.narrowed"].body["removed"]] == ["photos.write"]


def test_parallel_refreshes_of_one_grant_all_succeed(world: World) -> None:
    # Each writes down when the grant was last used, and waits for the others' to be written.
    party = refreshing_party(world, policy={"rotate_refresh_tokens": False})
    _, _, _, tokens = connect(world, party=party)
    token = refresh_token_of(tokens)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: party.try_refresh(token).status, range(24))) == [200] * 24
