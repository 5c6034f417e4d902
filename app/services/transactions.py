"""The pending authorization transaction: begun for a browser, found again only by that browser.

It lives on the server. The browser holds a secret of its own per transaction in a cookie; a link to somebody else's
transaction opens nothing (the browser swap of the FAPI attacker model).
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Any

from app.services.authorization_request import AuthorizationRequest
from app.services.deployment import Deployment
from app.services.mint_secret import is_well_formed, mint_secret
from app.specs.protocol_error import InvalidRequest
from app.storage.database import Connection
from app.storage.transactions import TransactionRow, find_transaction, insert_transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstFactor:
    """Somebody has proven who they are by one factor, in milliseconds at `at`, and owes a second."""

    user_id: int
    methods: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPage:
    """A page of ours that somebody came for: its path beneath the issuer, and how they must have logged in for it.

    `level`: at least this one, where the person has the means for it. `max_age_s`: how old their login may be.
    """

    path: str
    level: str = "pwd"
    max_age_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A sign-in that is going on in this browser. `csrf_token` belongs to it and to nothing else."""

    transaction_id: str
    session_id: int | None
    began_at: int
    first_factor: FirstFactor | None = None
    second_factor_attempts: int = 0
    csrf_token: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.transaction_id!r})"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Transaction(Pending):
    """A pending transaction: a client asks."""

    request: AuthorizationRequest


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Visit(Pending):
    """A person comes for a page of ours, and no client asks."""

    page: OwnPage


# A path of ours with a query, and nothing that a browser could take for another origin.
_OWN_PATH = re.compile(r"/[a-z][a-z0-9_/-]{0,99}(\?[A-Za-z0-9_.~=&-]{0,400})?")


class TransactionEnded(InvalidRequest):
    """The transaction is over: finished or expired. `request` tells the way back to the client, if one asked."""

    def __init__(self, request: AuthorizationRequest | None, description: str) -> None:
        super().__init__(description)
        self.request = request


def begin_transaction(deployment: Deployment, request: AuthorizationRequest) -> tuple[Transaction, str]:
    """A new transaction, and the secret for the cookie of the browser that began it."""
    row, secret = _store(deployment, request.client_pk, request.to_document())
    pending = _pending(deployment, row, secret)
    assert isinstance(pending, Transaction)  # noqa: S101 - a client asks
    return pending, secret


def begin_visit(deployment: Deployment, page: OwnPage) -> tuple[Visit, str]:
    """A new visit, and the secret for the cookie of the browser that began it."""
    if not _OWN_PATH.fullmatch(page.path):
        raise ValueError(f"{page.path!r} is no path of ours")
    document = {"path": page.path, "level": page.level, "max_age_s": page.max_age_s}
    row, secret = _store(deployment, None, document)
    pending = _pending(deployment, row, secret)
    assert isinstance(pending, Visit)  # noqa: S101 - no client asks
    return pending, secret


def _store(deployment: Deployment, client_pk: int | None, document: dict[str, Any]) -> tuple[TransactionRow, str]:
    now = deployment.clock()
    secret = mint_secret("tx")
    digest, digest_key_id = deployment.seals.digest("tx", secret)
    row = TransactionRow(
        transaction_id=secrets.token_hex(12),
        digest=digest,
        digest_key_id=digest_key_id,
        client_pk=client_pk,
        request=document,
        session_id=None,
        created_at=now,
        expires_at=now + deployment.settings.transaction_lifetime_s * 1000,
        used_at=None,
    )

    def store(connection: Connection) -> None:
        insert_transaction(connection, row)

    deployment.database.transact(store)
    return row, secret


def resume_pending(deployment: Deployment, transaction_id: str, secret: str | None) -> Transaction | Visit:
    """The pending transaction or visit of this browser.

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
    return _pending(deployment, row, secret)


def is_csrf_token_of(transaction: Pending, csrf_token: str | None) -> bool:
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


def _request(row: TransactionRow) -> AuthorizationRequest | None:
    return None if row.client_pk is None else AuthorizationRequest.from_document(row.request)


def _pending(deployment: Deployment, row: TransactionRow, secret: str) -> Transaction | Visit:
    first_factor = None
    if row.first_factor_user_id is not None:
        first_factor = FirstFactor(
            user_id=row.first_factor_user_id,
            methods=tuple((row.first_factor_methods or "").split()),
            at=row.first_factor_at or 0,
        )
    csrf_token = deployment.seals.digest("csrf", secret)[0].hex()
    request = _request(row)
    if request is None:
        return Visit(
            transaction_id=row.transaction_id,
            page=OwnPage(**row.request),
            session_id=row.session_id,
            began_at=row.created_at,
            first_factor=first_factor,
            second_factor_attempts=row.second_factor_attempts or 0,
            csrf_token=csrf_token,
        )
    return Transaction(
        transaction_id=row.transaction_id,
        request=request,
        session_id=row.session_id,
        began_at=row.created_at,
        first_factor=first_factor,
        second_factor_attempts=row.second_factor_attempts or 0,
        csrf_token=csrf_token,
    )
