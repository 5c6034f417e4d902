"""attacks.md, "Login, MFA, passkeys, recovery, sessions": codes of apps and recovery codes (cases 112 to 114)."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urljoin

import pytest
from sqlalchemy import Connection, select, update

from app.services.limit_guesses import SECOND_FACTORS_OF_PERSON
from app.services.list_audit import list_audit
from app.services.manage_users import disable_user, reset_factors, set_password
from app.services.prove_second_factor import ATTEMPTS_PER_CHALLENGE
from app.services.second_factors import FIRST_FACTOR_COUNTS_FOR_MS
from app.storage.tables import recovery_codes, totp_secrets, users
from tests.actors.authenticator import Guarded, enrol, enter_code, guard, open_sensitive
from tests.actors.browser import Browser, Form, find_form
from tests.actors.http import Reply
from tests.attacks.good_conduct import nothing_changes
from tests.attacks.guessing import Guesser
from tests.deployments import Account
from tests.world import World

pytestmark = pytest.mark.usefixtures("standing")
on_sqlite = pytest.mark.parametrize("shared_world", ["sqlite"], indirect=True)
SECOND_FACTOR = 'id="second-factor-form"'


@dataclass
class Challenged:
    """A browser that shows the page for a second factor, after the right password."""

    browser: Browser
    page: Reply
    form: Form

    def enter(self, code: str) -> Reply:
        """One try, the answer as it is."""
        url = urljoin(self.browser.url, self.form.action)
        fields = self.form.with_values(code=code)
        return self.browser.send_once(url, fields=fields, headers={"Origin": self.browser.origin})


def challenge(world: World, account: Account, browser: Browser | None = None) -> Challenged:
    """Log in as somebody who has a second factor."""
    browser = browser or world.browser()
    page = browser.get(world.relying_party().begin(prompt="login").url)
    page = browser.log_in(page, account.username, account.password)
    return Challenged(browser, page, find_form(page, "second-factor-form"))


def alert_of(page: Reply) -> str:
    """What a page says is wrong."""
    found = re.search(r'role="alert">(?:<svg.*?</svg>)?<span>(.*?)</span>', page.text, flags=re.DOTALL)
    assert found is not None, page.text[:2000]
    return found[1]


def is_let_in(reply: Reply) -> bool:
    """Whether a try began a session."""
    return any(name.lower() == "set-cookie" and "-browser" in value for name, value in reply.header_list)


def wrong_code(person: Guarded) -> str:
    """Six digits that are no code of theirs about now."""
    about_now = {person.app.code(steps=steps) for steps in range(-3, 4)}
    return next(code for number in range(10) if (code := f"{number:06}") not in about_now)


# ----- 112: codes of authenticator apps -----


@on_sqlite
@pytest.mark.requirement("RFC 6238", "5.2", "the second attempt of an OTP that was validated is not accepted")
def test_112_a_code_that_was_used_is_refused_while_it_still_shows(world: World) -> None:
    person = guard(world)
    code = person.app.next_code()
    assert is_let_in(challenge(world, person.account).enter(code))
    again = challenge(world, person.account)
    with nothing_changes(world):
        refused = again.enter(code)
    assert (refused.status, is_let_in(refused)) == (200, False)
    assert "not right" in alert_of(refused)


@on_sqlite
def test_112_the_code_that_confirmed_the_app_lets_nobody_in(world: World) -> None:
    browser, account = world.browser(), world.operator.add_user()
    person = enrol(world, browser, account)
    assert not is_let_in(challenge(world, account).enter(person.app.code()))


@on_sqlite
def test_112_after_a_later_code_the_one_before_it_is_refused(world: World) -> None:
    person = guard(world)
    earlier = person.app.next_code()
    assert is_let_in(challenge(world, person.account).enter(person.app.code(steps=1)))
    assert not is_let_in(challenge(world, person.account).enter(earlier))


def test_112_of_twenty_who_bring_one_code_at_once_one_gets_in(world: World) -> None:
    person = guard(world)
    challenged = [challenge(world, person.account) for _ in range(20)]
    code = person.app.next_code()
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda each: each.enter(code), challenged))
    assert sum(is_let_in(reply) for reply in replies) == 1
    assert {reply.status for reply in replies} <= {200, 303, 429}


def test_112_twenty_guesses_at_once_are_five_to_a_sign_in(world: World) -> None:
    person = guard(world)
    challenged = challenge(world, person.account)
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda _: challenged.enter(wrong_code(person)), range(20)))
    looked_at = [reply for reply in replies if reply.status == 200 and SECOND_FACTOR in reply.text]
    assert len(looked_at) <= ATTEMPTS_PER_CHALLENGE
    # The right one comes too late: the first factor comes first again.
    assert not is_let_in(challenged.enter(person.app.next_code()))


@on_sqlite
def test_112_after_five_wrong_codes_the_right_one_is_too_late(world: World) -> None:
    person = guard(world)
    challenged = challenge(world, person.account)
    for _ in range(ATTEMPTS_PER_CHALLENGE):
        assert SECOND_FACTOR in challenged.enter(wrong_code(person)).text
    page = challenged.enter(person.app.next_code())
    assert not is_let_in(page)
    assert 'id="login-form"' in page.text
    assert alert_of(page) == "Too many codes were not right. Please sign in again."
    # And so it stays until the password is proven again.
    assert not is_let_in(challenged.enter(person.app.code()))
    page = challenged.browser.log_in(page, person.account.username, person.account.password)
    assert is_let_in(
        Challenged(challenged.browser, page, find_form(page, "second-factor-form")).enter(person.app.code())
    )


@on_sqlite
def test_112_guesses_are_counted_over_all_sign_ins_and_an_own_device_is_not_hurt(world: World) -> None:
    person, own, other = guard(world), world.browser(), world.operator.add_user()
    assert is_let_in(challenge(world, person.account, own).enter(person.app.next_code()))
    assert Guesser(world, own).guess(other.username, other.password).status == 303, "they share it"
    statuses = []
    while len(statuses) < SECOND_FACTORS_OF_PERSON.free + 2:
        challenged = challenge(world, person.account)
        statuses += [challenged.enter(wrong_code(person)).status for _ in range(ATTEMPTS_PER_CHALLENGE - 1)]
    assert 429 in statuses[SECOND_FACTORS_OF_PERSON.free :]
    limited = challenge(world, person.account).enter(person.app.next_code())
    assert limited.status == 429
    assert int(limited.headers["retry-after"]) > 0
    assert not is_let_in(limited)
    assert is_let_in(challenge(world, person.account, own).enter(person.app.code()))


@on_sqlite
def test_112_the_code_of_another_person_is_refused(world: World) -> None:
    person, other = guard(world), guard(world)
    assert not is_let_in(challenge(world, person.account).enter(other.app.next_code()))
    assert not is_let_in(challenge(world, person.account).enter(other.recovery_codes[0]))
    assert is_let_in(challenge(world, other.account).enter(other.app.code()))
    assert is_let_in(challenge(world, other.account).enter(other.recovery_codes[0]))


@on_sqlite
@pytest.mark.parametrize("steps", [-3, 3])
def test_112_a_clock_that_is_90_seconds_off_is_refused(world: World, steps: int) -> None:
    person = guard(world)
    world.clock.move(seconds=300)
    assert not is_let_in(challenge(world, person.account).enter(person.app.code(steps=steps)))


@on_sqlite
def test_112_wrong_used_and_foreign_codes_are_answered_alike(world: World) -> None:
    person, other = guard(world), guard(world)
    used = person.app.next_code()
    assert is_let_in(challenge(world, person.account).enter(used))
    challenged = challenge(world, person.account)
    codes = (used, other.app.code(), wrong_code(person), other.recovery_codes[0])
    answers = {(reply.status, reply.text) for reply in map(challenged.enter, codes)}
    assert len(answers) == 1


@on_sqlite
def test_112_junk_is_a_wrong_code(world: World) -> None:
    challenged = challenge(world, guard(world).account)
    for junk in ("", "0" * 60_000, "<script>", "１２３４５６", "-".join("ab") * 1000):
        refused = challenged.enter(junk)
        assert (refused.status, is_let_in(refused)) == (200, False)
        assert not junk or junk not in refused.text


@on_sqlite
def test_112_a_first_factor_of_long_ago_is_no_basis(world: World) -> None:
    person = guard(world)
    challenged = challenge(world, person.account)
    world.clock.move(seconds=FIRST_FACTOR_COUNTS_FOR_MS / 1000 + 1)
    page = challenged.enter(person.app.code())
    assert not is_let_in(page)
    assert 'id="login-form"' in page.text


@on_sqlite
def test_112_who_was_disabled_between_the_factors_stays_out(world: World) -> None:
    person = guard(world)
    challenged = challenge(world, person.account)
    disable_user(world.operator.deployment, person.account.username)
    assert not is_let_in(challenged.enter(person.app.next_code()))


@on_sqlite
def test_112_a_password_that_was_replaced_between_the_factors_no_longer_counts(world: World) -> None:
    person = guard(world)
    challenged = challenge(world, person.account)
    world.clock.move(seconds=1)
    set_password(world.operator.deployment, person.account.username, "seven green umbrellas sail")
    assert not is_let_in(challenged.enter(person.app.next_code()))


@on_sqlite
def test_112_a_form_without_its_token_proves_nothing(world: World) -> None:
    person = guard(world)
    challenged = challenge(world, person.account)
    challenged.form.fields = [(name, value) for name, value in challenged.form.fields if name != "csrf_token"]
    with nothing_changes(world):
        assert challenged.enter(person.app.next_code()).status == 403


# ----- 113: recovery codes -----


@on_sqlite
def test_113_a_recovery_code_works_once(world: World) -> None:
    person = guard(world)
    code = person.recovery_codes[0]
    assert is_let_in(challenge(world, person.account).enter(code))
    refused = challenge(world, person.account).enter(code)
    assert not is_let_in(refused)
    assert "not right" in alert_of(refused)


def test_113_of_ten_who_bring_one_recovery_code_at_once_one_gets_in(world: World) -> None:
    person = guard(world)
    challenged = [challenge(world, person.account) for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        replies = list(pool.map(lambda each: each.enter(person.recovery_codes[0]), challenged))
    assert sum(is_let_in(reply) for reply in replies) == 1
    used = list_audit(world.operator.deployment, event_type="recovery_code.used", sub=person.account.sub)
    assert [event.body["remaining"] for event in used] == [9]


@on_sqlite
def test_113_recovery_codes_have_120_random_bits_and_stand_nowhere(world: World) -> None:
    person = guard(world)
    assert len(set(person.recovery_codes)) == 10
    for code in person.recovery_codes:
        assert len(code.replace("-", "")) * 5 >= 112
    with world.operator.deployment.database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM recovery_codes").fetchall()
        secrets = connection.exec_driver_sql("SELECT * FROM totp_secrets").fetchall()
    stored = repr(rows) + repr(secrets) + world.server.log_path.read_text()
    assert not any(code in stored or code.replace("-", "") in stored for code in person.recovery_codes)
    assert person.app.key not in stored


@on_sqlite
def test_who_can_write_the_database_cannot_give_somebody_their_own_factors(world: World) -> None:
    victim, thief = guard(world), guard(world)

    def move(connection: Connection) -> None:
        def user_id(person: Guarded) -> int:
            return int(connection.execute(select(users.c.id).where(users.c.sub == person.account.sub)).scalar_one())

        taken = (
            connection.execute(select(totp_secrets).where(totp_secrets.c.user_id == user_id(thief))).mappings().one()
        )
        sealed = {name: taken[name] for name in ("sealed_secret", "seal_key_id")}
        connection.execute(update(totp_secrets).where(totp_secrets.c.user_id == user_id(victim)).values(**sealed))
        moved = update(recovery_codes).where(recovery_codes.c.user_id == user_id(thief))
        connection.execute(moved.values(user_id=user_id(victim)))

    world.operator.deployment.database.transact(move)
    for code in (thief.app.next_code(), thief.recovery_codes[0]):
        assert not is_let_in(challenge(world, victim.account).enter(code))
    assert is_let_in(challenge(world, victim.account).enter(victim.recovery_codes[0]))


# ----- 114: changes of factors -----

SENSITIVE = ["/account/authenticator", "/account/authenticator/remove", "/account/recovery-codes"]


@on_sqlite
@pytest.mark.parametrize("path", SENSITIVE)
def test_114_a_login_of_more_than_five_minutes_ago_changes_no_factor(world: World, path: str) -> None:
    browser = world.browser()
    person = enrol(world, browser, world.operator.add_user())
    page = enter_code(browser, browser.get(f"{world.issuer}/account/authenticator"), person.app.next_code())
    token = dict(find_form(page, "totp-remove-form").fields)["csrf_token"]
    world.clock.move(seconds=301)
    reply = browser.post(world.issuer + path, [("csrf_token", token), ("code", person.app.code())])
    assert 'id="login-form"' in reply.text
    assert SECOND_FACTOR in challenge(world, person.account).page.text
    assert is_let_in(challenge(world, person.account).enter(person.recovery_codes[0]))


@on_sqlite
def test_114_a_stolen_session_of_a_password_alone_removes_no_factor(world: World) -> None:
    """The session was there before the factor was: it is asked for it, however recent it is."""
    stolen, account = world.browser(), world.operator.add_user()
    open_sensitive(world, stolen, account, "/account/security")
    person = enrol(world, world.browser(), account)
    for path in SENSITIVE:
        assert SECOND_FACTOR in stolen.get(world.issuer + path.removesuffix("/remove")).text
        reply = stolen.post(world.issuer + path, [("csrf_token", "x"), ("code", person.app.code())])
        assert SECOND_FACTOR in reply.text
    assert is_let_in(challenge(world, account).enter(person.recovery_codes[0]))


@on_sqlite
def test_114_a_form_of_another_account_changes_nothing(world: World) -> None:
    victim, attacker = world.browser(), world.browser()
    person = enrol(world, victim, world.operator.add_user())
    enter_code(victim, victim.get(f"{world.issuer}/account/authenticator"), person.app.next_code())
    page = open_sensitive(world, attacker, world.operator.add_user(), "/account/authenticator")
    token = dict(find_form(page, "totp-form").fields)["csrf_token"]
    with nothing_changes(world):
        for path in (*SENSITIVE, "/account/security/end-other-sessions"):
            for fields in ([("csrf_token", token)], []):
                assert victim.post(world.issuer + path, fields).status == 403, path
    assert is_let_in(challenge(world, person.account).enter(person.recovery_codes[0]))


# ----- 116: what no reset may do -----


@on_sqlite
def test_116_a_new_password_leaves_the_second_factor_as_it_is(world: World) -> None:
    person = guard(world)
    set_password(world.operator.deployment, person.account.username, "another long sentence")
    account = Account(sub=person.account.sub, username=person.account.username, password="another long sentence")
    assert is_let_in(challenge(world, account).enter(person.app.next_code()))


@on_sqlite
def test_an_operator_who_resets_the_factors_ends_the_sessions_and_says_so(world: World) -> None:
    browser = world.browser()
    person = enrol(world, browser, world.operator.add_user())
    reset_factors(world.operator.deployment, person.account.username)
    page = browser.get(f"{world.issuer}/account/security")
    assert 'id="login-form"' in page.text
    page = browser.log_in(page, person.account.username, person.account.password)
    assert 'id="totp-add"' in page.text
    event = list_audit(world.operator.deployment, event_type="user.factors_reset", sub=person.account.sub)[0]
    assert event.actor == "operator"
    assert event.body == {
        "authenticator": True,
        "passkeys": 0,
        "recovery_codes": 10,
        "sessions": 1,
        "devices": 1,
    }
