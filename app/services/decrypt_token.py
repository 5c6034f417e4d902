"""What others encrypted to the server's published keys: request objects, and ID tokens that come back as hints."""

from app.services.deployment import Deployment
from app.specs.rfc7516_jwe import InvalidJwe, decrypt_jwe, is_jwe, parse_unverified_jwe_header


def decrypt_token(deployment: Deployment, raw_token: str, *, max_bytes: int) -> str:
    """The signed token within, unverified: anybody can encrypt to us. Raises `InvalidJwe`."""
    header = parse_unverified_jwe_header(raw_token, max_bytes=max_bytes)
    keys = deployment.keys.find_decryption_keys(kid=header.kid, alg=header.alg)
    if not keys:
        # Another node may have published a new one a moment ago.
        deployment.notice_changes(at_once=True)
        keys = deployment.keys.find_decryption_keys(kid=header.kid, alg=header.alg)
    failure = InvalidJwe("no key of ours")
    for key in keys:
        try:
            within = decrypt_jwe(raw_token, key, max_bytes=max_bytes).decode("ascii")
        except InvalidJwe as error:
            failure = error
            continue
        except UnicodeDecodeError:
            raise InvalidJwe("what is within is not ASCII") from None
        # RFC 9101 4 and RFC 7519 11.2: signed, then encrypted; once.
        if is_jwe(within):
            raise InvalidJwe("what is within is encrypted again")
        return within
    raise failure
