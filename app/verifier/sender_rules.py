"""Who may use a token, beyond holding it: from which network, and with which key.

These checks need the request; a token that has such a limit is refused where there is none.
"""

from collections.abc import Callable, Iterable
from typing import Final

from ..specs.protocol_error import InvalidDpopProof, InvalidToken, UseDpopNonce
from ..specs.rfc6750_bearer import AuthorizationScheme
from ..specs.rfc9449_dpop import (
    DpopProof,
    check_binding,
    check_scheme,
    is_nonce_valid,
    make_nonce,
    verify_proof,
)
from ..specs.tokenhouse_networks import Networks, find_client_address, is_within, parse_networks
from .https import check_url
from .replays import ReplayStore
from .resource_request import ResourceRequest

MIN_NONCE_KEY_BYTES: Final = 32


class SenderRules:
    """How this resource server learns a sender's address and key.

    `trusted_proxies`  networks whose X-Forwarded-For counts.
    `public_url`       where clients reach the root of the application: what DPoP proofs are compared with.
    `nonce_key`        a secret of all processes of this API; with it a proof needs a nonce (RFC 9449 section 9).
    """

    def __init__(
        self,
        *,
        trusted_proxies: Iterable[str],
        public_url: str | None,
        require_dpop: bool,
        nonce_key: bytes | None,
        replays: ReplayStore,
        clock: Callable[[], float],
    ) -> None:
        self._trusted_proxies: Networks = ()
        proxies = tuple(trusted_proxies)
        if proxies:
            self._trusted_proxies = parse_networks(proxies)
        if public_url is not None:
            check_url(public_url)
        self._public_url = None if public_url is None else public_url.rstrip("/")
        if nonce_key is not None and len(nonce_key) < MIN_NONCE_KEY_BYTES:
            raise ValueError(f"dpop_nonce_key has less than {MIN_NONCE_KEY_BYTES} bytes")
        if require_dpop and public_url is None:
            raise ValueError("require_dpop needs public_url, which the audience is not")
        self.require_dpop = require_dpop
        self._nonce_key = nonce_key
        self.replays = replays
        self._clock = clock

    @property
    def enforces_dpop(self) -> bool:
        """Whether proofs can be verified here, which needs to know this server's own address."""
        return self._public_url is not None

    def check_network(self, networks: Networks, request: ResourceRequest | None) -> None:
        """Raises InvalidToken unless the request comes from one of the networks."""
        if request is None:
            raise InvalidToken("the token is limited to networks, and the sender's address is not known here")
        address = find_client_address(request.peer, request.forwarded_for, self._trusted_proxies)
        if address is None:
            raise InvalidToken(
                "the token is limited to networks, and the sender's address is not known here",
                detail=f"peer {request.peer!r:.60}, X-Forwarded-For {request.forwarded_for!r:.200}",
            )
        if not is_within(address, networks):
            raise InvalidToken(
                "the token is not valid from this network", detail=f"{address} is in none of {networks!s:.300}"
            )

    def check_scheme(self, scheme: AuthorizationScheme, bound_jkt: str | None) -> None:
        """Raises InvalidToken unless a bound token came as one, and an unbound one is enough."""
        check_scheme(scheme, bound_jkt=bound_jkt)
        if bound_jkt is None and self.require_dpop:
            raise InvalidToken("the token is not bound to a key, which this API asks for")

    def verify_proof(self, bound_jkt: str, token: str, request: ResourceRequest | None) -> DpopProof:
        """Returns the proof of this request by the key that the token is bound to; raises InvalidDpopProof.

        Raises InvalidToken where it is another key's, UseDpopNonce where a nonce is needed. Remembers nothing: see
        `remember`.
        """
        if request is None or self._public_url is None:
            raise InvalidToken("the token is bound to a key, which is not enforced here (cnf)")
        now_s = self._clock()
        proof = verify_proof(
            request.dpop, method=request.method, url=self._public_url + request.path, now_s=now_s, access_token=token
        )
        check_binding(proof, bound_jkt=bound_jkt)
        key = self._nonce_key
        if key is not None and (proof.nonce is None or not is_nonce_valid(key, proof.nonce, now_s=now_s)):
            raise UseDpopNonce(
                "a nonce of this resource server is needed", headers={"DPoP-Nonce": make_nonce(key, now_s=now_s)}
            )
        return proof

    def remember(self, proof: DpopProof) -> None:
        """Raises InvalidDpopProof where the proof was seen before. The last check of all: it leaves a mark."""
        if not self.replays.add(proof.replay_key):
            raise InvalidDpopProof("the DPoP proof has been used before")
