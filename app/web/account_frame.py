"""The frame around every page of an account: who is signed in, the ways between the pages, what was just done.

frame = account_frame(site, session, "security", done=gettext("The passkey was added."))
html = render_security(SecurityPage(frame=frame, ...))        # its template extends account_layout.html
"""

from dataclasses import dataclass
from typing import Literal

from app.storage.sessions import SessionRow
from app.web.site import Site

AccountSection = Literal["overview", "security", "sessions", "applications", "activity"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFrame:
    """What `account_layout.html` shows. `done` and `error` are whole sentences for the person, in their language.

    `logout_url` is a path of ours, None where logging out here is switched off.
    """

    username: str
    section: AccountSection
    base_path: str
    logout_url: str | None = None
    done: str | None = None
    error: str | None = None


def account_frame(
    site: Site, session: SessionRow, section: AccountSection, *, done: str | None = None, error: str | None = None
) -> AccountFrame:
    """The frame of a page for whoever `session` is."""
    has_logout = "rp_initiated_logout" in site.deployment.settings.feature_names
    return AccountFrame(
        username=session.username,
        section=section,
        base_path=site.base_path,
        logout_url=f"{site.base_path}/logout" if has_logout else None,
        done=done,
        error=error,
    )
