"""A real mail server: what it took, by recipient, and how it answers."""

import email
import re
import ssl
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.patience import wait_until
from tests.server import free_port


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """One mail, as it came over the wire, and how."""

    mail_from: str
    recipients: tuple[str, ...]
    message: EmailMessage
    over_tls: bool
    login: bytes | None

    @property
    def text(self) -> str:
        """Its plain text."""
        return str(self.message.get_content()).replace("\r\n", "\n")

    @property
    def link(self) -> str:
        """The one link that stands on a line of its own."""
        (link,) = re.findall(r"^https?://\S+/th_el_\w+$", self.text, flags=re.MULTILINE)
        return str(link)


@dataclass
class MailServer:
    """A mail server on this machine. `refusals`: what is answered to a recipient."""

    tls: ssl.SSLContext | None = None
    starttls: ssl.SSLContext | None = None
    login: tuple[str, str] | None = None
    port: int = field(default_factory=free_port)
    refusals: dict[str, str] = field(default_factory=dict)
    mails: list[ReceivedMail] = field(default_factory=list)
    _controller: Controller | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, on the same port each time."""
        self._controller = _Controller(self)
        self._controller.start()

    def stop(self) -> None:
        """Nobody listens any more."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def to(self, address: str) -> list[ReceivedMail]:
        """What came for one address, in order."""
        return [mail for mail in list(self.mails) if address in mail.recipients]

    def about(self, address: str, words: str) -> list[ReceivedMail]:
        """What came for an address and says these words, in order."""
        return [mail for mail in self.to(address) if words in mail.text]

    def wait_for(self, address: str, count: int = 1, *, words: str = "") -> ReceivedMail:
        """The latest mail to an address that says these words, once there are so many."""
        wait_until(lambda: len(self.about(address, words)) >= count)
        return self.about(address, words)[-1]

    # ----- What aiosmtpd calls -----

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        refusal = self.refusals.get(address)
        if refusal is None:
            envelope.rcpt_tos.append(address)
        return refusal or "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        auth_data: Any = session.auth_data
        self.mails.append(
            ReceivedMail(
                mail_from=envelope.mail_from or "",
                recipients=tuple(envelope.rcpt_tos),
                message=message,
                over_tls=self.tls is not None or session.ssl is not None,
                login=auth_data.login if isinstance(auth_data, LoginPassword) else None,
            )
        )
        return "250 OK"

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, auth_data: Any
    ) -> AuthResult:
        """Whether a user and password are those of `login`."""
        assert self.login is not None
        user, password = self.login
        is_right = auth_data == LoginPassword(user.encode(), password.encode())
        return AuthResult(success=is_right, handled=False, auth_data=auth_data)


class _Controller(Controller):
    def __init__(self, owner: MailServer) -> None:
        named: dict[str, Any] = {"tls_context": owner.starttls, "require_starttls": owner.starttls is not None}
        if owner.login is not None:
            named |= {
                "authenticator": owner.authenticate,
                "auth_required": True,
                "auth_require_tls": owner.starttls is not None,
            }
        super().__init__(
            owner, hostname="127.0.0.1", port=owner.port, ssl_context=owner.tls, enable_SMTPUTF8=True, **named
        )
