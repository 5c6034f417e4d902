"""Mail through real mail servers: over TLS and without, with a login and without, and what becomes of it elsewhere."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.factory import list_senders
from app.services.doctor_mail import examine_mail
from app.services.notify_person import NOTICES
from app.services.outbox import Delivery, DeliveryFailed, DeliveryRefused
from app.settings import Settings, SettingsError, load_settings
from app.web.mail_texts import mail_renderer
from tests.actors.mail_server import MailServer
from tests.deployments import Operator, make_deployment, make_environment
from tests.services.other_host import CertificateAuthority

LOGIN = ("post", "pass word:/@%")
IN_URL = "post:pass%20word%3A%2F%40%25@"
VALUES = {"username": "ada", "at": "1700000000000", "address": "192.0.2.7"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("mail")
    make_deployment(environment(directory, "smtp://127.0.0.1"))
    return directory


@pytest.fixture(scope="module")
def tls(authority: CertificateAuthority) -> ssl.SSLContext:
    return authority.serve("127.0.0.1")


@pytest.fixture
def plain() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


def environment(directory: Path, url: str, **more: str) -> dict[str, str]:
    database_url = f"sqlite:///{directory}/tokenhouse.db"
    settings = {"smtp_url": url, "mail_from": "Meadow <door@meadow.example>", **more}
    return make_environment(issuer="https://auth.example", database_url=database_url, directory=directory, **settings)


def send(directory: Path, url: str, to: str = "ada@example.com", values: dict[str, str] = VALUES, **more: str) -> None:
    """What the outbox's dispatcher does with one mail."""
    operator = Operator(load_settings(environment(directory, url, **more)))
    try:
        body = {"to": to, "text": "password_changed", "locale": None, "values": values}
        list_senders(operator.deployment)["mail"](
            Delivery(message_id=b"\x01" * 16, recipient="mail:x", body=body, attempt=1)
        )
    finally:
        operator.close()


def url_of(server: MailServer, scheme: str = "smtp", login: str = "") -> str:
    return f"{scheme}://{login}127.0.0.1:{server.port}"


def test_a_mail_says_what_happened_when_from_where_and_what_to_do(directory: Path, plain: MailServer) -> None:
    send(directory, url_of(plain))
    (mail,) = plain.mails
    assert mail.mail_from == "door@meadow.example"
    assert mail.recipients == ("ada@example.com",)
    assert mail.message["From"] == "Meadow <door@meadow.example>"
    assert mail.message["Auto-Submitted"] == "auto-generated"
    assert mail.message.get_content_type() == "text/plain"
    for words in (
        "ada has a new password",
        "2023-11-14 22:13 UTC",
        "\nFrom the address: 192.0.2.7",
        "If it was not you",
    ):
        assert words in mail.text
    assert "https://auth.example/reset" in mail.text
    assert "https://auth.example/account/security" in mail.text


@pytest.mark.parametrize("text", sorted(NOTICES))
def test_there_are_words_for_every_notice(text: str) -> None:
    render = mail_renderer(issuer="https://auth.example", server_name="Meadow")
    values = dict.fromkeys(NOTICES[text], "something")
    assert "ada" in render(text, "de", {**VALUES, **values}).body


def test_a_mail_that_comes_twice_is_known_for_one(directory: Path, plain: MailServer) -> None:
    send(directory, url_of(plain))
    send(directory, url_of(plain))
    first, second = plain.mails
    assert first.message["Message-ID"] == second.message["Message-ID"]


@pytest.mark.parametrize("over_starttls", [False, True], ids=["smtps", "starttls"])
def test_mail_goes_over_verified_tls_with_a_login(
    directory: Path, tls: ssl.SSLContext, authority: CertificateAuthority, over_starttls: bool
) -> None:
    with MailServer(
        tls=None if over_starttls else tls,
        starttls=tls if over_starttls else None,
        login=LOGIN if over_starttls else None,
    ) as server:
        scheme = "smtp+starttls" if over_starttls else "smtps"
        url = url_of(server, scheme, IN_URL if over_starttls else "")
        send(directory, url, outbound_ca_bundle=str(authority.bundle))
        (mail,) = server.mails
        assert mail.over_tls
        assert mail.login == (LOGIN[0].encode() if over_starttls else None)
        settings = load_settings(environment(directory, url, outbound_ca_bundle=str(authority.bundle)))
        assert [(finding.status, finding.check) for finding in examine_mail(settings)] == [("ok", "mail")]


