"""An access token of ours, read, for our own endpoints. Whether it was ended is another question."""

from collections.abc import Collection

from app.services.deployment import Deployment
from app.services.verified_signatures import VerifiedPayload
from app.specs.protocol_error import Difference, InvalidToken
from app.specs.rfc7515_jose import SIGNING_ALGORITHMS, InvalidJws, parse_unverified_header, verify_jws
from app.specs.rfc9068_access_token import TYP, AccessTokenClaims, check_claims
from app.specs.strict_json import StrictJsonError, parse_json_object


def verify_own_access_token(
    deployment: Deployment,
    access_token: str,
    *,
    audience: str | None,
    enforced: Collection[str] = (),
    leeway_s: float = 0,
) -> AccessTokenClaims:
    """The checked claims of an access token for `audience`, or, with None, for whichever one resource it names.

    `enforced`: the constraining claims that the caller sees to. Raises `InvalidToken`. Does not look whether the token
    was revoked, nor whether what it hangs on is alive.
    """
    try:
        claims = parse_json_object(_verify_signature(deployment, access_token))
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
        leeway_s=leeway_s,
        enforced=enforced,
    )


def _verify_signature(deployment: Deployment, access_token: str) -> bytes:
    published = deployment.keys.published
    seen = deployment.verified_signatures.find(access_token)
    # A key that was revoked is published no longer, and what it signed is worth nothing from then on.
    if seen is not None and seen.kid in published:
        return seen.payload
    kid = parse_unverified_header(access_token).kid
    key = published.get(kid or "")
    if kid is None or key is None:
        difference = Difference(what="kid", expected="\n".join(published), received=(kid or "")[:200])
        raise InvalidToken("the access token is not valid", detail="unknown kid", differences=[difference])
    payload = verify_jws(access_token, key, algorithms=SIGNING_ALGORITHMS, typ=TYP)
    deployment.verified_signatures.remember(access_token, VerifiedPayload(kid=kid, payload=payload))
    return payload
