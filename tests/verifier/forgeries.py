"""A request that passes with everything that a token can have, and more than a hundred that are one step away from it.

The token of the request that passes is bound to a key, limited to networks, has a status, authorization_details and a
login of a certain kind; and the view asks for all of that. docs/make_verifier_vectors.py writes the same down for other
languages, so nothing here is random that a caller does not make so.
"""

import hashlib
import hmac
import itertools
import json
from collections.abc import Callable
from typing import Any

from app.specs.rfc7515_jose import encode_base64url
from app.specs.token_status_list import status_claim
from app.verifier import ResourceRequest, require
from tests.verifier.issuer import API, START_S, ClientKey, SigningKey, make_claims, sign_es256

NOW_S = int(START_S)
URL = "https://api.example.com/photos/1"
VIEW = require(
    "photos.read photos.print", authorization_details="payment_initiation", acr_values="mfa phr", max_age_s=600
)
TRUSTED_PROXIES = ["198.51.100.0/24"]
REVOKED_INDEX = 7
INVALID = "invalid_token"
PROOF = "invalid_dpop_proof"


class Bench:
    """The issuer with its key and a status list, a client and a thief with theirs, and the good request."""

    def __init__(
        self,
        *,
        issuer: str,
        list_uri: str,
        key: SigningKey,
        stranger: SigningKey,
        client: ClientKey,
        thief: ClientKey,
    ) -> None:
        self.issuer, self.list_uri = issuer, list_uri
        self.key, self.stranger, self.client, self.thief = key, stranger, client, thief
        self._proofs = itertools.count(1)

    def claims(self, **changes: Any) -> dict[str, Any]:
        everything: dict[str, Any] = {
            "scope": "photos.read photos.print",
            "cnf": {"jkt": self.client.jkt},
            "th_networks": ["10.0.0.0/8", "2001:db8::/32"],
            "status": status_claim(self.list_uri, 1),
            "authorization_details": [{"type": "payment_initiation", "instructedAmount": {"amount": "5.00"}}],
            "acr": "mfa",
            "auth_time": NOW_S - 60,
        }
        return make_claims(self.issuer, **{**everything, **changes})

    def sign(self, header: dict[str, Any], payload: bytes, key: SigningKey | None = None) -> str:
        members = {"alg": "ES256", "kid": self.key.kid, "typ": "at+jwt", **header}
        kept = {name: value for name, value in members.items() if value is not ...}
        signing_input = f"{encode_base64url(json.dumps(kept).encode())}.{encode_base64url(payload)}"
        return f"{signing_input}.{sign_es256((key or self.key).key, signing_input)}"

    def token(self, **changes: Any) -> str:
        return self.sign({}, json.dumps(self.claims(**changes)).encode())

    def prove(self, token: str, prover: ClientKey | None = None, **changes: Any) -> str:
        """A good proof, each with a `jti` of its own."""
        return (prover or self.client).prove(token, **{"url": URL, "jti": f"proof-{next(self._proofs)}", **changes})

    def request(self, token: str, **changes: Any) -> ResourceRequest:
        proof = changes.pop("dpop", None) or self.prove(token)
        parts = {"authorization": f"DPoP {token}", "dpop": proof, "path": "/photos/1", "peer": "10.1.2.3", **changes}
        return ResourceRequest(**{name: value for name, value in parts.items() if value is not ...})


Forge = Callable[[Bench], ResourceRequest]


# ----- The ways to go astray -----


def claims(**changes: Any) -> Forge:
    """A token that our issuer signed, with other claims than the good one."""
    return lambda bench: bench.request(bench.token(**changes))


def header(**members: Any) -> Forge:
    return lambda bench: bench.request(bench.sign(members, json.dumps(bench.claims()).encode()))


def payload(raw: bytes) -> Forge:
    return lambda bench: bench.request(bench.sign({}, raw))


def edited(edit: Callable[[str, str, str], str]) -> Forge:
    return lambda bench: bench.request(edit(*bench.token().split(".")))


def stranger(*, kid: Any = ..., **members: Any) -> Forge:
    """A signature by a key that is not the issuer's; `kid="ours"` says that it is."""

    def forge(bench: Bench) -> ResourceRequest:
        other = bench.stranger
        named = bench.key.kid if kid == "ours" else kid
        own = {name: (other.public_jwk if name == "jwk" else value) for name, value in members.items()}
        return bench.request(bench.sign({"kid": named, **own}, json.dumps(bench.claims()).encode(), other))

    return forge


