"""The verifier: one token in, its checked claims out, without asking anybody.

The order of the checks is part of the contract, because the first that fails is the reason that the caller sees.

 1. size, form, header (`alg`, `typ`, no key of its own), key, signature; nothing in the payload is read before
 2. claims: `iss`, `aud`, times, required members, the form of what limits the token, the address of its status list
 3. `exp` again, for a token that was seen before: everything from here runs at every call
 4. scheme: a bound token came with `DPoP`, an unbound one with `Bearer`
 5. status: not revoked, by a list that is not too old
 6. network
 7. DPoP proof, by the token's key, with a nonce where one is asked for
 8. what the view requires: scopes, authorization_details, the login behind the token
 9. the proof was not used before: last, because it leaves a mark
"""

import hashlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from ..specs.protocol_error import InvalidToken
from ..specs.rfc6750_bearer import AuthorizationScheme, parse_presented_token
from ..specs.rfc7515_jose import VERIFICATION_ALGORITHMS, InvalidJws
from ..specs.rfc9068_access_token import CONSTRAINING_CLAIMS, TYP, AccessTokenClaims, check_claims
from ..specs.rfc9449_dpop import parse_confirmation_claim
from ..specs.strict_json import StrictJsonError, parse_json_object
from ..specs.token_status_list import StatusReference, parse_status_claim
from ..specs.tokenhouse_networks import parse_networks_claim
from .background import Refresher
from .https import DocumentClient, check_url, find_origin, is_fetchable
from .issuer_signatures import IssuerSignatures
from .key_set import make_key_set
from .published_metadata import PublishedMetadata
from .renewed_copy import WouldWait
from .replays import InProcessReplays, ReplayStore
from .requirement import VALID_TOKEN, Requirement, check_requirement, require
from .resource_request import ResourceRequest
from .seen_tokens import SeenTokens, VerifiedToken
from .sender_rules import SenderRules
from .status_lists import HttpsStatusListSource, StatusLists, StatusListSource

# Servers cut header lines at 8 to 16 KiB; a longer token never arrived in one.
MAX_TOKEN_BYTES: Final = 16384
MAX_SEEN_TOKENS: Final = 10_000