@pytest.mark.parametrize("over_starttls", [False, True], ids=["smtps", "starttls"])
def test_a_mail_server_that_nobody_vouches_for_gets_nothing(
    directory: Path, tls: ssl.SSLContext, over_starttls: bool
) -> None:
    with MailServer(tls=None if over_starttls else tls, starttls=tls if over_starttls else None) as server:
        scheme = "smtp+starttls" if over_starttls else "smtps"
        with pytest.raises(DeliveryFailed, match="certificate is not trusted"):
            send(directory, url_of(server, scheme))
        assert server.mails == []


def test_a_server_without_starttls_gets_neither_login_nor_mail(directory: Path, plain: MailServer) -> None:
    with pytest.raises(DeliveryFailed, match="STARTTLS"):
        send(directory, url_of(plain, "smtp+starttls", IN_URL))
    assert plain.mails == []


def test_a_wrong_password_is_told_without_it(
    directory: Path, tls: ssl.SSLContext, authority: CertificateAuthority
) -> None:
    with MailServer(starttls=tls, login=LOGIN) as server:
        url, bundle = url_of(server, "smtp+starttls", "post:not-the-password@"), str(authority.bundle)
        with pytest.raises(DeliveryFailed) as failure:
            send(directory, url, outbound_ca_bundle=bundle)
        assert f"{failure.value}" == "the mail server refused the user or the password (535)"
        settings = load_settings(environment(directory, url, outbound_ca_bundle=bundle))
        (finding,) = examine_mail(settings)
        assert finding.status == "error"
        assert "not-the-password" not in finding.sentence


@pytest.mark.parametrize(("answer", "is_final"), [("550 no such user ada@example.com", True), ("450 busy", False)])
def test_whom_the_mail_server_does_not_know_is_not_asked_again(
    directory: Path, plain: MailServer, answer: str, is_final: bool
) -> None:
    plain.refusals["ada@example.com"] = answer
    with pytest.raises(DeliveryFailed) as failure:
        send(directory, url_of(plain))
    assert isinstance(failure.value, DeliveryRefused) is is_final
    assert f"{failure.value}" == f"the mail server refused the recipient ({answer[:3]})"


def test_a_mail_server_that_is_down_is_told_by_its_reason(directory: Path) -> None:
    with pytest.raises(DeliveryFailed, match="cannot be reached: Connection refused"):
        send(directory, f"smtp://127.0.0.1:{MailServer().port}")


@pytest.mark.parametrize(
    "to",
    ["ada@example.com\r\nBcc: eve@evil.example", "ada,eve@evil.example", '"ada eve"@example.com', "<eve@evil.example>"],
)
def test_an_address_is_one_address_or_none(directory: Path, plain: MailServer, to: str) -> None:
    with pytest.raises(DeliveryRefused):
        send(directory, url_of(plain), to=to)
    assert plain.mails == []


def test_what_a_mail_shows_adds_no_header_and_no_line(directory: Path, plain: MailServer) -> None:
    nasty = "ada\r\nBcc: eve@evil.example\r\n\r\nOpen https://evil.example"
    send(directory, url_of(plain), values={**VALUES, "username": nasty})
    (mail,) = plain.mails
    assert mail.message["Bcc"] is None
    assert mail.recipients == ("ada@example.com",)
    assert "\nOpen https://evil.example" not in mail.text


def test_an_address_in_another_script_goes_out_as_mail_knows_it(directory: Path, plain: MailServer) -> None:
    send(directory, url_of(plain), to="ada@bücher.example")
    send(directory, url_of(plain), to="adá@example.com")
    assert [mail.recipients for mail in plain.mails] == [("ada@xn--bcher-kva.example",), ("adá@example.com",)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("smtp_url", "http://mail.example"),
        ("smtp_url", "smtp://mail.example:x"),
        ("smtp_url", "smtp://user:secret-word@mail.example"),
        ("smtp_url", "smtps://user@mail.example"),
        ("smtp_url", "smtps://mail.example/path"),
        ("mail_from", "nobody"),
        ("mail_from", "a <x@y.example>, b <c@d.example>"),
        ("mail_from", "a\nBcc: e@e.example <x@y.example>"),
    ],
)
def test_a_setting_that_mail_cannot_leave_by_stops_the_start(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings(environment(tmp_path, "smtps://mail.example") | {f"TOKENHOUSE_{name.upper()}": value})
    assert f"TOKENHOUSE_{name.upper()}: " in f"{refusal.value}"
    assert "secret-word" not in f"{refusal.value}"


def test_mail_is_from_the_issuers_host_unless_told_otherwise(tmp_path: Path) -> None:
    variables = environment(tmp_path, "smtps://mail.example")
    del variables["TOKENHOUSE_MAIL_FROM"]
    settings: Settings = load_settings(variables)
    assert settings.mailbox == "no-reply@auth.example"
