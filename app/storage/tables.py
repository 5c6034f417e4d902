"""Every table, declared once. Times are BIGINT milliseconds UTC; digests are 32 bytes; JSON is canonical text.

Two conventions hold everywhere: a secret that we minted is present only as a keyed digest (`digest`, beside the
`digest_key_id` that made it), and what must be read back is sealed (`sealed_*`).
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only in a column that is exactly INTEGER.
_RowId = BigInteger().with_variant(Integer(), "sqlite")
_Time = BigInteger


def _digest_columns() -> tuple[Column[bytes], Column[str]]:
    return Column("digest", LargeBinary(32), primary_key=True), Column("digest_key_id", Text, nullable=False)


# ----- The deployment: written by `tokenhouse init`, one row; a start with other values is refused -----

deployment = Table(
    "deployment",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("issuer", Text, nullable=False),
    Column("rp_id", Text, nullable=False),
    Column("acr_pwd", Text, nullable=False),
    Column("acr_mfa", Text, nullable=False),
    Column("acr_phr", Text, nullable=False),
    Column("kek_fingerprint", Text, nullable=False),
    Column("argon2_time_cost", Integer, nullable=False),
    Column("argon2_memory_kib", Integer, nullable=False),
    Column("argon2_parallelism", Integer, nullable=False),
    Column("created_at", _Time, nullable=False),
)

# A counter per cached kind of thing: running servers look at it and drop what they remember.
changes = Table(
    "changes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
)

# ----- Keys -----

sealed_keys = Table(
    "sealed_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("kek_fingerprint", Text, nullable=False),
    Column("sealed_key", LargeBinary, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("retired_at", _Time),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("alg", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("public_jwk", Text, nullable=False),
    Column("sealed_private_jwk", LargeBinary),
    Column("seal_key_id", Text, nullable=False),
    Column("published_at", _Time, nullable=False),
    Column("active_at", _Time),
    Column("retired_at", _Time),
    Column("removed_at", _Time),
    Index("ix_signing_keys_alg_state", "alg", "state"),
)

# ----- People -----

users = Table(
    "users",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("sub", Text, nullable=False, unique=True),
    Column("username", Text, nullable=False),
    Column("username_key", Text, nullable=False, unique=True),
    Column("email", Text, nullable=False),
    Column("email_key", Text, nullable=False),
    Column("password_hash", Text),
    Column("claims", Text, nullable=False),
    Column("is_admin", Boolean, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("disabled_at", _Time),
    # What names a person in the audit trail is sealed under this key; destroying it erases them from the trail.
    Column("sealed_audit_key", LargeBinary),
    Column("seal_key_id", Text),
    Index("ix_users_email_key", "email_key"),
)

browsers = Table(
    "browsers",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("digest_key_id", Text, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time, nullable=False, index=True),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("browser_id", _RowId, ForeignKey("browsers.id"), nullable=False, index=True),
    Column("user_id", _RowId, ForeignKey("users.id"), nullable=False, index=True),
    Column("created_at", _Time, nullable=False),
    Column("last_used_at", _Time, nullable=False),
    Column("expires_at", _Time, nullable=False, index=True),
    Column("revoked_at", _Time),
)

authentication_events = Table(
    "authentication_events",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("session_id", _RowId, ForeignKey("sessions.id"), nullable=False, index=True),
    Column("method", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("at", _Time, nullable=False),
)

session_clients = Table(
    "session_clients",
    metadata,
    Column("session_id", _RowId, ForeignKey("sessions.id"), primary_key=True),
    Column("client_pk", _RowId, ForeignKey("clients.id"), primary_key=True),
    Column("sid", Text, nullable=False, unique=True),
)

known_devices = Table(
    "known_devices",
    metadata,
    *_digest_columns(),
    Column("user_id", _RowId, ForeignKey("users.id"), nullable=False, index=True),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time, nullable=False, index=True),
)

# Counts failed logins per account name (by HMAC, unknown names too), per address and per known device.
login_throttle = Table(
    "login_throttle",
    metadata,
    Column("key", LargeBinary(32), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("window_ends_at", _Time, nullable=False, index=True),
)

# ----- Clients and resources -----

clients = Table(
    "clients",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("client_id", Text, nullable=False),
    # A client_id may be a URL of 2,048 characters: unique by digest, so that no index row grows past its page.
    Column("client_id_digest", LargeBinary(32), nullable=False, unique=True),
    Column("metadata", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("policy_version", Integer, nullable=False),
    Column("security_profile", Text, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("disabled_at", _Time),
    Column("removed_at", _Time),
)

client_secrets = Table(
    "client_secrets",
    metadata,
    *_digest_columns(),
    Column("client_pk", _RowId, ForeignKey("clients.id"), nullable=False, index=True),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time),
)

resources = Table(
    "resources",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("resource", Text, nullable=False),
    Column("resource_name", Text, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("created_at", _Time, nullable=False),
)

# The identifier itself and its aliases: one namespace, matched exactly.
resource_identifiers = Table(
    "resource_identifiers",
    metadata,
    Column("identifier_digest", LargeBinary(32), primary_key=True),
    Column("identifier", Text, nullable=False),
    Column("resource_pk", _RowId, ForeignKey("resources.id"), nullable=False, index=True),
)

# ----- Authorization -----

authorization_transactions = Table(
    "authorization_transactions",
    metadata,
    Column("transaction_id", Text, primary_key=True),
    Column("digest", LargeBinary(32), nullable=False),
    Column("digest_key_id", Text, nullable=False),
    Column("client_pk", _RowId, ForeignKey("clients.id"), nullable=False),
    Column("request", Text, nullable=False),
    Column("session_id", _RowId, ForeignKey("sessions.id")),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time, nullable=False, index=True),
    Column("used_at", _Time),
)

consents = Table(
    "consents",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("user_id", _RowId, ForeignKey("users.id"), nullable=False),
    Column("client_pk", _RowId, ForeignKey("clients.id"), nullable=False, index=True),
    Column("resource", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("details_digest", LargeBinary(32)),
    Column("policy_version", Integer, nullable=False),
    Column("decided_at", _Time, nullable=False),
    Column("expires_at", _Time),
    UniqueConstraint("user_id", "client_pk", "resource", "scope"),
)

grants = Table(
    "grants",
    metadata,
    Column("grant_id", Text, primary_key=True),
    Column("user_id", _RowId, ForeignKey("users.id"), index=True),
    Column("client_pk", _RowId, ForeignKey("clients.id"), nullable=False, index=True),
    Column("session_id", _RowId, ForeignKey("sessions.id"), index=True),
    Column("parent_grant_id", Text, ForeignKey("grants.grant_id"), index=True),
    # The immutable snapshot of what was granted: scopes per resource, networks, details.
    Column("snapshot", Text, nullable=False),
    Column("duration", Text, nullable=False),
    Column("policy_version", Integer, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time, nullable=False, index=True),
    Column("revoked_at", _Time),
)

authorization_codes = Table(
    "authorization_codes",
    metadata,
    *_digest_columns(),
    Column("grant_id", Text, ForeignKey("grants.grant_id"), nullable=False, index=True),
    Column("request", Text, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time, nullable=False, index=True),
    Column("used_at", _Time),
)

# One narrow row per access token of a person: what ending it, or its grant, needs to find.
access_tokens = Table(
    "access_tokens",
    metadata,
    Column("jti", LargeBinary(16), primary_key=True),
    Column("grant_id", Text, ForeignKey("grants.grant_id"), nullable=False, index=True),
    Column("expires_at", _Time, nullable=False, index=True),
    Column("revoked_at", _Time),
)

# ----- Audit -----

audit_events = Table(
    "audit_events",
    metadata,
    Column("event_id", LargeBinary(16), primary_key=True),
    Column("at", _Time, nullable=False, index=True),
    Column("type", Text, nullable=False),
    Column("schema_version", SmallInteger, nullable=False),
    Column("sub", Text),
    Column("client_id", Text),
    Column("grant_id", Text),
    Column("incident", Text),
    Column("body", LargeBinary, nullable=False),
    Column("sealed_personal", LargeBinary),
    Index("ix_audit_events_sub_at", "sub", "at"),
    Index("ix_audit_events_incident", "incident"),
)