def used(**changes: Any) -> Forge:
    """The good token, used otherwise; a part of the request may be a function of the good token and the bench."""

    def forge(bench: Bench) -> ResourceRequest:
        token = bench.token()
        made = {name: value(bench, token) if callable(value) else value for name, value in changes.items()}
        return bench.request(token, **made)

    return forge


def proved(**changes: Any) -> Forge:
    return used(dpop=lambda bench, token: bench.prove(token, **changes))


def other_payload(head: str, _payload: str, signature: str) -> str:
    return f"{head}.{encode_base64url(json.dumps({'iss': 'https://evil.example'}).encode())}.{signature}"


def public_key_as_secret(bench: Bench) -> ResourceRequest:
    parts = ({"alg": "HS256", "kid": bench.key.kid, "typ": "at+jwt"}, bench.claims())
    signing_input = ".".join(encode_base64url(json.dumps(part).encode()) for part in parts)
    mac = hmac.new(json.dumps(bench.key.public_jwk).encode(), signing_input.encode(), hashlib.sha256)
    return bench.request(f"{signing_input}.{encode_base64url(mac.digest())}")


def without_signature(bench: Bench) -> ResourceRequest:
    unsigned = bench.sign({"alg": "none"}, json.dumps(bench.claims()).encode())
    return bench.request(unsigned.rpartition(".")[0] + ".")


def somebody_elses_token(bench: Bench) -> ResourceRequest:
    """A thief has the token, and proves with a key of his own."""
    return bench.request(token := bench.token(), dpop=bench.prove(token, bench.thief))


def another_tokens_signature(bench: Bench) -> ResourceRequest:
    signing_input = bench.token().rpartition(".")[0]
    return bench.request(f"{signing_input}.{bench.token(jti='id-2').rpartition('.')[2]}")


def claim_twice(bench: Bench) -> ResourceRequest:
    return bench.request(bench.sign({}, json.dumps(bench.claims())[:-1].encode() + b',"scope":"admin"}'))


