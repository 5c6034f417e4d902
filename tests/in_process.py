"""The application in the tests' own process, where a test has to reach into it."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from app.factory import Tokenhouse, create_app
from app.services.clock import Clock, system_clock
from app.settings import Settings


@contextmanager
def open_application(settings: Settings, *, clock: Clock = system_clock) -> Iterator[Tokenhouse]:
    """The application, closed afterwards; and the log of this process as it was, for whoever captures it next."""
    application = create_app(settings, clock=clock)
    # A logger that is kept at its first use would go on writing lines for this application for ever.
    structlog.configure(cache_logger_on_first_use=False)
    try:
        yield application
    finally:
        application.close()
        structlog.reset_defaults()
