"""RFC 7516 encrypted tokens: the specification's example, every pair of algorithms, and what is refused unopened."""

import json
import zlib
from typing import Any

import pytest
from joserfc import jwe as joserfc_jwe
from joserfc.jwk import RSAKey

from app.specs.rfc4648_base64url import encode_base64url
from app.specs.rfc7516_jwe import (
    CONTENT_ENCRYPTIONS,
    MAX_TOKEN_BYTES,
    InvalidJwe,
    decrypt_jwe,
    encrypt_jwe,
    is_jwe,
    parse_unverified_jwe_header,
)
from app.specs.rfc7517_jwk import (
    ENCRYPTION_ALGORITHMS,
    PrivateKey,
    PublicKey,
    generate_private_jwk,
    import_encryption_jwk,
    import_private_jwk,
    public_members,
)

# RFC 7516 A.1.
RFC7516_A1_KEY = {
    "kty": "RSA",
    "n": "oahUIoWw0K0usKNuOR6H4wkf4oBUXHTxRvgb48E-BVvxkeDNjbC4he8rUWcJoZmds2h7M70imEVhRU5djINXtqllXI4DFqcI1DgjT9LewND8"
    "MW2Krf3Spsk_ZkoFnilakGygTwpZ3uesH-PFABNIUYpOiN15dsQRkgr0vEhxN92i2asbOenSZeyaxziK72UwxrrKoExv6kc5twXTq4h-QChLOln0"
    "_mtUZwfsRaMStPs6mS6XrgxnxbWhojf663tuEQueGC-FCMfra36C9knDFGzKsNa7LZK2djYgyD3JR_MB_4NUJW_TqOQtwHYbxevoJArm-L5Stowj"
    "zGy-_bq6Gw",
    "e": "AQAB",
    "d": "kLdtIj6GbDks_ApCSTYQtelcNttlKiOyPzMrXHeI-yk1F7-kpDxY4-WY5NWV5KntaEeXS1j82E375xxhWMHXyvjYecPT9fpwR_M9gV8n9Hrh"
    "2anTpTD93Dt62ypW3yDsJzBnTnrYu1iwWRgBKrEYY46qAZIrA2xAwnm2X7uGR1hghkqDp0Vqj3kbSCz1XyfCs6_LehBwtxHIyh8Ripy40p24moOA"
    "bgxVw3rxT_vlt3UVe4WO3JkJOzlpUf-KTVI2Ptgm-dARxTEtE-id-4OJr0h-K-VFs3VSndVTIznSxfyrj8ILL6MG_Uv8YAu7VILSB3lOW085-4qE"
    "3DzgrTjgyQ",
    "p": "1r52Xk46c-LsfB5P442p7atdPUrxQSy4mti_tZI3Mgf2EuFVbUoDBvaRQ-SWxkbkmoEzL7JXroSBjSrK3YIQgYdMgyAEPTPjXv_hI2_1eTSP"
    "VZfzL0lffNn03IXqWF5MDFuoUYE0hzb2vhrlN_rKrbfDIwUbTrjjgieRbwC6Cl0",
    "q": "wLb35x7hmQWZsWJmB_vle87ihgZ19S8lBEROLIsZG4ayZVe9Hi9gDVCOBmUDdaDYVTSNx_8Fyw1YYa9XGrGnDew00J28cRUoeBB_jKI1oma0"
    "Orv1T9aXIWxKwd4gvxFImOWr3QRL9KEBRzk2RatUBnmDZJTIAfwTs0g68UZHvtc",
    "dp": "ZK-YwE7diUh0qR1tR7w8WHtolDx3MZ_OTowiFvgfeQ3SiresXjm9gZ5KLhMXvo-uz-KUJWDxS5pFQ_M0evdo1dKiRTjVw_x4NyqyXPM5nUL"
    "PkcpU827rnpZzAJKpdhWAgqrXGKAECQH0Xt4taznjnd_zVpAmZZq60WPMBMfKcuE",
    "dq": "Dq0gfgJ1DdFGXiLvQEZnuKEN0UUmsJBxkjydc3j4ZYdBiMRAy86x0vHCjywcMlYYg4yoC4YZa9hNVcsjqA3FeiL19rk8g6Qn29Tt0cj8qqy"
    "Fpz9vNDBUfCAiJVeESOjJDZPYHdHY8v1b-o-Z2X5tvLx-TCekf7oxyeKDUqKWjis",
    "qi": "VIMpMYbPf47dT1w_zDUXfPimsSegnMOA1zTaX7aGk_8urY6R8-ZW1FxU7AlWAyLWybqq6t16VFd7hQd0y6flUK4SlOydB61gwanOsXGOAOv"
    "82cHq0E3eL4HrtZkUuKvnPrMnsUUFlfUdybVzxyjz9JF_XyaY14ardLSjf4L_FNY",
}
RFC7516_A1_TOKEN = (
    "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ."
    "OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9kiMT03JGeipsEdY3mx_etLbbWSrFr05kLzcSr4qKAq7YN7e9jwQRb23nf"
    "a6c9d-StnImGyFDbSv04uVuxIp5Zms1gNxKKK2Da14B8S4rzVRltdYwam_lDp5XnZAYpQdb76FdIKLaVmqgfwX7XWRxv2322i-vDxRfqNzo_tETK"
    "zpVLzfiwQyeyPGLBIO56YJ7eObdv0je81860ppamavo35UgoRdbYaBcoh9QcfylQr66oc6vFWXRcZ_ZT2LawVCWTIy3brGPi6UklfCpIMfIjf7iG"
    "dXKHzg."
    "48V1_ALb6US04U3b."
    "5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6jiSdiwkIr3ajwQzaBtQD_A."
    "XFBoMYUZodetZdvTiFvSkQ"
)
PAYLOAD = b"a signed token would stand here"


