"""RFC 7517 keys and RFC 7638 thumbprints."""

from typing import Any

import pytest

from app.specs.rfc4648_base64url import encode_base64url
from app.specs.rfc7517_jwk import (
    SIGNING_ALGORITHMS,
    InvalidKey,
    PrivateKey,
    generate_private_jwk,
    import_encryption_jwk,
    import_encryption_jwk_set,
    import_jwk_set,
    import_private_jwk,
    import_public_jwk,
    public_members,
    thumbprint,
)

# RFC 7515 A.2 and A.3, RFC 8037 A.2, RFC 7638 3.1.
RSA = {
    "kty": "RSA",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZ"
    "S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2Ca"
    "pHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h"
    "4FRWyuXpoQ",
    "e": "AQAB",
}
EC = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
ED25519 = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
RFC7638_KEY = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
    "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu"
    "6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awa"
    "pJzKnqDKgw",
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}


@pytest.fixture(scope="module")
def private_jwks() -> dict[str, dict[str, str]]:
    return {alg: generate_private_jwk(alg) for alg in SIGNING_ALGORITHMS}


@pytest.fixture(scope="module")
def keys(private_jwks: dict[str, dict[str, str]]) -> dict[str, PrivateKey]:
    return {alg: import_private_jwk(jwk, is_our_own=True) for alg, jwk in private_jwks.items()}


@pytest.mark.requirement("RFC 7638", "3.1", "the section's example, and RFC 8037 A.3")
def test_the_thumbprints_of_the_specifications_come_out() -> None:
    assert thumbprint(RFC7638_KEY) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert thumbprint(ED25519) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.parametrize("jwk", [{}, {"kty": "oct", "k": "AAAA"}, {"kty": "RSA", "e": "AQAB"}, {"kty": "EC", "crv": 1}])
def test_what_is_no_key_has_no_thumbprint(jwk: dict[str, Any]) -> None:
    with pytest.raises(InvalidKey):
        thumbprint(jwk)


@pytest.mark.parametrize("alg", SIGNING_ALGORITHMS)
def test_a_generated_key_publishes_no_private_member(alg: str, private_jwks: dict[str, dict[str, str]]) -> None:
    published = public_members(private_jwks[alg])
    assert published.keys() <= {"kty", "crv", "x", "y", "n", "e", "kid", "use", "alg"}
    assert published["kid"] == thumbprint(published)
    assert (published["use"], published["alg"]) == ("sig", alg)
    assert import_public_jwk(published).algorithms == {alg}


def test_an_unknown_private_member_cannot_slip_into_what_is_published(private_jwks: dict[str, dict[str, str]]) -> None:
    assert "seed" not in public_members({**private_jwks["ES256"], "seed": "c2VjcmV0"})


def test_the_secret_does_not_show_in_repr(private_jwks: dict[str, dict[str, str]], keys: dict[str, PrivateKey]) -> None:
    assert private_jwks["ES256"]["d"] not in repr(keys["ES256"])
    assert "PrivateKey object" not in repr(keys["ES256"])


def _without(jwk: dict[str, str], name: str) -> dict[str, Any]:
    return {member: value for member, value in jwk.items() if member != name}


BAD_PUBLIC_KEYS: dict[str, tuple[dict[str, Any], str]] = {
    "symmetric": ({"kty": "oct", "k": "AAAA"}, "private or symmetric"),
    "private": ({**EC, "d": EC["x"]}, "private or symmetric"),
    "no kty": (_without(EC, "kty"), "not supported"),
    "kty as a list": ({**EC, "kty": ["EC"]}, "not supported"),
    "another curve": ({**EC, "crv": "P-384"}, "P-256"),
    "no y": (_without(EC, "y"), "no y"),
    "a number as x": ({**EC, "x": 5}, "no x"),
    "a point off the curve": ({**EC, "y": EC["x"]}, "not a key"),
    "the point at infinity": ({**EC, "x": "A" * 43, "y": "A" * 43}, "not a key"),
    "a short coordinate": ({**EC, "x": encode_base64url(b"\1" * 31)}, "32 octets"),
    "a long coordinate": ({**EC, "x": encode_base64url(b"\0" + b"\1" * 32)}, "32 octets"),
    "a padded coordinate": ({**EC, "x": EC["x"] + "="}, "canonical"),
    "a coordinate that is not ASCII": ({**EC, "x": "\u00e9" * 43}, "base64url"),
    "RSA of 1024 bits": ({**RSA, "n": encode_base64url(b"\xc1" * 128)}, "2048"),
    "RSA of 16384 bits": ({**RSA, "n": encode_base64url(b"\xc1" * 2048)}, "8192"),
    "exponent 1": ({**RSA, "e": "AQ"}, "exponent"),
    "exponent 3": ({**RSA, "e": "Aw"}, "exponent"),
    "an even exponent": ({**RSA, "e": "AQAC"}, "exponent"),
    "an exponent without end": ({**RSA, "e": RSA["n"]}, "exponent"),
    "no n": (_without(RSA, "n"), "no n"),
    "X25519": ({**ED25519, "crv": "X25519"}, "Ed25519"),
    "a short Ed25519 key": ({**ED25519, "x": "AAAA"}, "not a key"),
    "for encryption": ({**EC, "use": "enc"}, "use is not sig"),
    "key_ops without verify": ({**EC, "key_ops": ["sign"]}, "key_ops"),
    "key_ops as a text": ({**EC, "key_ops": "verify"}, "key_ops"),
    "alg of another type": ({**EC, "alg": "RS256"}, "alg does not fit"),
    "alg of encryption": ({**RSA, "alg": "RSA-OAEP"}, "alg does not fit"),
    "alg as a list": ({**RSA, "alg": ["RS256"]}, "alg does not fit"),
    "kid as a number": ({**EC, "kid": 7}, "kid"),
    "an empty kid": ({**EC, "kid": ""}, "kid"),
    "a kid without end": ({**EC, "kid": "k" * 1025}, "kid"),
}


