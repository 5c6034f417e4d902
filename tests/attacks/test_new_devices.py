"""What a person hears of a sign-in: from a device of theirs nothing, from a new one what and from where."""

from app.services.list_audit import list_audit
from tests.actors.http import Reply
from tests.actors.mail_server import MailServer
from tests.attacks.guessing import Guesser, any_address
from tests.deployments import Account
from tests.patience import wait_until
from tests.world import World

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:130.0) Gecko/20100101 Firefox/130.0"


def _log_in(guesser: Guesser, account: Account, *, address: str, user_agent: str = FIREFOX) -> Reply:
    reply = guesser.guess(account.username, account.password, address=address, user_agent=user_agent)
    assert reply.status == 303
    return reply


def _is_new(world: World, account: Account) -> list[bool]:
    """Of each login of a person, the latest first, whether their activity calls it one from a new device."""
    events = list_audit(world.operator.deployment, event_type="login.succeeded", sub=account.sub)
    return [event.body["new_device"] for event in events]


def test_a_sign_in_from_a_new_device_is_told_and_others_are_not(guarded: World, mails: MailServer) -> None:
    account, address = guarded.operator.add_user(), any_address()
    to = f"{account.username}@example.com"
    own = Guesser(guarded)
    _log_in(own, account, address=any_address())
    _log_in(Guesser(guarded, own.browser), account, address=any_address())
    assert _is_new(guarded, account) == [False, False], "neither the very first one nor one on the same device"
    _log_in(Guesser(guarded), account, address=address)
    assert _is_new(guarded, account) == [True, False, False]
    mail = mails.wait_for(to)
    assert "Firefox on Windows" in mail.text
    assert address in mail.text
    assert account.username in mail.text
    assert "http" in mail.text
    assert "/account/security" in mail.text
    assert len(mails.to(to)) == 1


def test_two_people_who_share_a_browser_are_no_news_to_each_other(guarded: World, mails: MailServer) -> None:
    ada, bob = guarded.operator.add_user(), guarded.operator.add_user()
    browser = Guesser(guarded).browser
    for account in (ada, bob, ada, bob):
        _log_in(Guesser(guarded, browser), account, address=any_address())
    assert _is_new(guarded, ada) == [False, False]
    assert _is_new(guarded, bob) == [False, False]


def test_a_device_that_says_nonsense_is_an_unknown_device(guarded: World, mails: MailServer) -> None:
    account = guarded.operator.add_user()
    _log_in(Guesser(guarded), account, address=any_address())
    _log_in(Guesser(guarded), account, address=any_address(), user_agent="(" * 5000 + "<script>")
    wait_until(lambda: bool(mails.to(f"{account.username}@example.com")))
    (mail,) = mails.to(f"{account.username}@example.com")
    assert "an unknown device" in mail.text
    assert "<script>" not in mail.text
