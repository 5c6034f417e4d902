"""RFC 7515 signed tokens, and RFC 8037 verified."""

import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws as joserfc_jws
from joserfc.jwk import import_key as joserfc_import_key

from app.specs.rfc7515_jose import (
    MAX_HEADER_BYTES,
    SIGNING_ALGORITHMS,
    VERIFICATION_ALGORITHMS,
    InvalidJws,
    InvalidSignature,
    PrivateKey,
    encode_base64url,
    generate_private_jwk,
    import_private_jwk,
    import_public_jwk,
    parse_unverified_header,
    public_members,
    sign_jws,
    thumbprint,
    verify_jws,
)

# ----- Vectors -----------------------------------------------------------------------------------------------------

RFC7515_PAYLOAD = b'{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}'
RFC7515_A2_KEY = {
    "kty": "RSA",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZ"
    "S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2Ca"
    "pHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h"
    "4FRWyuXpoQ",
    "e": "AQAB",
}
RFC7515_A2_TOKEN = (
    "eyJhbGciOiJSUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t"
    "1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12j"
    "zDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQ"
    "Ge77Rw"
)
RFC7515_A3_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
RFC7515_A3_TOKEN = (
    "eyJhbGciOiJFUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
RFC8037_KEY = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
RFC8037_TOKEN = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)


@pytest.mark.parametrize(
    ("jwk", "token", "alg", "payload"),
    [
        (RFC7515_A2_KEY, RFC7515_A2_TOKEN, "RS256", RFC7515_PAYLOAD),
        (RFC7515_A3_KEY, RFC7515_A3_TOKEN, "ES256", RFC7515_PAYLOAD),
        (RFC8037_KEY, RFC8037_TOKEN, "EdDSA", b"Example of Ed25519 signing"),
    ],
    ids=["RFC 7515 A.2", "RFC 7515 A.3", "RFC 8037 A.4"],
)
def test_the_examples_of_the_specifications_verify(jwk: dict[str, str], token: str, alg: str, payload: bytes) -> None:
    assert verify_jws(token, import_public_jwk(jwk), algorithms=[alg], typ=None) == payload


# ----- Signing and verifying, beside other libraries ----------------------------------------------------------------


@pytest.fixture(scope="module")
def private_jwks() -> dict[str, dict[str, str]]:
    return {alg: generate_private_jwk(alg) for alg in SIGNING_ALGORITHMS}


@pytest.fixture(scope="module")
def keys(private_jwks: dict[str, dict[str, str]]) -> dict[str, PrivateKey]:
    return {alg: import_private_jwk(jwk, is_our_own=True) for alg, jwk in private_jwks.items()}


@pytest.mark.parametrize("alg", SIGNING_ALGORITHMS)
def test_other_libraries_verify_what_is_signed_here(
    alg: str, private_jwks: dict[str, dict[str, str]], keys: dict[str, PrivateKey]
) -> None:
    token = sign_jws({"typ": "at+jwt"}, b'{"sub":"alice"}', keys[alg], alg)
    published = public_members(private_jwks[alg])

    assert jwt.decode(token, jwt.PyJWK(published), algorithms=[alg]) == {"sub": "alice"}
    verified = joserfc_jws.deserialize_compact(token, joserfc_import_key(published), algorithms=[alg])
    assert verified.payload == b'{"sub":"alice"}'
    assert verified.headers() == {"alg": alg, "kid": thumbprint(published), "typ": "at+jwt"}


@pytest.mark.parametrize("alg", SIGNING_ALGORITHMS)
def test_what_another_library_signed_verifies_here(
    alg: str, private_jwks: dict[str, dict[str, str]], keys: dict[str, PrivateKey]
) -> None:
    token = jwt.encode({"sub": "alice"}, jwt.PyJWK(private_jwks[alg]).key, algorithm=alg, headers={"typ": "at+jwt"})

    payload = verify_jws(token, keys[alg].public, algorithms=[alg], typ="at+jwt")

    assert json.loads(payload) == {"sub": "alice"}


