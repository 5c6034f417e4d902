"""`id_token_hint`: an ID token of ours that comes back, long after it expired and its key was replaced."""

from typing import Final

from app.services.client_registry import Client
from app.services.decrypt_token import decrypt_token
from app.services.deployment import Deployment
from app.services.rotate_keys import LONGEST_TOKEN_LIFETIME_MS
from app.services.subjects import find_user_of_subject
from app.specs.oidc_logout import ID_TOKEN_TYP, IdTokenHint, check_id_token_hint
from app.specs.protocol_error import InvalidRequest
from app.specs.rfc7515_jose import (
    SIGNING_ALGORITHMS,
    InvalidJws,
    InvalidKey,
    PublicKey,
    import_public_jwk,
    parse_unverified_header,
    verify_jws,
)
from app.specs.rfc7516_jwe import MAX_TOKEN_BYTES, InvalidJwe, is_jwe
from app.specs.strict_json import StrictJsonError, parse_json_object
from app.storage.purge import OLD_KEYS_CHECKED_FOR_MS
from app.storage.sessions import find_session_of_sid
from app.storage.signing_keys import find_signing_key

NOBODY: Final = 0
"""No user has this id."""
_NO_HINT = "id_token_hint is not an ID token of this server"


def verify_id_token_hint(deployment: Deployment, unverified_hint: str) -> IdTokenHint:
    """Whom the hint names, and to which client. Raises `InvalidRequest`.

    A hint that was encrypted to this server is opened. Does not look at `exp`, nor whether the person, the client or
    the session are still there.
    """
    try:
        if is_jwe(unverified_hint):
            unverified_hint = decrypt_token(deployment, unverified_hint, max_bytes=MAX_TOKEN_BYTES)
        key = _find_key(deployment, parse_unverified_header(unverified_hint).kid)
        payload = verify_jws(unverified_hint, key, algorithms=SIGNING_ALGORITHMS, typ=ID_TOKEN_TYP)
        claims = parse_json_object(payload)
    except (InvalidJwe, InvalidJws, InvalidKey, StrictJsonError) as error:
        raise InvalidRequest(_NO_HINT, detail=str(error)) from error
    return check_id_token_hint(claims, issuer=deployment.issuer)


def find_hinted_user(deployment: Deployment, client: Client, hint: IdTokenHint) -> int | None:
    """Who is meant: by the session that the client knows, which may be over, else by the subject."""
    if hint.sid is not None:
        with deployment.database.reading() as connection:
            found = find_session_of_sid(connection, client_pk=client.pk, sid=hint.sid)
        if found is not None:
            return found[1]
    user = find_user_of_subject(deployment, client, hint.subject)
    return None if user is None else user.id


def find_user_to_continue(deployment: Deployment, client: Client, unverified_hint: str) -> int:
    """The person for whom an authorization request asks (OpenID Connect Core 3.1.2.1). Raises `InvalidRequest`.

    `NOBODY` where that person is gone: the request is for them all the same, and for no other.
    """
    hint = verify_id_token_hint(deployment, unverified_hint)
    if hint.client_id != client.client_id:
        raise InvalidRequest("id_token_hint was issued to another client")
    return find_hinted_user(deployment, client, hint) or NOBODY


def _find_key(deployment: Deployment, kid: str | None) -> PublicKey:
    published = deployment.keys.published.get(kid or "")
    if published is not None:
        return published
    with deployment.database.reading() as connection:
        row = find_signing_key(connection, kid or "")
    if row is None:
        raise InvalidRequest(_NO_HINT, detail=f"unknown kid {kid!r:.100}")
    retired_at, removed_at = row.retired_at or 0, row.removed_at or 0
    # A key that leaves in its time is retired for an hour first. One that did not was revoked: somebody else may have
    # it, and could log people out with what they sign.
    if row.retired_at is None or removed_at - retired_at < LONGEST_TOKEN_LIFETIME_MS:
        raise InvalidRequest(_NO_HINT, detail=f"the key {row.kid} was revoked")
    if deployment.clock() - removed_at > OLD_KEYS_CHECKED_FOR_MS:
        raise InvalidRequest(_NO_HINT, detail=f"the key {row.kid} was removed too long ago")
    return import_public_jwk(row.public_jwk)
