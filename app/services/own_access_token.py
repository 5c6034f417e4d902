"""An access token of ours, read, for our own endpoints. Whether it was ended is another question."""

from collections.abc import Collection

from app.services.deployment import Deployment
from app.specs.protocol_error import InvalidToken
from app.specs.rfc7515_jose import SIGNING_ALGORITHMS, InvalidJws, parse_unverified_header, verify_jws
from app.specs.rfc9068_access_token import TYP, AccessTokenClaims, check_claims
from app.specs.strict_json import StrictJsonError, parse_json_object


def verify_own_access_token(
    deployment: Deployment, access_token: str, *, audience: str | None, enforced: Collection[str] = ()
) -> AccessTokenClaims:
    """The checked claims of an access token for `audience`, or, with None, for whichever one resource it names.

    `enforced`: the constraining claims that the caller sees to. Raises `InvalidToken`. Does not look whether the token
    was revoked, nor whether what it hangs on is alive.
    """
    try:
        kid = parse_unverified_header(access_token).kid
        key = deployment.keys.published.get(kid or "")
        if key is None:
            raise InvalidToken("the access token is not valid", detail=f"unknown kid {kid!r:.100}")
        payload = verify_jws(access_token, key, algorithms=SIGNING_ALGORITHMS, typ=TYP)
        claims = parse_json_object(payload)
    except (InvalidJws, StrictJsonError) as error:
        raise InvalidToken("the access token is not valid", detail=str(error)) from error
    named = claims.get("aud")
    if audience is None and not isinstance(named, str):
        raise InvalidToken("the access token is not valid", detail="aud is not one text")
    return check_claims(
        claims,
        issuer=deployment.issuer,
        audience=audience if audience is not None else str(named),
        now_s=deployment.clock() / 1000,
        leeway_s=0,
        enforced=enforced,
    )
