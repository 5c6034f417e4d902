"""The page of connected applications, as a value, and the function that renders it."""

from dataclasses import dataclass, field

from flask import render_template

from app.specs.rfc9396_details_types import DescribedDetail
from app.web.account_frame import AccountFrame
from app.web.pages import ClientCard, ConsentScope


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownApi:
    """One API with what may be done there. `is_whole`: nothing was granted by name, so it goes as one thing."""

    name: str
    host: str
    choices: tuple[ConsentScope, ...]
    details: tuple[DescribedDetail, ...]
    is_whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDelegation:
    """Who holds what through another: `name` is the client's own word."""

    grant_id: str
    name: str
    api: str
    scopes: tuple[str, ...]
    until: str
    children: "tuple[ShownDelegation, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAccess:
    """One grant, in words. `last_use` None: not used yet. `networks` None: from anywhere.

    `earliest` and `latest` bound the end date that can be chosen (YYYY-MM-DD), in `zone`.
    """

    grant_id: str
    since: str
    last_use: str | None
    last_address: str | None
    until: str
    duration: str
    identity: tuple[ConsentScope, ...]
    apis: tuple[ShownApi, ...]
    is_offline: bool
    is_narrowed: bool
    networks: str | None
    may_choose_networks: bool
    here: str | None
    earliest: str
    latest: str
    zone: str
    delegations: tuple[ShownDelegation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownApplication:
    """One application. `card` is None where nothing is known of it any more. `remembered`: answers, in words.

    `is_never_asked_about`: the operator lets it have what it asks for (`skip_consent`).
    """

    client_id: str
    card: ClientCard | None
    accesses: tuple[ShownAccess, ...]
    remembered: tuple[str, ...]
    is_never_asked_about: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationsPage:
    """What acts for the person."""

    frame: AccountFrame
    csrf_token: str = field(repr=False)
    applications: tuple[ShownApplication, ...]


def render_applications(page: ApplicationsPage) -> str:
    """Return the page as HTML."""
    return render_template("account_applications.html", page=page)
