"""Expired rows leave in small batches, children before parents, each after the time for which it is still useful."""

from sqlalchemy import Column, Connection, Table, delete, exists, func, select, update
from sqlalchemy.sql.elements import ColumnElement

from app.storage.client_documents import delete_unused_documents
from app.storage.revocation import STILL_TAKEN_MS
from app.storage.tables import (
    access_tokens,
    audit_events,
    authentication_events,
    authorization_codes,
    authorization_transactions,
    browsers,
    client_secrets,
    clients,
    consents,
    email_links,
    grants,
    initial_access_tokens,
    known_devices,
    login_rates,
    login_throttle,
    logout_requests,
    opaque_tokens,
    outbox,
    refresh_tokens,
    registration_tokens,
    session_clients,
    sessions,
    signing_keys,
    totp_secrets,
    upstream_sessions,
    upstream_transactions,
    used_identifiers,
)

BATCH = 500
# A used code is kept so that its replay is seen and not guessed; an ended transaction so that Back finds a way out.
REPLAY_IS_SEEN_FOR_MS = 86_400_000
OLD_KEYS_CHECKED_FOR_MS = 400 * 86_400_000
# Well after the last moment at which an old copy still serves (a day), so that nobody is about to use what leaves.
DOCUMENTS_STAY_FOR_MS = 86_400_000 + 3_600_000
DOCUMENTS_BATCH = 50
# The week with which the last minutes are compared, and a day.
LOGIN_RATES_STAY_FOR_MS = 8 * 86_400_000