@pytest.mark.parametrize("alg", SIGNING_ALGORITHMS)
def test_a_changed_byte_anywhere_is_refused(alg: str, keys: dict[str, PrivateKey]) -> None:
    token = sign_jws({}, b'{"sub":"alice"}', keys[alg], alg)
    for position in range(0, len(token), 7):
        if token[position] == ".":
            continue
        forged = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        with pytest.raises(InvalidJws):
            verify_jws(forged, keys[alg].public, algorithms=[alg], typ=None)


def test_a_signature_in_der_is_refused(keys: dict[str, PrivateKey]) -> None:
    signing_input = sign_jws({}, b"{}", keys["ES256"], "ES256").rpartition(".")[0]
    from_library = keys["ES256"].native.sign(signing_input.encode(), ec.ECDSA(SHA256()))
    with pytest.raises(InvalidSignature):
        verify_jws(
            f"{signing_input}.{encode_base64url(from_library)}", keys["ES256"].public, algorithms=["ES256"], typ=None
        )


@pytest.mark.parametrize("signature", [b"\0" * 64, b"\0" * 32 + b"\1" * 32, b"\xff" * 64, b"", b"\1" * 63, b"\1" * 65])
def test_an_impossible_ecdsa_signature_is_refused(signature: bytes, keys: dict[str, PrivateKey]) -> None:
    signing_input = sign_jws({}, b"{}", keys["ES256"], "ES256").rpartition(".")[0]
    with pytest.raises(InvalidSignature):
        verify_jws(
            f"{signing_input}.{encode_base64url(signature)}", keys["ES256"].public, algorithms=["ES256"], typ=None
        )


def test_the_key_signs_with_its_own_algorithm_only(keys: dict[str, PrivateKey]) -> None:
    with pytest.raises(ValueError, match="another algorithm"):
        sign_jws({}, b"{}", keys["RS256"], "PS256")


@pytest.mark.parametrize("member", ["alg", "kid"])
def test_the_header_cannot_contradict_the_key(member: str, keys: dict[str, PrivateKey]) -> None:
    with pytest.raises(ValueError, match="taken from the key"):
        sign_jws({member: "other"}, b"{}", keys["ES256"], "ES256")


# ----- What the header may not do -------------------------------------------------------------------------------------


def _sign_with_header(raw_header: bytes, key: PrivateKey) -> str:
    """A signature that holds, under a header that sign_jws would not write."""
    signing_input = f"{encode_base64url(raw_header)}.{encode_base64url(b'{}')}"
    r, s = decode_dss_signature(key.native.sign(signing_input.encode(), ec.ECDSA(SHA256())))
    return f"{signing_input}.{encode_base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


