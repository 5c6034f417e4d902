"""The way of a browser to another provider and back: what is remembered meanwhile, and how it is known again.

`state` is a secret of ours, spent once; the browser that left holds another in a cookie of its own, so that an answer
which somebody else obtained opens nothing here (login CSRF). What was sent lies sealed beside both.
"""

import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from app.services.deployment import Deployment
from app.services.identity_providers import Provider
from app.services.manage_providers import callback_url
from app.services.mint_secret import is_well_formed, mint_secret
from app.services.seals import seal_under, unseal_under
from app.services.upstream_identity import Endpoints, SentRequest
from app.specs.oidc_relying_party import AuthenticationRequest, build_authentication_request
from app.specs.protocol_error import InvalidRequest
from app.specs.rfc7636_pkce import derive_code_challenge
from app.specs.strict_request import Parameters
from app.storage.database import Connection
from app.storage.single_use import redeem_once
from app.storage.upstream_transactions import (
    UpstreamTransactionRow,
    find_upstream_transaction,
    insert_upstream_transaction,
)

Purpose = Literal["login", "link"]
_USE: Final = "upstream-transactions"
_TABLE: Final = "upstream_transactions"
_UNKNOWN: Final = "this sign-in was not begun in this browser, or too long ago"


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What somebody leaves for. `max_age_s` where a login is demanded that is no older; 0 is one now.

    `transaction_id`: of ours, which goes on afterwards. `session_id` and `user_id`: whose account is to be linked.
    `invitation`: the secret of the link by which somebody was invited.
    """

    purpose: Purpose
    transaction_id: str = ""
    max_age_s: int | None = None
    session_id: int | None = None
    user_id: int | None = None
    invitation: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Where the browser goes, and the cookie that it takes along."""

    url: str
    cookie_id: str
    cookie_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """A browser has come back from where it was sent; its `state` is spent."""

    errand: Errand
    sent: SentRequest
    digest: bytes


def depart(deployment: Deployment, provider: Provider, endpoints: Endpoints, errand: Errand) -> Departure:
    """Remember what is asked, and where the browser goes with it."""
    now = deployment.clock()
    state, browser_secret, nonce = mint_secret("up"), mint_secret("ub"), secrets.token_urlsafe(32)
    code_verifier = secrets.token_urlsafe(48)
    digest, digest_key_id = deployment.seals.digest("up", state)
    body = {
        "browser": deployment.seals.digest("ub", browser_secret)[0].hex(),
        "errand": asdict(errand),
        "nonce": nonce,
        "code_verifier": code_verifier,
    }
    sealed, key_id = seal_body(deployment, digest, body)
    row = UpstreamTransactionRow(
        digest=digest,
        digest_key_id=digest_key_id,
        provider_id=provider.id,
        purpose=errand.purpose,
        transaction_id=errand.transaction_id,
        sealed_body=sealed,
        seal_key_id=key_id,
        created_at=now,
        expires_at=now + deployment.settings.transaction_lifetime_s * 1000,
        used_at=None,
    )
    deployment.database.transact(lambda connection: insert_upstream_transaction(connection, row))
    request = AuthenticationRequest(
        client_id=provider.document.client_id,
        redirect_uri=callback_url(deployment.issuer, provider.name),
        scope=provider.document.requested_scope,
        state=state,
        nonce=nonce if endpoints.metadata is not None else None,
        code_challenge=derive_code_challenge(code_verifier),
        max_age_s=errand.max_age_s if endpoints.metadata is not None else None,
        # Providers that know no max_age know this.
        prompt="login" if errand.max_age_s == 0 and endpoints.metadata is not None else None,
    )
    url = build_authentication_request(endpoints.authorization_endpoint, request)
    return Departure(url=url, cookie_id=cookie_id_of(digest), cookie_secret=browser_secret)


def come_back(
    deployment: Deployment, provider: Provider, parameters: Parameters, read_cookie: Callable[[str], str | None]
) -> Return:
    """Know a browser again by its `state` and its cookie, and spend the state. Raises `InvalidRequest`.

    `read_cookie` takes the cookie's id. Looks at nothing else of the answer. Another browser's answer spends nothing.
    """
    state = parameters.get("state")
    if state is None or not is_well_formed("up", state):
        raise InvalidRequest(_UNKNOWN, detail="state is missing, or none of ours")
    with deployment.database.reading() as connection:
        row = find_upstream_transaction(connection, deployment.seals.digests("up", state))
    if row is None or row.provider_id != provider.id or row.purpose == "returned":
        raise InvalidRequest(_UNKNOWN, detail="state is unknown, used, or of another provider")
    cookie = read_cookie(cookie_id_of(row.digest))
    body = open_body(deployment, row)
    if cookie is None or not is_well_formed("ub", cookie) or not _is_same_browser(deployment, cookie, body["browser"]):
        raise InvalidRequest(_UNKNOWN, detail="the answer came to another browser")

    def spend(connection: Connection) -> bool:
        return redeem_once(connection, "upstream_transactions", row.digest, now=deployment.clock())

    if not deployment.database.transact(spend):
        raise InvalidRequest(_UNKNOWN, detail="state is used, or expired")
    errand = Errand(**body["errand"])
    sent = SentRequest(
        redirect_uri=callback_url(deployment.issuer, provider.name),
        code_verifier=body["code_verifier"],
        nonce=body["nonce"],
        max_age_s=errand.max_age_s,
        asked_at_s=row.created_at / 1000,
    )
    return Return(errand=errand, sent=sent, digest=row.digest)


def cookie_id_of(digest: bytes) -> str:
    """The part of the cookie's name that says for which `state` it is: 24 hexadecimal digits."""
    return digest.hex()[:24]


def seal_body(deployment: Deployment, digest: bytes, body: dict[str, Any]) -> tuple[bytes, str]:
    """What a row remembers, sealed for its place, and the id of the key from which the sealing key comes."""
    key_id = deployment.seals.digest_key_id
    key = deployment.seals.derive_key(key_id, _USE)
    return seal_under(key, json.dumps(body).encode(), table=_TABLE, row=digest.hex(), purpose=_USE), key_id


def open_body(deployment: Deployment, row: UpstreamTransactionRow) -> dict[str, Any]:
    """What `seal_body` sealed. Raises `SealError`."""
    key = deployment.seals.derive_key(row.seal_key_id, _USE)
    opened: dict[str, Any] = json.loads(
        unseal_under(key, row.sealed_body, table=_TABLE, row=row.digest.hex(), purpose=_USE)
    )
    return opened


def _is_same_browser(deployment: Deployment, cookie: str, digest: str) -> bool:
    return any(hmac.compare_digest(each.hex(), digest) for each in deployment.seals.digests("ub", cookie))
