"""The one place where a token request is bound to who sends it: by a key (RFC 9449) and by the address it comes from.

It stands after the client is known and before anything is spent: a refusal here, also one that only asks for a nonce,
leaves code, refresh token and proof as they were. That a proof comes once is decided later, in the transaction that
issues what it was made for.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from app.services.client_registry import Client
from app.services.deployment import Deployment
from app.specs.protocol_error import InvalidDpopProof, UseDpopNonce
from app.specs.rfc7523_client_assertion import ClientAssertion
from app.specs.rfc9449_dpop import (
    REPLAY_WINDOW_S,
    DpopProof,
    confirmation_claim,
    is_nonce_valid,
    make_nonce,
    verify_proof,
)
from app.storage.database import Connection
from app.storage.single_use import use_once

NONCE_HEADER = "DPoP-Nonce"
# A proof is remembered until every node refuses it by its age, whichever of their clocks is ahead.
_REMEMBERED_FOR_MS = (REPLAY_WINDOW_S + 20) * 1000
_NONCE_KEY = "dpop-nonce"


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderBinding:
    """Who sends a request: the key that it proves to have, if any, and its address as the edge knows it.

    The proof, and the assertion by which the client authenticated itself, are verified, and not yet used up.
    """

    proof: DpopProof | None
    address: str
    assertion: ClientAssertion | None = None

    @property
    def jkt(self) -> str | None:
        """The thumbprint of the sender's key."""
        return None if self.proof is None else self.proof.jkt

    @property
    def confirmation(self) -> Mapping[str, str] | None:
        """The claim `cnf` of what is issued to this sender (RFC 9449 6.1); None for a bearer token."""
        return None if self.proof is None else confirmation_claim(self.proof.jkt)


def bind_sender(
    deployment: Deployment,
    client: Client,
    *,
    dpop: str | None,
    method: str,
    url: str,
    address: str,
    assertion: ClientAssertion | None = None,
) -> SenderBinding:
    """The sender of a token request. `dpop` is the header's value, `url` the endpoint's on the configured issuer.

    Raises `InvalidDpopProof` and `UseDpopNonce`. Does not see replays: `use_proof` does.
    """
    # RFC 9449 5.2: "If true, the authorization server MUST reject token requests from this client that do not contain
    # the DPoP header."
    if "dpop" not in deployment.settings.feature_names:
        dpop = None
    if dpop is None and not client.metadata.dpop_bound_access_tokens:
        return SenderBinding(proof=None, address=address, assertion=assertion)
    proof = verify_sender_proof(deployment, dpop, method=method, url=url)
    return SenderBinding(proof=proof, address=address, assertion=assertion)


def verify_sender_proof(
    deployment: Deployment, dpop: str | None, *, method: str, url: str, access_token: str | None = None
) -> DpopProof:
    """The proof of a request to this server, its nonce judged. Raises `InvalidDpopProof` and `UseDpopNonce`."""
    now_s = deployment.clock() / 1000
    proof = verify_proof(dpop, method=method, url=url, now_s=now_s, access_token=access_token)
    check_nonce(deployment, proof, now_s=now_s)
    return proof


def check_nonce(deployment: Deployment, proof: DpopProof, *, now_s: float) -> None:
    """RFC 9449 4.3: a nonce must be ours and fresh; none at all is refused where the operator demands one."""
    if proof.nonce is None and deployment.settings.dpop_nonce == "off":
        return
    keys = deployment.seals.derive_keys(_NONCE_KEY)
    if proof.nonce is not None and any(is_nonce_valid(key, proof.nonce, now_s=now_s) for key in keys):
        return
    raise UseDpopNonce("a fresh nonce of this server is needed", headers={NONCE_HEADER: fresh_nonce(deployment)})


def fresh_nonce(deployment: Deployment) -> str:
    """The nonce of now: every node makes the same one, and none remembers it."""
    return make_nonce(deployment.seals.derive_keys(_NONCE_KEY)[0], now_s=deployment.clock() / 1000)


def use_proof(connection: Connection, proof: DpopProof, *, now: int) -> None:
    """Use a proof up, in the transaction that does what it was made for. Raises `InvalidDpopProof` for a replay."""
    if not use_once(connection, proof.replay_key, expires_at=now + _REMEMBERED_FOR_MS):
        raise InvalidDpopProof("the DPoP proof has been used before")
