"""The pages of an account, as values, and the functions that render them."""

from dataclasses import dataclass

from flask import render_template

from app.web.account_frame import AccountFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewPage:
    """Who the person is here: what applications can learn of them."""

    frame: AccountFrame


def render_overview(page: OverviewPage) -> str:
    """Return the first page of an account as HTML."""
    return render_template("account.html", page=page)