@pytest.fixture(scope="module")
def keys() -> dict[str, tuple[PublicKey, PrivateKey]]:
    made = {}
    for alg in ENCRYPTION_ALGORITHMS:
        private_jwk = generate_private_jwk(alg)
        made[alg] = import_encryption_jwk(public_members(private_jwk)), import_private_jwk(private_jwk, is_our_own=True)
    return made


@pytest.mark.requirement("RFC 7516", "A.1", "the section's example")
def test_the_specifications_example_opens() -> None:
    key = import_private_jwk({**RFC7516_A1_KEY, "alg": "RSA-OAEP"}, is_our_own=True)
    opened = decrypt_jwe(RFC7516_A1_TOKEN, key)
    assert opened == b"The true sign of intelligence is not knowledge but imagination."


@pytest.mark.requirement("RFC 7518", "4.1", "every registered key management, with every registered content encryption")
@pytest.mark.parametrize("alg", ENCRYPTION_ALGORITHMS)
@pytest.mark.parametrize("enc", CONTENT_ENCRYPTIONS)
def test_what_is_encrypted_is_decrypted(alg: str, enc: str, keys: dict[str, tuple[PublicKey, PrivateKey]]) -> None:
    public, private = keys[alg]
    token = encrypt_jwe(PAYLOAD, public, alg=alg, enc=enc, cty="JWT")
    header = parse_unverified_jwe_header(token)
    assert (header.alg, header.enc, header.kid, header.cty) == (alg, enc, private.kid, "JWT")
    assert is_jwe(token)
    assert decrypt_jwe(token, private, algorithms=(alg,), encryptions=(enc,)) == PAYLOAD


def test_two_encryptions_of_the_same_have_nothing_in_common(keys: dict[str, tuple[PublicKey, PrivateKey]]) -> None:
    first, second = (encrypt_jwe(PAYLOAD, keys["ECDH-ES"][0], alg="ECDH-ES", enc="A128GCM") for _ in range(2))
    assert set(first.split(".")).isdisjoint(part for part in second.split(".") if part)


def test_the_caller_decides_which_algorithms_are_accepted(keys: dict[str, tuple[PublicKey, PrivateKey]]) -> None:
    public, private = keys["RSA-OAEP"]
    token = encrypt_jwe(PAYLOAD, public, alg="RSA-OAEP", enc="A128GCM")
    _assert_refused(token, private, algorithms=("RSA-OAEP-256",))
    _assert_refused(token, private, encryptions=("A256GCM",))
    _assert_refused(token, keys["RSA-OAEP-256"][1])
    _assert_refused(token, keys["ECDH-ES"][1])
    with pytest.raises(ValueError, match="not for this encryption"):
        encrypt_jwe(PAYLOAD, public, alg="ECDH-ES", enc="A128GCM")


@pytest.mark.parametrize("alg", ["RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A256KW"])
@pytest.mark.parametrize("segment", range(5))
def test_a_changed_segment_is_refused(alg: str, segment: int, keys: dict[str, tuple[PublicKey, PrivateKey]]) -> None:
    public, private = keys[alg]
    parts = encrypt_jwe(PAYLOAD, public, alg=alg, enc="A128CBC-HS256").split(".")
    changed = parts[segment][:-5] + ("AAAA" if parts[segment][-5:-1] != "AAAA" else "BBBB") + parts[segment][-1:]
    _assert_refused(".".join([*parts[:segment], changed, *parts[segment + 1 :]]), private)