ONE_WAY = "read in one way only"
NOT_ENFORCED = r"in a way that is not enforced here \(cnf\)"
NO_SCOPE = "insufficient_scope"
FORGERIES: dict[str, tuple[Forge, str, str]] = {
    # Form
    "two parts": (edited(lambda h, p, _: f"{h}.{p}"), INVALID, "compact form"),
    "four parts": (edited(lambda h, p, s: f"{h}.{p}.{s}.{s}"), INVALID, "compact form"),
    "five parts, as if encrypted": (edited(lambda h, p, s: f"{h}.{p}.{s}.{p}.{s}"), INVALID, "is encrypted"),
    "one part": (edited(lambda h, _p, _s: h), INVALID, "compact form"),
    "too long": (claims(filler="x" * 16384), INVALID, "the token is too long"),
    "padding": (edited(lambda h, p, s: f"{h}.{p}.{s}=="), INVALID, "not base64url"),
    "the standard alphabet": (edited(lambda h, p, s: f"{h}.{p}.+{s[1:]}"), INVALID, "not base64url"),
    # Header
    "alg none": (header(alg="none"), INVALID, "alg is not accepted"),
    "alg none without a signature": (without_signature, INVALID, "alg is not accepted"),
    "alg nOnE": (header(alg="nOnE"), INVALID, "alg is not accepted"),
    "no alg": (header(alg=...), INVALID, "names no alg"),
    "alg HS256 over the public key": (public_key_as_secret, INVALID, "alg is not accepted"),
    "alg of another kind of key": (header(alg="RS256"), INVALID, "alg does not fit the key"),
    "an ID token's typ": (header(typ="JWT"), INVALID, r"typ is not at\+jwt"),
    "no typ": (header(typ=...), INVALID, r"typ is not at\+jwt"),
    "a logout token's typ": (header(typ="logout+jwt"), INVALID, r"typ is not at\+jwt"),
    "a DPoP proof's typ": (header(typ="dpop+jwt"), INVALID, r"typ is not at\+jwt"),
    "a status list's typ": (header(typ="statuslist+jwt"), INVALID, r"typ is not at\+jwt"),
    "an introspection answer's typ": (header(typ="token-introspection+jwt"), INVALID, r"typ is not at\+jwt"),
    "crit": (header(crit=["exp"]), INVALID, r"not supported \(crit\)"),
    "b64": (header(b64=False), INVALID, r"not supported \(b64\)"),
    "zip": (header(zip="DEF"), INVALID, r"not supported \(zip\)"),
    "kid as a number": (header(kid=1), INVALID, "kid is not a text"),
    # Key
    "a key in the header": (stranger(jwk=True), INVALID, r"own key \(jwk\)"),
    "a key set's address in the header": (stranger(jku="https://evil.example/keys"), INVALID, r"own key \(jku\)"),
    "a certificate in the header": (stranger(x5c=["MIIB"]), INVALID, r"own key \(x5c\)"),
    "a certificate's address in the header": (stranger(x5u="https://evil.example/c"), INVALID, r"own key \(x5u\)"),
    "a stranger under our kid": (stranger(kid="ours"), INVALID, "the signature does not verify"),
    "a stranger without kid": (stranger(), INVALID, "no key of the issuer"),
    "a stranger under a kid of its own": (stranger(kid="mine"), INVALID, "no key of the issuer"),
    "kid as a path": (stranger(kid="../../dev/null"), INVALID, "no key of the issuer"),
    "kid as SQL": (stranger(kid="' OR 1=1 --"), INVALID, "no key of the issuer"),
    # Signature
    "no signature": (edited(lambda h, p, _: f"{h}.{p}."), INVALID, "the signature does not verify"),
    "another payload": (edited(other_payload), INVALID, "the signature does not verify"),
    "a signature of zeros": (edited(lambda h, p, _: f"{h}.{p}.{'A' * 86}"), INVALID, "the signature does not verify"),
    "another token's signature": (another_tokens_signature, INVALID, "the signature does not verify"),
    # Payload
    "an empty payload": (payload(b""), INVALID, ONE_WAY),
    "an array": (payload(b"[]"), INVALID, ONE_WAY),
    "no JSON": (payload(b"hello"), INVALID, ONE_WAY),
    "a claim twice": (claim_twice, INVALID, ONE_WAY),
    "NaN": (payload(b'{"exp":NaN}'), INVALID, ONE_WAY),
    "an infinite exp": (payload(b'{"exp":1e999}'), INVALID, ONE_WAY),
    "deep nesting": (payload(b'{"a":' + b"[" * 4000 + b"]" * 4000 + b"}"), INVALID, ONE_WAY),
    # Claims
    "another issuer": (claims(iss="https://evil.example"), INVALID, "from another issuer"),
    "no issuer": (claims(iss=...), INVALID, "from another issuer"),
    "another audience": (claims(aud="https://other.example"), INVALID, "for another audience"),
    "an audience that begins like ours": (claims(aud=API + "/"), INVALID, "for another audience"),
    "the client as audience, as in an ID token": (claims(aud="printer"), INVALID, "for another audience"),
    "no audience": (claims(aud=...), INVALID, "names no audience"),
    "expired": (claims(exp=NOW_S - 10), INVALID, "the token has expired"),
    "no exp": (claims(exp=...), INVALID, "exp is missing"),
    "exp as a text": (claims(exp="2099-01-01"), INVALID, "exp is missing or not a time"),
    "not yet": (claims(nbf=NOW_S + 60), INVALID, "not valid yet"),
    "from the future": (claims(iat=NOW_S + 60), INVALID, "issued in the future"),
    "no iat": (claims(iat=...), INVALID, "iat is missing"),
    "no sub": (claims(sub=...), INVALID, "sub is missing"),
    "no client_id": (claims(client_id=...), INVALID, "client_id is missing"),
    "no jti": (claims(jti=...), INVALID, "jti is missing"),
    "scope as a list": (claims(scope=["photos.read"]), INVALID, "scope is not a text"),
    "acr as a number": (claims(acr=1), INVALID, "acr is not a text"),
    "authorization_details as an object": (claims(authorization_details={}), INVALID, "is not a list of objects"),
    # Status
    "revoked": (lambda bench: bench.request(bench.token(status=status_claim(bench.list_uri, 7))),
                INVALID, "the token has been revoked"),
    "no status, where one is required": (claims(status=...), INVALID, "has no status"),
    "a status without list": (claims(status={"valid": True}), INVALID, "is not kept in a status list"),
    "an index that the list does not have": (
        lambda bench: bench.request(bench.token(status=status_claim(bench.list_uri, 1024))),
        INVALID, "has no entry for the token"),
    "a negative index": (
        lambda bench: bench.request(bench.token(status=status_claim(bench.list_uri, -1))),
        INVALID, "status has no index"),
    "a list of somebody else": (claims(status=status_claim("https://evil.example/status-lists/one", 1)),
                                INVALID, "not kept in a list of its issuer"),
    # Network
    "from another network": (used(peer="192.0.2.7"), INVALID, "not valid from this network"),
    "from another network of IPv6": (used(peer="2001:db9::1"), INVALID, "not valid from this network"),
    "from another network that claims to be ours": (used(peer="192.0.2.7", forwarded_for="10.1.2.3"),
                                                     INVALID, "not valid from this network"),
    "from another network through our proxy": (used(peer="198.51.100.1", forwarded_for="10.1.2.3, 192.0.2.7"),
                                                INVALID, "not valid from this network"),
    "from nowhere": (used(peer=...), INVALID, "the sender's address is not known"),
    "from a name": (used(peer="198.51.100.1", forwarded_for="localhost"), INVALID, "sender's address is not known"),
    "networks as a text": (claims(th_networks="10.0.0.0/8"), INVALID, "th_networks is not a list of networks"),
    "no network": (claims(th_networks=[]), INVALID, "th_networks names no network"),
    "a network with bits behind its length": (claims(th_networks=["10.1.2.3/8"]), INVALID, "bits set behind"),
    # Binding
    "as a bearer token": (used(authorization=lambda _, token: f"Bearer {token}"), INVALID, "not as a bearer token"),
    "unbound, with a proof": (claims(cnf=...), INVALID, "not bound to a key and must come as a bearer token"),
    "bound to a certificate": (claims(cnf={"x5t#S256": "A" * 43}), INVALID, NOT_ENFORCED),
    "bound to a key and a certificate": (
        lambda bench: bench.request(bench.token(cnf={"jkt": bench.client.jkt, "x5t#S256": "A" * 43})),
        INVALID, NOT_ENFORCED),
    "bound to nothing": (claims(cnf={}), INVALID, NOT_ENFORCED),
    "bound to half a thumbprint": (claims(cnf={"jkt": "A" * 42}), INVALID, "no thumbprint"),
    "stolen": (somebody_elses_token, INVALID, "bound to another key than the DPoP proof's"),
    # Proof
    "no proof": (used(dpop=...), PROOF, "a DPoP proof is needed"),
    "two proofs": (used(dpop=lambda bench, token: ", ".join(bench.prove(token) for _ in range(2))),
                   PROOF, "more than one DPoP header"),
    "a proof for another token": (used(dpop=lambda bench, _: bench.prove("another")),
                                  PROOF, r"not for this access token \(ath\)"),
    "a proof for no token": (proved(ath=...), PROOF, r"not for this access token \(ath\)"),
    "a proof for another method": (proved(method="POST"), PROOF, r"another method \(htm\)"),
    "a proof for another address": (proved(url="https://api.example.com/photos/2"), PROOF, r"another address \(htu\)"),
    "a proof for another host": (proved(url="https://evil.example/photos/1"), PROOF, r"another address \(htu\)"),
    "a proof for http": (proved(url="http://api.example.com/photos/1"), PROOF, r"another address \(htu\)"),
    "an old proof": (proved(now_s=NOW_S - 61), PROOF, "too old"),
    "a proof from the future": (proved(now_s=NOW_S + 11), PROOF, "from the future"),
    "a proof without jti": (proved(jti=...), PROOF, "jti is not a text"),
    "a proof of another type": (proved(typ="JWT"), PROOF, r"typ is not dpop\+jwt"),
    "the access token as its proof": (used(dpop=lambda _, token: token), PROOF, r"typ is not dpop\+jwt"),
    # What the view asks for
    "without one of the scopes": (claims(scope="photos.read"), NO_SCOPE, "lacks the scope photos.print"),
    "without any scope": (claims(scope=...), NO_SCOPE, "lacks the scope photos.print photos.read"),
    "with a scope that begins alike": (claims(scope="photos.read photos.printer"), NO_SCOPE, "photos.print"),
    "without authorization_details": (claims(authorization_details=...), "insufficient_scope",
                                      "lacks authorization_details of the type payment_initiation"),
    "with other authorization_details": (claims(authorization_details=[{"type": "files"}]), "insufficient_scope",
                                         "lacks authorization_details of the type payment_initiation"),
    "with a weaker login": (claims(acr="pwd"), "insufficient_user_authentication", "different authentication level"),
    "with an unknown login": (claims(acr=...), "insufficient_user_authentication", "different authentication level"),
    "with a login long ago": (claims(auth_time=NOW_S - 700), "insufficient_user_authentication", "more recent"),
    "with a login at no time": (claims(auth_time=...), "insufficient_user_authentication", "more recent"),
    # The header that carries it all
    "two tokens": (used(authorization=lambda _, token: f"DPoP {token}, DPoP {token}"), "invalid_request", "malformed"),
    "no token behind the scheme": (used(authorization="DPoP"), "invalid_request", "malformed"),
}  # fmt: skip