def purge_expired(
    connection: Connection, *, now: int, audit_before: int, retries_end_before: int, outbox_dead_before: int = 0
) -> int:
    """Delete at most one batch per table; how many rows left, or lost what was sealed in them.

    Refresh tokens that were used before `retries_end_before` lose the sealed copies of their successors. Messages that
    died before `outbox_dead_before` leave the outbox; one that may still arrive never does.
    """
    # First, because it locks the change counter as all do who change clients: before the rows.
    deleted = delete_unused_documents(connection, fresh_before=now - DOCUMENTS_STAY_FOR_MS, at_most=DOCUMENTS_BATCH)
    deleted += erase_successors(connection, used_before=retries_end_before)
    day_ago = now - REPLAY_IS_SEEN_FOR_MS
    # A dead session stays until nothing refers to it.
    session_is_free = ~exists(select(grants.c.grant_id).where(grants.c.session_id == sessions.c.id)) & ~exists(
        select(authorization_transactions.c.transaction_id).where(
            authorization_transactions.c.session_id == sessions.c.id
        )
    )
    # What was exchanged ends no later than what it was exchanged from, but may be in a later batch.
    child = grants.alias("child")
    grant_is_free = (
        ~exists(select(authorization_codes.c.digest).where(authorization_codes.c.grant_id == grants.c.grant_id))
        & ~exists(select(access_tokens.c.jti).where(access_tokens.c.grant_id == grants.c.grant_id))
        & ~exists(select(opaque_tokens.c.jti).where(opaque_tokens.c.grant_id == grants.c.grant_id))
        & ~exists(select(refresh_tokens.c.digest).where(refresh_tokens.c.grant_id == grants.c.grant_id))
        & ~exists(select(child.c.grant_id).where(child.c.parent_grant_id == grants.c.grant_id))
    )
    # A spent refresh token stays as long as its family, so that its reuse is seen, and a day longer, as codes do.
    ended_families = (
        select(refresh_tokens.c.grant_id)
        .join(grants, grants.c.grant_id == refresh_tokens.c.grant_id)
        .where((grants.c.expires_at <= day_ago) | (grants.c.revoked_at <= day_ago))
        .limit(BATCH)
    )
    browser_is_free = ~exists(select(sessions.c.id).where(sessions.c.browser_id == browsers.c.id))
    dead_sessions = select(sessions.c.id).where(sessions.c.expires_at <= day_ago, session_is_free)
    steps: tuple[tuple[Table, Column[object], ColumnElement[bool]], ...] = (
        (access_tokens, access_tokens.c.jti, access_tokens.c.expires_at <= now - STILL_TAKEN_MS),
        (opaque_tokens, opaque_tokens.c.digest, opaque_tokens.c.expires_at <= now),
        (authorization_codes, authorization_codes.c.digest, authorization_codes.c.expires_at <= day_ago),
        (
            authorization_transactions,
            authorization_transactions.c.transaction_id,
            authorization_transactions.c.expires_at <= day_ago,
        ),
        (refresh_tokens, refresh_tokens.c.digest, refresh_tokens.c.grant_id.in_(ended_families)),
        (
            grants,
            grants.c.grant_id,
            ((grants.c.expires_at <= day_ago) | (grants.c.revoked_at <= day_ago)) & grant_is_free,
        ),
        (
            authentication_events,
            authentication_events.c.id,
            authentication_events.c.session_id.in_(dead_sessions),
        ),
        (session_clients, session_clients.c.sid, session_clients.c.session_id.in_(dead_sessions)),
        (upstream_sessions, upstream_sessions.c.session_id, upstream_sessions.c.session_id.in_(dead_sessions)),
        (
            sessions,
            sessions.c.id,
            (sessions.c.expires_at <= day_ago)
            & session_is_free
            & ~exists(select(authentication_events.c.id).where(authentication_events.c.session_id == sessions.c.id))
            & ~exists(select(session_clients.c.sid).where(session_clients.c.session_id == sessions.c.id))
            & ~exists(select(upstream_sessions.c.session_id).where(upstream_sessions.c.session_id == sessions.c.id)),
        ),
        (browsers, browsers.c.id, (browsers.c.expires_at <= now) & browser_is_free),
        (known_devices, known_devices.c.digest, known_devices.c.expires_at <= now),
        (
            login_throttle,
            login_throttle.c.key,
            (login_throttle.c.window_ends_at <= now) & (func.coalesce(login_throttle.c.blocked_until, 0) <= now),
        ),
        (
            totp_secrets,
            totp_secrets.c.user_id,
            totp_secrets.c.confirmed_at.is_(None) & (totp_secrets.c.created_at <= day_ago),
        ),
        (upstream_transactions, upstream_transactions.c.digest, upstream_transactions.c.expires_at <= now),
        (login_rates, login_rates.c.slot_began_at, login_rates.c.slot_began_at <= now - LOGIN_RATES_STAY_FOR_MS),
        (used_identifiers, used_identifiers.c.digest, used_identifiers.c.expires_at <= now),
        (client_secrets, client_secrets.c.digest, client_secrets.c.expires_at <= day_ago),
        (registration_tokens, registration_tokens.c.digest, registration_tokens.c.expires_at <= now),
        (
            initial_access_tokens,
            initial_access_tokens.c.id,
            # Those with which clients came stay, so that it is known where those came from.
            (initial_access_tokens.c.expires_at <= day_ago)
            & ~exists(select(clients.c.id).where(clients.c.initial_access_token_id == initial_access_tokens.c.id)),
        ),
        (consents, consents.c.id, consents.c.expires_at <= now),
        (email_links, email_links.c.digest, email_links.c.expires_at <= day_ago),
        (logout_requests, logout_requests.c.request_id, logout_requests.c.expires_at <= now),
        (outbox, outbox.c.message_id, outbox.c.dead_at <= outbox_dead_before),
        # The public half of a key that nothing can be signed by any more: so long an old `id_token_hint` is checked.
        (
            signing_keys,
            signing_keys.c.kid,
            (signing_keys.c.state == "removed") & (signing_keys.c.removed_at <= now - OLD_KEYS_CHECKED_FOR_MS),
        ),
        (audit_events, audit_events.c.event_id, audit_events.c.at <= audit_before),
    )
    for table, key, is_over in steps:
        batch = select(key).where(is_over).limit(BATCH)
        deleted += connection.execute(delete(table).where(key.in_(batch))).rowcount
    return deleted


def erase_successors(connection: Connection, *, used_before: int) -> int:
    """Erase the sealed copies beside refresh tokens whose retries are over; how many."""
    over = (refresh_tokens.c.used_at <= used_before) & refresh_tokens.c.sealed_successor.is_not(None)
    batch = select(refresh_tokens.c.digest).where(over).limit(BATCH)
    erasure = update(refresh_tokens).where(refresh_tokens.c.digest.in_(batch), over).values(sealed_successor=None)
    return connection.execute(erasure).rowcount
