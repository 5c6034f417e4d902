"""How many mails somebody may cause who only says whose an address is: counted by recipient and by network."""

from app.services.deployment import Deployment
from app.services.limit_guesses import Guess, GuessLimit, TooManyAttempts, count_guesses
from app.services.whereabouts import Whereabouts, network_of
from app.storage.database import Connection

MAILS_TO_ADDRESS = GuessLimit(name="mail_to", free=5, given_back_after_s=900, starts_anew=False)
MAILS_FROM_NETWORK = GuessLimit(name="mail_network", free=20, given_back_after_s=120, starts_anew=False)


def count_mail(
    deployment: Deployment, connection: Connection, recipient_key: str, origin: Whereabouts, *, now: int
) -> TooManyAttempts | None:
    """Count a mail that somebody asks for, in the caller's transaction; what to raise where it is one too many.

    Raised after the commit, so that what was counted stays counted. `recipient_key`: what all spellings of the address,
    or of the name that was typed in its place, have in common.
    """
    guesses = [Guess(MAILS_FROM_NETWORK, network_of(origin.address)), Guess(MAILS_TO_ADDRESS, recipient_key)]
    counted = count_guesses(connection, deployment.seals, guesses, now=now)
    return counted if isinstance(counted, TooManyAttempts) else None