HEADERS: dict[str, tuple[bytes, str]] = {
    "crit": (b'{"alg":"ES256","crit":["exp"],"exp":1}', r"not supported \(crit\)"),
    "an empty crit": (b'{"alg":"ES256","crit":[]}', r"not supported \(crit\)"),
    "b64": (b'{"alg":"ES256","b64":false,"crit":["b64"]}', r"not supported \(b64\)"),
    "zip": (b'{"alg":"ES256","zip":"DEF"}', r"not supported \(zip\)"),
    "enc": (b'{"alg":"ES256","enc":"A256GCM"}', r"not supported \(enc\)"),
    "jwk": (b'{"alg":"ES256","jwk":{}}', r"brings its own key \(jwk\)"),
    "jku": (b'{"alg":"ES256","jku":"https://evil.example"}', r"brings its own key \(jku\)"),
    "x5u": (b'{"alg":"ES256","x5u":"https://evil.example"}', r"brings its own key \(x5u\)"),
    "x5c": (b'{"alg":"ES256","x5c":[]}', r"brings its own key \(x5c\)"),
    "alg twice": (b'{"alg":"ES256","alg":"none"}', "read in one way only"),
    "alg twice by an escape": (b'{"alg":"ES256","\\u0061lg":"none"}', "read in one way only"),
    "no alg": (b'{"typ":"at+jwt"}', "names no alg"),
    "alg as a list": (b'{"alg":["ES256"]}', "names no alg"),
    "kid as a number": (b'{"alg":"ES256","kid":1}', "kid is not a text"),
    "a kid without end": (b'{"alg":"ES256","kid":"' + b"k" * 2000 + b'"}', "kid is not a text"),
    "typ as a list": (b'{"alg":"ES256","typ":["at+jwt"]}', "typ is not a text"),
    "an array": (b'["ES256"]', "read in one way only"),
    "no JSON": (b"ES256", "read in one way only"),
    "a second document": (b'{"alg":"ES256"}{}', "read in one way only"),
    "invalid UTF-8": (b'{"alg":"ES256","x":"\xff"}', "read in one way only"),
    "nesting": (b'{"alg":"ES256","x":' + b"[" * 3000 + b"]" * 3000 + b"}", "read in one way only"),
    "none": (b'{"alg":"none"}', "alg is not accepted"),
    "None": (b'{"alg":"None"}', "alg is not accepted"),
    "HS256": (b'{"alg":"HS256"}', "alg is not accepted"),
    "ES384": (b'{"alg":"ES384"}', "alg is not accepted"),
    "es256": (b'{"alg":"es256"}', "alg is not accepted"),
    "another algorithm of the list": (b'{"alg":"RS256"}', "alg does not fit the key"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_is_refused_although_the_signature_holds(name: str, keys: dict[str, PrivateKey]) -> None:
    raw_header, reason = HEADERS[name]
    token = _sign_with_header(raw_header, keys["ES256"])
    with pytest.raises(InvalidJws, match=reason) as refusal:
        verify_jws(token, keys["ES256"].public, algorithms=VERIFICATION_ALGORITHMS, typ=None)
    assert not isinstance(refusal.value, InvalidSignature)


def test_the_same_frame_lets_a_plain_header_through(keys: dict[str, PrivateKey]) -> None:
    token = _sign_with_header(b'{"alg":"ES256"}', keys["ES256"])
    assert verify_jws(token, keys["ES256"].public, algorithms=["ES256"], typ=None) == b"{}"


def test_the_public_key_is_no_hmac_secret(private_jwks: dict[str, dict[str, str]], keys: dict[str, PrivateKey]) -> None:
    pem = keys["RS256"].public.native.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = encode_base64url(b'{"alg":"HS256"}')
    signing_input = header + "." + encode_base64url(b"{}")
    mac = HMAC(pem, SHA256())
    mac.update(signing_input.encode())
    token = f"{signing_input}.{encode_base64url(mac.finalize())}"
    with pytest.raises(InvalidJws, match="alg does not fit the key"):
        # Even a caller that lists HS256 by mistake gets a refusal, because no key here fits it.
        verify_jws(token, keys["RS256"].public, algorithms=["RS256", "HS256"], typ=None)


def test_a_caller_may_read_the_key_that_the_token_brings(keys: dict[str, PrivateKey]) -> None:
    token = _sign_with_header(b'{"alg":"ES256","typ":"dpop+jwt","jwk":{}}', keys["ES256"])
    assert parse_unverified_header(token).own_keys == {"jwk"}
    assert verify_jws(token, keys["ES256"].public, algorithms=["ES256"], typ="dpop+jwt", caller_reads={"jwk"}) == b"{}"
    with pytest.raises(InvalidJws, match="jwk"):
        verify_jws(token, keys["ES256"].public, algorithms=["ES256"], typ="dpop+jwt", caller_reads={"jku"})


@pytest.mark.parametrize(
    ("wire", "accepted"),
    [
        ("at+jwt", True),
        ("application/at+jwt", True),
        ("AT+JWT", True),
        ("Application/At+Jwt", True),
        ("JWT", False),
        ("at+jwt;x=1", False),
        ("text/at+jwt", False),
        ("application/application/at+jwt", False),
        ("logout+jwt", False),
        ("", False),
        (None, False),
    ],
)
def test_typ_is_compared_as_a_media_type(wire: str | None, accepted: bool, keys: dict[str, PrivateKey]) -> None:
    header = {} if wire is None else {"typ": wire}
    token = sign_jws(header, b"{}", keys["ES256"], "ES256")
    if accepted:
        assert verify_jws(token, keys["ES256"].public, algorithms=["ES256"], typ="at+jwt") == b"{}"
    else:
        with pytest.raises(InvalidJws, match=r"typ is not at\+jwt"):
            verify_jws(token, keys["ES256"].public, algorithms=["ES256"], typ="at+jwt")


def test_a_header_of_8192_bytes_is_read_and_a_longer_one_is_not(keys: dict[str, PrivateKey]) -> None:
    frame = len(b'{"alg":"ES256","x":""}')
    fits = _sign_with_header(b'{"alg":"ES256","x":"' + b"x" * (MAX_HEADER_BYTES - frame) + b'"}', keys["ES256"])
    longer = _sign_with_header(b'{"alg":"ES256","x":"' + b"x" * (MAX_HEADER_BYTES - frame + 1) + b'"}', keys["ES256"])
    assert parse_unverified_header(fits).alg == "ES256"
    with pytest.raises(InvalidJws):
        parse_unverified_header(longer)


# ----- The compact form ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "compact form"),
        (".", "compact form"),
        ("a.b", "compact form"),
        ("a.b.c.d", "compact form"),
        ("a.b.c.d.e", "encrypted"),
        ("a.b.c.d.e.f", "encrypted"),
        ('{"payload":"e30","signatures":[]}', "compact form"),
        ("\u00e9.b.c", "compact form"),
    ],
)
def test_only_the_compact_form_is_read(token: str, reason: str, keys: dict[str, PrivateKey]) -> None:
    with pytest.raises(InvalidJws, match=reason):
        verify_jws(token, keys["ES256"].public, algorithms=["ES256"], typ=None)


