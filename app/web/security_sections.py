"""What a section of /account/security is: whoever has something to show there gives a function that returns one."""

from collections.abc import Callable
from dataclasses import dataclass, field

from app.storage.sessions import SessionRow
from app.web.site import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section: the template under `templates/security/` that shows it, as `section`, with the value that it shows.

    The template is a whole `<section class="section" aria-labelledby="…">` with an `<h2>`; `page.frame` is there too.
    `script_nonce` is that of its script, where it has one; a page has one at most.
    """

    template: str
    value: object = None
    script_nonce: str | None = field(default=None, repr=False)


Contributor = Callable[[Site, SessionRow], Section | None]
"""The section for whoever is signed in; None where there is nothing to show."""
