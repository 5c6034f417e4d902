"""What the pages behind links from mails have in common.

The secret is the last segment of the path. A GET shows what the link would do and spends nothing: programs that look
through people's mail open every link. A POST to the same path does it, and needs no further token: whoever has the link
could do it anywhere. The pages lead nowhere but to this server, and their Referrer-Policy tells nobody else.
"""

from flask import Response, request

from app.services.transactions import Transaction, Visit, resume_pending
from app.specs.protocol_error import InvalidRequest
from app.web.language import gettext
from app.web.login import client_of
from app.web.pages import ClientCard
from app.web.recovery_pages import OutcomePage, render_outcome
from app.web.site import Site


def link_over(site: Site, *, link_path: str | None = None, link_label: str = "") -> Response:
    """The page for a link that opens nothing. Never says why: it may be somebody else's who asks."""
    page = OutcomePage(
        heading=gettext("This link does not work"),
        lead=gettext("It was used already, it is too old, or a newer one was sent."),
        is_refusal=True,
        link_url=None if link_path is None else f"{site.base_path}{link_path}",
        link_label=link_label,
    )
    return show_outcome(site, page)


def show_outcome(site: Site, page: OutcomePage) -> Response:
    """The page that says what came of something: 400 where it is a refusal."""
    return site.page(render_outcome(page), status=400 if page.is_refusal else 200)


def pending_here(site: Site, transaction_id: str) -> str | None:
    """The identifier of a sign-in, if this browser began it and it still waits."""
    pending = _find_pending(site, transaction_id)
    return None if pending is None else pending.transaction_id


def client_here(site: Site, transaction_id: str) -> ClientCard | None:
    """Who asks in a sign-in that this browser began and that still waits; None where nobody does."""
    pending = _find_pending(site, transaction_id)
    try:
        return None if pending is None else client_of(site, pending)
    except InvalidRequest:
        return None


def _find_pending(site: Site, transaction_id: str) -> Transaction | Visit | None:
    secret = site.cookies.read_transaction(request, transaction_id) if transaction_id else None
    try:
        return resume_pending(site.deployment, transaction_id, secret)
    except InvalidRequest:
        return None


def sign_in_url(site: Site, transaction_id: str) -> str:
    """Where somebody goes on to sign in: in the sign-in that they left for this, else to their account."""
    pending = pending_here(site, transaction_id)
    return f"{site.base_path}/account" if pending is None else f"{site.base_path}/login?transaction={pending}"