class AccessTokenVerifier:
    """Verifies access tokens of one issuer for one resource server. Safe for threads; make one and keep it.

    One issuer's keys never verify another's tokens: a resource server that trusts two issuers makes two verifiers.
    docs/verifier.md is the contract; the parameters:

    `issuer`      exactly as in the tokens' `iss`.
    `audience`    the resource's identifier, or every name that it goes by; the first is the realm of refusals, and what
                  `public_url` is where that is not given.

    Keys. `keys` is a JWK Set, or JWKs, instead of fetching; otherwise `jwks_uri`, otherwise the issuer's metadata says.
    `algorithms`  what is accepted at all; every one of them is asymmetric.
    `max_age_s`   how long fetched keys are kept at most; `max_stale_s` how long at most when the issuer is down;
                  `unknown_key_interval_s` the least time between two fetches for the sake of unknown key ids.

    Status. A token that names a status list is checked against it; `require_status` refuses those that name none,
    `ignore_status` checks none: then a revoked token is good until its `exp`.
    `status_list_prefix`  where lists may be, `<issuer>/status-lists/` unless given.
    `status_interval_s`   the longest time between two questions for a list; its `ttl` is usually shorter.
    `status_max_age_s`    believes a list for so long at most after its `iat`; `status_grace_s` for so much longer than
                          its `exp` when no newer one can be had. 0 fails closed at the `exp`.
    `status_list_source`  takes the place of HTTPS.

    Senders. `trusted_proxies`, `public_url`, `require_dpop`, `dpop_nonce_key`: see SenderRules. `replays` is where used
    proofs are remembered; the default knows this process only.

    The rest. `metadata` adds to the RFC 9728 document, `publish_metadata=False` publishes none. `seen_tokens` is how
    many verified tokens are remembered. `background=False` starts no refresher thread. `leeway_s` is for clocks that
    differ. `ca_file` names certificates to trust instead of the system's, `timeout_s` bounds a fetch.
    `clock` is seconds since 1970; `monotonic` for ages. Both are there for tests.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str | Collection[str],
        keys: Mapping[str, Any] | Iterable[Mapping[str, Any]] | None = None,
        jwks_uri: str | None = None,
        algorithms: Collection[str] = VERIFICATION_ALGORITHMS,
        max_age_s: float = 300,
        max_stale_s: float = 86_400,
        unknown_key_interval_s: float = 10,
        require_status: bool = False,
        ignore_status: bool = False,
        status_list_prefix: str | None = None,
        status_interval_s: float = 300,
        status_max_age_s: float | None = None,
        status_grace_s: float = 0,
        status_list_source: StatusListSource | None = None,
        trusted_proxies: Iterable[str] = (),
        public_url: str | None = None,
        require_dpop: bool = False,
        dpop_nonce_key: bytes | None = None,
        replays: ReplayStore | None = None,
        metadata: Mapping[str, Any] | None = None,
        publish_metadata: bool = True,
        seen_tokens: int = MAX_SEEN_TOKENS,
        background: bool = True,
        leeway_s: float = 10,
        ca_file: str | None = None,
        timeout_s: float = 5,
        max_token_bytes: int = MAX_TOKEN_BYTES,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = issuer
        self.audience = (audience,) if isinstance(audience, str) else tuple(audience)
        _check_names(self.audience, algorithms)
        self._leeway_s = leeway_s
        self._max_token_bytes = max_token_bytes
        self._clock = clock
        client = DocumentClient(timeout_s=timeout_s, ca_file=ca_file)
        self._fetches_keys = keys is None
        self._key_set = make_key_set(
            keys,
            issuer=issuer,
            jwks_uri=jwks_uri,
            client=client,
            max_age_s=max_age_s,
            max_stale_s=max_stale_s,
            unknown_key_interval_s=unknown_key_interval_s,
            # Metadata at one of three addresses, then the keys; a fast refusal or answer is the usual case.
            wait_s=2 * timeout_s,
            monotonic=monotonic,
        )
        self._signatures = IssuerSignatures(self._key_set, algorithms)
        self._seen = SeenTokens(seen_tokens)
        self._require_status, self._ignore_status = require_status, ignore_status
        if require_status and ignore_status:
            raise ValueError("require_status and ignore_status exclude each other")
        self._status_lists = None
        prefix = status_list_prefix or f"{issuer.rstrip('/')}/status-lists/"
        # Given keys need no network, and their issuer no address; its tokens' status can then not be checked.
        if not ignore_status and (status_list_source is not None or keys is None or is_fetchable(prefix)):
            check_url(prefix)
            self._status_lists = StatusLists(
                issuer=issuer,
                prefix=prefix,
                source=status_list_source or HttpsStatusListSource(client),
                signatures=self._signatures,
                leeway_s=leeway_s,
                interval_s=status_interval_s,
                max_age_s=status_max_age_s,
                grace_s=status_grace_s,
                wait_s=2 * timeout_s,
                clock=clock,
                monotonic=monotonic,
            )
        self._senders = SenderRules(
            trusted_proxies=trusted_proxies,
            public_url=public_url or find_origin(self.audience[0]),
            require_dpop=require_dpop,
            nonce_key=dpop_nonce_key,
            replays=replays or InProcessReplays(monotonic=monotonic),
            clock=clock,
        )
        self.published = PublishedMetadata(
            issuer=issuer,
            resource=self.audience[0],
            enforces_dpop=self._senders.enforces_dpop,
            requires_dpop=require_dpop,
            members=metadata,
            is_wanted=publish_metadata,
        )
        self._refresher = Refresher(self) if background else None

    @property
    def schemes(self) -> tuple[AuthorizationScheme, ...]:
        """The authentication schemes under which tokens are taken here, the preferred one first."""
        if self._senders.require_dpop:
            return ("DPoP",)
        return ("Bearer", "DPoP") if self._senders.enforces_dpop else ("Bearer",)

    def verify(
        self, token: str, *, scope: str | Collection[str] = (), requirement: Requirement | None = None
    ) -> AccessTokenClaims:
        """Returns the claims of a token that is valid here and now and has every scope asked for.

        `requirement` says more than scopes can (`require(...)`), in their place. For tokens without a request: one that
        is bound to a key or limited to networks is refused here, see `verify_request`.
        Raises InvalidToken (401), InsufficientScope (403) or InsufficientUserAuthentication (401), whose description
        says why; TemporarilyUnavailable (503) when keys or the token's status are not known. May wait for the network
        then, `2 * timeout_s` at most for each of the two.
        """
        return self._verify(token, "Bearer", None, requirement or require(scope), wait=True)

    def verify_at_once(
        self, token: str, *, scope: str | Collection[str] = (), requirement: Requirement | None = None
    ) -> AccessTokenClaims:
        """Like verify, but raises WouldWait instead of waiting for the network: for event loops."""
        return self._verify(token, "Bearer", None, requirement or require(scope), wait=False)

    def verify_request(
        self, request: ResourceRequest, requirement: Requirement = VALID_TOKEN, *, wait: bool = True
    ) -> AccessTokenClaims | None:
        """Returns the claims of the request's token, None where it has none. Reads the Authorization header alone.

        Raises what `verify` does, InvalidRequest for a malformed header, InvalidDpopProof and UseDpopNonce (both 401 at
        a resource), and WouldWait without `wait`.
        """
        presented = parse_presented_token(request.authorization)
        if presented is None:
            return None
        return self._verify(presented.unverified_token, presented.scheme, request, requirement, wait=wait)

    def fetch_keys(self) -> None:
        """Fetches the keys before the first token comes; raises TemporarilyUnavailable. Calling it is optional."""
        self._key_set.get_keys(wait=True)
        self._ensure_renewals(is_needed=self._fetches_keys)

    def renew_due(self) -> None:
        """Starts the renewals that are due, and waits for nothing. The refresher thread calls it."""
        self._key_set.renew_if_due()
        if self._status_lists is not None:
            self._status_lists.renew_due()

    def _verify(
        self,
        token: str,
        scheme: AuthorizationScheme,
        request: ResourceRequest | None,
        requirement: Requirement,
        *,
        wait: bool,
    ) -> AccessTokenClaims:
        digest = self._digest(token)
        now_s = self._clock()
        verified = self._seen.find(digest)
        if verified is None or verified.keys is not self._key_set.get_keys(wait=wait):
            verified = self._verify_anew(token, now_s=now_s, wait=wait)
            self._seen.add(digest, verified, now_s=now_s)
        claims = verified.claims
        if now_s >= claims.expires_at_s + self._leeway_s:
            self._seen.forget(digest)
            raise InvalidToken("the token has expired", detail=f"exp is {claims.expires_at_s}, now is {now_s}")
        bound_jkt = verified.bound_jkt
        if bound_jkt is not None or scheme != "Bearer" or self._senders.require_dpop:
            self._senders.check_scheme(scheme, bound_jkt)
        if verified.status is not None:
            self._check_status(verified.status, claims, digest, now_s=now_s, wait=wait)
        if verified.networks is not None:
            self._senders.check_network(verified.networks, request)
        if bound_jkt is None:
            check_requirement(requirement, claims, now_s=now_s, leeway_s=self._leeway_s)
            return claims
        if not wait and not self._senders.replays.is_immediate:
            raise WouldWait
        proof = self._senders.verify_proof(bound_jkt, token, request)
        check_requirement(requirement, claims, now_s=now_s, leeway_s=self._leeway_s)
        self._senders.remember(proof)
        return claims

    def _digest(self, token: str) -> bytes:
        if len(token) > self._max_token_bytes:
            raise InvalidToken("the token is too long")
        try:
            return hashlib.sha256(token.encode("ascii")).digest()
        except UnicodeEncodeError:
            raise InvalidToken("the token is not a JWS in compact form") from None

    def _check_status(
        self, status: StatusReference, claims: AccessTokenClaims, digest: bytes, *, now_s: float, wait: bool
    ) -> None:
        if self._status_lists is None:
            raise InvalidToken("the token's status cannot be checked here: there is no address to fetch it from")
        try:
            self._status_lists.check(status, token_expires_at_s=claims.expires_at_s, now_s=now_s, wait=wait)
        except InvalidToken:
            self._seen.forget(digest)
            raise

    def _verify_anew(self, token: str, *, now_s: float, wait: bool) -> VerifiedToken:
        """Everything about a token that does not depend on when and how it is used."""
        try:
            raw_claims, keys = self._signatures.verify(token, typ=TYP, max_bytes=self._max_token_bytes, wait=wait)
            unchecked_claims = parse_json_object(raw_claims, max_bytes=self._max_token_bytes)
        except InvalidJws as error:
            raise InvalidToken(str(error)) from error
        except StrictJsonError as error:
            raise InvalidToken("the token's claims are not a JSON object that can be read in one way only") from error
        claims = check_claims(
            unchecked_claims,
            issuer=self.issuer,
            audience=self.audience,
            now_s=now_s,
            leeway_s=self._leeway_s,
            # Enforced at every call, by `_verify`.
            enforced=CONSTRAINING_CLAIMS,
        )
        verified = VerifiedToken(
            claims=claims,
            keys=keys,
            bound_jkt=parse_confirmation_claim(unchecked_claims),
            networks=parse_networks_claim(unchecked_claims),
            status=None if self._ignore_status else self._find_status(unchecked_claims),
        )
        self._ensure_renewals(is_needed=self._fetches_keys or verified.status is not None)
        return verified

    def _find_status(self, claims: Mapping[str, Any]) -> StatusReference | None:
        status = parse_status_claim(claims)
        if status is None:
            if self._require_status:
                raise InvalidToken("the token has no status, so that nobody can know whether it has been revoked")
        elif self._status_lists is not None:
            self._status_lists.check_address(status)
        return status

    def _ensure_renewals(self, *, is_needed: bool) -> None:
        if is_needed and self._refresher is not None:
            self._refresher.ensure_running()


def _check_names(audience: Collection[str], algorithms: Collection[str]) -> None:
    if not audience or "" in audience:
        raise ValueError("audience must name this resource server")
    if not algorithms or not set(algorithms).issubset(VERIFICATION_ALGORITHMS):
        raise ValueError(f"algorithms must be some of {', '.join(VERIFICATION_ALGORITHMS)}")