def test_a_token_beyond_the_cap_is_not_looked_at(keys: dict[str, PrivateKey]) -> None:
    token = sign_jws({}, b"{}", keys["ES256"], "ES256")
    assert verify_jws(token, keys["ES256"].public, algorithms=["ES256"], typ=None, max_bytes=len(token)) == b"{}"
    with pytest.raises(InvalidJws, match="too long"):
        verify_jws(token, keys["ES256"].public, algorithms=["ES256"], typ=None, max_bytes=len(token) - 1)


def test_every_second_spelling_of_a_token_is_refused(keys: dict[str, PrivateKey]) -> None:
    token = sign_jws({}, b'{"a":"?>~"}', keys["ES256"], "ES256")
    header, payload, signature = token.split(".")
    # 64 bytes leave four unused bits in the last character.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other_last = alphabet[alphabet.index(signature[-1]) + 1]
    spellings = [
        f"{header}.{payload}.{signature[:-1]}{other_last}",
        f"{header}.{payload}.{signature}==",
        f"{header}.{payload}.{signature}\n",
        f"{header}.{payload}.{signature} ",
        f" {header}.{payload}.{signature}",
        f"{header}=.{payload}.{signature}",
        f"{header}.{payload}\n.{signature}",
        f"{header}.{payload.replace('-', '+').replace('_', '/')}=.{signature}",
    ]
    for spelling in spellings:
        with pytest.raises(InvalidJws):
            verify_jws(spelling, keys["ES256"].public, algorithms=["ES256"], typ=None)


def test_an_rs256_key_does_not_verify_ps256(keys: dict[str, PrivateKey]) -> None:
    token = sign_jws({}, b"{}", keys["PS256"], "PS256")
    with pytest.raises(InvalidJws, match="alg does not fit the key"):
        verify_jws(token, keys["RS256"].public, algorithms=["RS256", "PS256"], typ=None)
