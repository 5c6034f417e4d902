"""The sentences for people who have to come back later, beside a `Retry-After` for programs."""

from flask import Response

from app.web.language import gettext, ngettext


def too_many_sentence(retry_after_s: int) -> str:
    """What somebody reads who has tried too often."""
    minutes = (retry_after_s + 59) // 60
    return ngettext(
        "Too many attempts. Please try again in %(num)s minute.",
        "Too many attempts. Please try again in %(num)s minutes.",
        minutes,
    )


def busy_sentence() -> str:
    """What somebody reads who came while everybody did."""
    return gettext("Many people are signing in just now. Please try again in a moment.")


def set_retry_after(response: Response, retry_after_s: int | None) -> Response:
    """The same for programs: RFC 9110 10.2.3."""
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    return response
