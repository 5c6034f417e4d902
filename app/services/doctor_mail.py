"""`tokenhouse doctor` on mail: the server is spoken to as for a mail, and none is sent."""

from collections.abc import Iterator

from app.services.findings import Finding, error, ok, warning
from app.services.outbox import DeliveryFailed
from app.services.send_mail import MailConnector
from app.settings import Settings
from app.specs.issuer_identifier import is_loopback_host


def examine_mail(settings: Settings) -> Iterator[Finding]:
    """Whether a mail would be taken; nothing where there is no mail server."""
    if settings.smtp_url is None:
        return
    connector = MailConnector(settings)
    server = connector.server
    place = f"{server.host}:{server.port}"
    try:
        with connector.connect() as smtp:
            smtp.noop()
    except DeliveryFailed as failure:
        yield error("mail", f"{place}: {failure}")
        return
    if server.security == "none" and not is_loopback_host(server.host):
        yield warning("mail", f"{place} is spoken to without TLS: links that let people in travel in the clear")
        return
    yield ok("mail", f"{place} takes our mail")
