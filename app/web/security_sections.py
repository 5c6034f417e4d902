"""What a section of /account/security is: whoever has something to show there gives a function that returns one."""

from collections.abc import Callable
from dataclasses import dataclass

from app.storage.sessions import SessionRow
from app.web.site import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section: the template under `templates/security/` that shows it, as `section`, with the value that it shows.

    The template is a whole `<section class="section" aria-labelledby="…">` with an `<h2>`; `page.frame` is there too.
    """

    template: str
    value: object = None


Contributor = Callable[[Site, SessionRow], Section | None]
"""The section for whoever is signed in; None where there is nothing to show."""
