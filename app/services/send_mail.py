"""Mail, handed to the server that `TOKENHOUSE_SMTP_URL` names: one connection per mail, TLS verified, time bounded.

What a mail says is put together by a renderer that the factory hands in, because the words are the pages' words. Why a
mail did not leave is told to the operator by the mail server's code alone: its text may hold the person's address.
"""

import smtplib
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final

from app.services.deployment import Deployment
from app.services.outbox import Delivery, DeliveryFailed, DeliveryRefused, Sender
from app.settings import Settings
from app.specs.rfc5322_mail_address import MailAddress, parse_mail_address, parse_mailbox
from app.specs.smtp_url import SmtpServer, parse_smtp_url

DEADLINE_S: Final = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MailText:
    """What a mail says, in somebody's language: one line, and plain text."""

    subject: str
    body: str


MailRenderer = Callable[[str, str | None, Mapping[str, str]], MailText]
"""From the name of a text, a language tag or None, and the values that it shows."""


def mail_sender(deployment: Deployment, render: MailRenderer) -> Sender:
    """What delivers the outbox's messages of the kind `mail`; for a deployment that has a mail server."""
    settings = deployment.settings
    connector = MailConnector(settings)
    name, mail_from = parse_mailbox(settings.mailbox)

    def send(delivery: Delivery) -> None:
        body = delivery.body
        try:
            to = parse_mail_address(body["to"])
        except ValueError as error:
            raise DeliveryRefused(f"the recipient's address {error}") from error
        text = render(body["text"], body["locale"], body["values"])
        message = compose(
            text,
            to=to,
            mail_from=mail_from,
            sender_name=name or settings.server_name,
            message_id=delivery.message_id,
            now=deployment.clock(),
        )
        with connector.connect() as smtp:
            _hand_over(smtp, message, mail_from=mail_from.addr_spec, to=to.addr_spec)

    return send


def _hand_over(smtp: smtplib.SMTP, message: EmailMessage, *, mail_from: str, to: str) -> None:
    """Not by `send_message`, which writes ">From" where a line of the text begins with "From"."""
    # RFC 6531 3.4; smtplib raises where the server does not offer it.
    is_international = not f"{mail_from}{to}".isascii()
    content = message.as_bytes(policy=policy.SMTPUTF8 if is_international else policy.SMTP)
    smtp.sendmail(mail_from, [to], content, mail_options=("SMTPUTF8", "BODY=8BITMIME") if is_international else ())


def compose(
    text: MailText, *, to: MailAddress, mail_from: MailAddress, sender_name: str, message_id: bytes, now: int
) -> EmailMessage:
    """The message. Raises ValueError for a header with more than one line: nothing that is shown can add a header."""
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = mail_from.with_name(sender_name)
    message["To"] = to.with_name("")
    message["Subject"] = text.subject
    message["Date"] = format_datetime(datetime.fromtimestamp(now / 1000, tz=UTC))
    # The same at each attempt: whoever gets a mail twice, because a server died in between, can see that it is one.
    message["Message-ID"] = f"<{message_id.hex()}@{mail_from.domain}>"
    # RFC 3834 5: no out-of-office answer to this.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text.body)
    return message


class MailConnector:
    """Opens sessions with the mail server of a deployment, one per mail."""

    def __init__(self, settings: Settings) -> None:
        if settings.smtp_url is None:
            raise ValueError("there is no mail server")
        self.server: SmtpServer = parse_smtp_url(settings.smtp_url.get_secret_value())
        self._tls = _tls_context(settings.outbound_ca_bundle)

    @contextmanager
    def connect(self) -> Iterator[smtplib.SMTP]:
        """A session, authenticated where the URL says as whom. Raises `DeliveryFailed`, also for what is done in it."""
        smtp: smtplib.SMTP | None = None
        try:
            smtp = self._open()
            yield smtp
        except (smtplib.SMTPException, OSError) as error:
            raise explain(error) from error
        finally:
            if smtp is not None:
                _hang_up(smtp)

    def _open(self) -> smtplib.SMTP:
        server = self.server
        if server.security == "tls":
            smtp: smtplib.SMTP = _BoundedSmtpOverTls(server.host, server.port, timeout=DEADLINE_S, context=self._tls)
        else:
            smtp = _BoundedSmtp(server.host, server.port, timeout=DEADLINE_S)
        try:
            if server.security == "starttls":
                smtp.starttls(context=self._tls)
            smtp.ehlo_or_helo_if_needed()
            if server.username is not None and server.password is not None:
                smtp.login(server.username, server.password)
        except BaseException:
            _hang_up(smtp)
            raise
        return smtp


def explain(error: smtplib.SMTPException | OSError) -> DeliveryFailed:
    """Why a mail did not leave, without a word that the mail server said."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = sorted(code for code, _ in error.recipients.values())
        # RFC 5321 4.2.1: 5yz is for good, 4yz is for now.
        kind = DeliveryRefused if all(500 <= code < 600 for code in codes) else DeliveryFailed
        return kind(f"the mail server refused the recipient ({', '.join(map(str, codes))})")
    if isinstance(error, smtplib.SMTPSenderRefused):
        return DeliveryFailed(f"the mail server refused TOKENHOUSE_MAIL_FROM ({error.smtp_code})")
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return DeliveryFailed(f"the mail server refused the user or the password ({error.smtp_code})")
    if isinstance(error, smtplib.SMTPResponseException):
        return DeliveryFailed(f"the mail server answered {error.smtp_code}")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return DeliveryFailed("the mail server lacks what is needed: STARTTLS, AUTH, or SMTPUTF8 for this address")
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return DeliveryFailed("the mail server hung up")
    if isinstance(error, ssl.SSLCertVerificationError):
        return DeliveryFailed(f"the mail server's certificate is not trusted: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return DeliveryFailed("the mail server does not speak TLS as it should")
    if isinstance(error, TimeoutError):
        return DeliveryFailed("the mail server did not answer in time")
    reason = getattr(error, "strerror", None) or type(error).__name__
    return DeliveryFailed(f"the mail server cannot be reached: {reason}")


class _BoundedSmtp(smtplib.SMTP):
    """Every answer is waited for only until the deadline of the whole session."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._over_at = time.monotonic() + DEADLINE_S
        super().__init__(*arguments, **named)

    def getreply(self) -> tuple[int, bytes]:
        left_s = self._over_at - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        if self.sock is not None:
            self.sock.settimeout(left_s)
        return super().getreply()


class _BoundedSmtpOverTls(_BoundedSmtp, smtplib.SMTP_SSL):
    """The same, over TLS from the first byte."""


def _hang_up(smtp: smtplib.SMTP) -> None:
    """Whatever becomes of the farewell: the mail has left, or has not."""
    try:
        smtp.quit()
    except (smtplib.SMTPException, OSError):
        smtp.close()


def _tls_context(ca_bundle: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_bundle is not None:
        context.load_verify_locations(cafile=ca_bundle)
    return context