@pytest.mark.parametrize("name", BAD_PUBLIC_KEYS)
def test_a_public_key_is_refused(name: str) -> None:
    jwk, reason = BAD_PUBLIC_KEYS[name]
    with pytest.raises(InvalidKey, match=reason):
        import_public_jwk(jwk)


def test_a_key_without_alg_fits_what_its_type_fits_and_one_with_alg_that_only() -> None:
    assert import_public_jwk(RSA).algorithms == {"RS256", "PS256"}
    assert import_public_jwk({**RSA, "alg": "PS256"}).algorithms == {"PS256"}
    # Two names of one algorithm (RFC 9864).
    assert import_public_jwk({**ED25519, "alg": "Ed25519"}).algorithms == {"EdDSA", "Ed25519"}


def test_a_jwk_set_keeps_what_is_usable_and_skips_the_rest() -> None:
    usable = import_jwk_set(
        {
            "keys": [
                {"kty": "oct", "k": "AAAA"},
                {**EC, "kid": "ec"},
                "junk",
                None,
                {"kty": "new"},
                {**RSA, "kid": "rsa"},
            ]
        }
    )
    assert [key.kid for key in usable] == ["ec", "rsa"]


@pytest.mark.parametrize("document", [{}, {"keys": {}}, {"keys": None}, {"keys": [EC] * 65}])
def test_what_is_no_jwk_set_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidKey, match="JWK Set"):
        import_jwk_set(document)


def test_a_private_key_of_others_is_checked_whole(private_jwks: dict[str, dict[str, str]]) -> None:
    other = generate_private_jwk("RS256")
    with pytest.raises(InvalidKey, match="do not belong"):
        import_private_jwk({**private_jwks["RS256"], "d": other["d"]}, is_our_own=False)
    other_ec = generate_private_jwk("ES256")
    with pytest.raises(InvalidKey, match="do not belong"):
        import_private_jwk({**private_jwks["ES256"], "d": other_ec["d"]}, is_our_own=True)


@pytest.mark.parametrize(
    "change", [{"alg": "HS256"}, {"alg": "EdDSA"}, {"alg": None}, {"use": "enc"}, {"key_ops": ["verify"]}, {"d": None}]
)
def test_a_private_key_that_could_not_sign_is_refused(
    change: dict[str, Any], private_jwks: dict[str, dict[str, str]]
) -> None:
    with pytest.raises(InvalidKey):
        import_private_jwk({**private_jwks["ES256"], **change}, is_our_own=True)


def test_no_key_is_generated_for_an_algorithm_that_does_not_sign_here() -> None:
    with pytest.raises(InvalidKey):
        generate_private_jwk("HS256")


# ----- Keys for encryption -----------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC 7517", "4.2", "a key is used as its use says")
def test_a_key_for_encryption_fits_the_key_management_of_its_type() -> None:
    assert import_encryption_jwk({**RSA, "use": "enc"}).algorithms == {"RSA-OAEP", "RSA-OAEP-256"}
    assert import_encryption_jwk({**EC, "use": "enc", "alg": "ECDH-ES"}).algorithms == {"ECDH-ES"}
    # Neither use nor alg: for both, as OpenID Connect Core 10.1 lets clients publish.
    assert import_encryption_jwk(EC).algorithms == {"ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"}
    assert import_encryption_jwk({**RSA, "key_ops": ["wrapKey"]}).algorithms


@pytest.mark.parametrize(
    "change",
    [
        {"use": "sig"},
        {"alg": "RS256"},
        {"alg": "RSA1_5"},
        {"key_ops": ["verify"]},
        {"key_ops": "encrypt"},
        {"d": "AQAB"},
    ],
)
def test_a_key_that_is_not_for_encryption_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidKey):
        import_encryption_jwk({**RSA, **change})
    with pytest.raises(InvalidKey):
        import_encryption_jwk(ED25519)


def test_a_jwk_set_is_read_for_encryption_or_for_signatures() -> None:
    jwks = {"keys": [{**EC, "kid": "sig", "use": "sig"}, {**RSA, "kid": "enc", "use": "enc"}, {**EC, "kid": "any"}]}
    assert [key.kid for key in import_encryption_jwk_set(jwks)] == ["enc", "any"]
    assert [key.kid for key in import_jwk_set(jwks)] == ["sig", "any"]


@pytest.mark.parametrize("alg", ["RSA-OAEP", "ECDH-ES"])
def test_a_generated_key_for_encryption_is_published_as_such_and_never_signs(alg: str) -> None:
    private_jwk = generate_private_jwk(alg)
    published = public_members(private_jwk)
    assert (published["use"], published["alg"]) == ("enc", alg)
    assert import_encryption_jwk(published).algorithms == {alg}
    with pytest.raises(InvalidKey):
        import_public_jwk(published)
    key = import_private_jwk(private_jwk, is_our_own=True)
    assert key.public.algorithms == {alg}
    with pytest.raises(InvalidKey):
        import_private_jwk({**private_jwk, "use": "sig"}, is_our_own=True)
