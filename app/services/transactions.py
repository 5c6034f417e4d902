"""The pending authorization transaction: begun for a browser, found again only by that browser.

It lives on the server. The browser holds a secret of its own per transaction in a cookie; a link to somebody else's
transaction opens nothing (the browser swap of the FAPI attacker model).
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from app.services.authorization_request import AuthorizationRequest
from app.services.deployment import Deployment
from app.services.mint_secret import is_well_formed, mint_secret
from app.specs.protocol_error import InvalidRequest
from app.storage.database import Connection
from app.storage.transactions import TransactionRow, find_transaction, insert_transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A pending transaction. `csrf_token` belongs to it and to nothing else."""

    transaction_id: str
    request: AuthorizationRequest
    session_id: int | None
    began_at: int
    csrf_token: str

    def __repr__(self) -> str:
        return f"Transaction({self.transaction_id!r})"


class TransactionEnded(InvalidRequest):
    """The transaction is over: finished or expired. `request` tells the way back to the client."""

    def __init__(self, request: AuthorizationRequest, description: str) -> None:
        super().__init__(description)
        self.request = request


def begin_transaction(deployment: Deployment, request: AuthorizationRequest) -> tuple[Transaction, str]:
    """A new transaction, and the secret for the cookie of the browser that began it."""
    now = deployment.clock()
    secret = mint_secret("tx")
    digest, digest_key_id = deployment.seals.digest("tx", secret)
    row = TransactionRow(
        transaction_id=secrets.token_hex(12),
        digest=digest,
        digest_key_id=digest_key_id,
        client_pk=request.client_pk,
        request=request.to_document(),
        session_id=None,
        created_at=now,
        expires_at=now + deployment.settings.transaction_lifetime_s * 1000,
        used_at=None,
    )

    def store(connection: Connection) -> None:
        insert_transaction(connection, row)

    deployment.database.transact(store)
    return _transaction(deployment, row, secret), secret


def resume_transaction(deployment: Deployment, transaction_id: str, secret: str | None) -> Transaction:
    """The pending transaction of this browser.

    Raises `InvalidRequest` when there is none or it is another browser's (the two look the same from outside), and
    `TransactionEnded` when it is this browser's but over.
    """
    unknown = InvalidRequest("this sign-in was not begun in this browser, or too long ago")
    if secret is None or not is_well_formed("tx", secret) or len(transaction_id) > 64:
        raise unknown
    with deployment.database.reading() as connection:
        row = find_transaction(connection, transaction_id)
    if row is None:
        raise unknown
    if not any(hmac.compare_digest(digest, row.digest) for digest in deployment.seals.digests("tx", secret)):
        raise unknown
    if row.used_at is not None:
        raise TransactionEnded(_request(row), "this sign-in has been finished already")
    if row.expires_at <= deployment.clock():
        raise TransactionEnded(_request(row), "this sign-in was left waiting too long")
    return _transaction(deployment, row, secret)


def is_csrf_token_of(transaction: Transaction, csrf_token: str | None) -> bool:
    """Whether a form was made by us for this transaction in this browser."""
    return csrf_token is not None and hmac.compare_digest(csrf_token.encode(), transaction.csrf_token.encode())


def account_csrf_token(transaction: Transaction, session_id: int) -> str:
    """The CSRF token of a page that was shown to one account: another account's answer is no answer to it."""
    return hmac.new(transaction.csrf_token.encode(), b"session %d" % session_id, hashlib.sha256).hexdigest()


def is_account_csrf_token_of(transaction: Transaction, session_id: int | None, csrf_token: str | None) -> bool:
    """Whether a form was made by us for this transaction in this browser and for this account."""
    if session_id is None or csrf_token is None:
        return False
    return hmac.compare_digest(csrf_token.encode(), account_csrf_token(transaction, session_id).encode())


def _request(row: TransactionRow) -> AuthorizationRequest:
    return AuthorizationRequest.from_document(row.request)


def _transaction(deployment: Deployment, row: TransactionRow, secret: str) -> Transaction:
    return Transaction(
        transaction_id=row.transaction_id,
        request=_request(row),
        session_id=row.session_id,
        began_at=row.created_at,
        csrf_token=deployment.seals.digest("csrf", secret)[0].hex(),
    )