def _refused_headers() -> dict[str, dict[str, Any]]:
    good = {"alg": "RSA-OAEP", "enc": "A128GCM"}
    return {
        "compression": {**good, "zip": "DEF"},
        "RSA1_5": {**good, "alg": "RSA1_5"},
        "a shared key": {**good, "alg": "dir"},
        "a wrapped shared key": {**good, "alg": "A128KW"},
        "a password and two thousand million rounds": {
            **good,
            "alg": "PBES2-HS256+A128KW",
            "p2c": 2**31,
            "p2s": "AAAA",
        },
        "rounds beside a good algorithm": {**good, "p2c": 2**31},
        "an unknown critical extension": {**good, "crit": ["exp"], "exp": 1},
        "its own key": {**good, "jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}},
        "a key to be fetched": {**good, "jku": "http://169.254.169.254/"},
        "a certificate to be fetched": {**good, "x5u": "http://169.254.169.254/"},
        "an unknown content encryption": {**good, "enc": "A192CBC-HS384"},
        "a signature's algorithm": {**good, "alg": "RS256"},
        "none": {**good, "alg": "none"},
        "no alg": {"enc": "A128GCM"},
        "no enc": {"alg": "RSA-OAEP"},
        "alg as a list": {**good, "alg": ["RSA-OAEP"]},
        "kid as a number": {**good, "kid": 7},
        "a kid without end": {**good, "kid": "k" * 1025},
        "cty as a number": {**good, "cty": 7},
        "an agreement with RSA": {**good, "epk": {"kty": "EC"}},
        "no ephemeral key": {**good, "alg": "ECDH-ES"},
        "a point off the curve": {
            **good,
            "alg": "ECDH-ES",
            "epk": {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43},
        },
        "another curve": {**good, "alg": "ECDH-ES", "epk": {"kty": "OKP", "crv": "X25519", "x": "A" * 43}},
        "a long header": {**good, "cty": "x" * 5000},
    }


@pytest.mark.requirement("RFC 7516", "4.1.3", "what is not understood and critical makes it invalid")
@pytest.mark.requirement("RFC 7518", "4.6.1", "the ephemeral key is there and on the curve")
@pytest.mark.parametrize("name", _refused_headers())
def test_51_a_header_is_refused_before_the_key_is_used(
    name: str, keys: dict[str, tuple[PublicKey, PrivateKey]]
) -> None:
    header = encode_base64url(json.dumps(_refused_headers()[name]).encode())
    token = ".".join([header, *RFC7516_A1_TOKEN.split(".")[1:]])
    with pytest.raises(InvalidJwe):
        parse_unverified_jwe_header(token)
    _assert_refused(token, _unusable(keys["RSA-OAEP"][1]))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        "....",
        RFC7516_A1_TOKEN + ".",
        RFC7516_A1_TOKEN + "=",
        RFC7516_A1_TOKEN.replace("OKOaw", "OKO\u00e9w"),
        RFC7516_A1_TOKEN.replace(".XFBo", "."),  # a short tag would be easier to guess
        RFC7516_A1_TOKEN.replace(".48V1", "."),
        RFC7516_A1_TOKEN.replace(".OKOa", "."),
        RFC7516_A1_TOKEN[: RFC7516_A1_TOKEN.index(".")] + "." * 4,
        "eyJhbGciOiJSU0EtT0FFUCIsImFsZyI6ImRpciJ9" + RFC7516_A1_TOKEN[RFC7516_A1_TOKEN.index(".") :],  # alg twice
        RFC7516_A1_TOKEN.replace(".5eym", ".5eym" + "A" * MAX_TOKEN_BYTES),
    ],
)
def test_51_what_is_malformed_or_too_long_is_refused_before_the_key_is_used(
    token: str, keys: dict[str, tuple[PublicKey, PrivateKey]]
) -> None:
    key = import_private_jwk({**RFC7516_A1_KEY, "alg": "RSA-OAEP"}, is_our_own=True)
    _assert_refused(token, _unusable(key))


def test_51_a_bomb_is_not_inflated(keys: dict[str, tuple[PublicKey, PrivateKey]]) -> None:
    _, private = keys["RSA-OAEP"]
    bomb = zlib.compress(b"\0" * 50_000_000)
    header = {"alg": "RSA-OAEP", "enc": "A128GCM", "zip": "DEF"}
    library_key = RSAKey.import_key(private.public.native)
    token = joserfc_jwe.encrypt_compact(header, bomb, library_key, algorithms=["RSA-OAEP", "A128GCM", "DEF"])
    _assert_refused(token, private)


def test_51_ten_envelopes_are_opened_one_at_a_time(keys: dict[str, tuple[PublicKey, PrivateKey]]) -> None:
    public, private = keys["ECDH-ES"]
    token, content = "", PAYLOAD
    for _ in range(10):
        token = encrypt_jwe(content, public, alg="ECDH-ES", enc="A128GCM", cty="JWT")
        content = token.encode()
    assert is_jwe(decrypt_jwe(token, private).decode())


def _unusable(key: PrivateKey) -> PrivateKey:
    """The key without its secret half: using it would be an AttributeError, not a refusal."""

    return PrivateKey(kid=key.kid, alg=key.alg, public=key.public, native=object())


def _assert_refused(token: str, key: PrivateKey, **more: Any) -> None:
    with pytest.raises(InvalidJwe) as refusal:
        decrypt_jwe(token, key, **more)
    # Constant: nobody learns by it how far a token got.
    assert str(refusal.value) == "the encrypted token is not acceptable"
    assert refusal.value.__cause__ is None
