"""The first page of an account and those of its end and its export, as values, and the functions that render them."""

from dataclasses import dataclass, field

from flask import render_template

from app.web.account_frame import AccountFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownClaim:
    """One thing that applications can learn, in words, and by which permission."""

    label: str
    value: str
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileField:
    """One thing that the person may say of themselves. `choices`: (value, text) pairs where it is one of a few."""

    name: str
    label: str
    value: str
    kind: str
    autocomplete: str
    hint: str | None = None
    choices: tuple[tuple[str, str], ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewPage:
    """Who the person is here, what applications can learn of that, and what they may change themselves."""

    frame: AccountFrame
    csrf_token: str = field(repr=False)
    email: str
    email_is_verified: bool
    can_change_email: bool
    since: str
    claims: tuple[ShownClaim, ...] = field(repr=False)
    fields: tuple[ProfileField, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPage:
    """The question whether to download everything."""

    frame: AccountFrame
    csrf_token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletePage:
    """The question whether to delete the account; answered by typing its name. `error` is a sentence."""

    frame: AccountFrame
    csrf_token: str = field(repr=False)
    has_mail: bool
    error: str | None = None


def render_overview(page: OverviewPage) -> str:
    """Return the first page of an account as HTML."""
    return render_template("account.html", page=page)


def render_export(page: ExportPage) -> str:
    """Return the page before the download as HTML."""
    return render_template("account_export.html", page=page)


def render_delete(page: DeletePage) -> str:
    """Return the page before the deletion as HTML."""
    return render_template("account_delete.html", page=page)


def render_deleted() -> str:
    """Return the page after a deletion as HTML."""
    return render_template("account_deleted.html")
