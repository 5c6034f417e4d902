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
    text,
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
    Column("password_set_at", _Time),
    # Random, apart from `sub` and `id`: an authenticator keeps it and shows it to whoever asks (WebAuthn 14.6.1).
    Column("webauthn_user_handle", LargeBinary(32)),
    # A deleted account leaves its row, emptied: a `sub` is never given out again.
    Column("deleted_at", _Time),
    Index("ix_users_email_key", "email_key"),
    Index("uq_users_webauthn_user_handle", "webauthn_user_handle", unique=True),
)

passkeys = Table(
    "passkeys",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("user_id", _RowId, ForeignKey("users.id"), nullable=False, index=True),
    # A credential id may have 1,023 bytes: unique by digest, so that no index row grows past its page.
    Column("credential_id_digest", LargeBinary(32), nullable=False, unique=True),
    Column("credential_id", LargeBinary, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("transports", Text, nullable=False),
    Column("aaguid", Text, nullable=False),
    Column("name", Text, nullable=False),
    # Whether the key can live on several devices (decided when it is made), and whether it does by now.
    Column("is_backup_eligible", Boolean, nullable=False),
    Column("is_backed_up", Boolean, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("last_used_at", _Time),
)

# RFC 6238. Counts once it was confirmed by a code; a time step is used once.
totp_secrets = Table(
    "totp_secrets",
    metadata,
    Column("user_id", _RowId, ForeignKey("users.id"), primary_key=True, autoincrement=False),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("seal_key_id", Text, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("confirmed_at", _Time),
    Column("last_used_step", BigInteger),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    *_digest_columns(),
    Column("user_id", _RowId, ForeignKey("users.id"), nullable=False, index=True),
    Column("created_at", _Time, nullable=False),
    Column("used_at", _Time),
)

# A link that was sent to an address: good once, for one purpose and one person, while `bound_digest` still holds.
email_links = Table(
    "email_links",
    metadata,
    *_digest_columns(),
    Column("purpose", Text, nullable=False),
    # NULL where somebody is only about to become a person here.
    Column("user_id", _RowId, ForeignKey("users.id"), index=True),
    # Of what must not have changed since: the password and the e-mail address, say.
    Column("bound_digest", LargeBinary(32)),
    Column("sealed_body", LargeBinary, nullable=False),
    Column("seal_key_id", Text, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time, nullable=False, index=True),
    Column("used_at", _Time),
)

# ----- Other providers, whose login counts here -----

identity_providers = Table(
    "identity_providers",
    metadata,
    Column("id", _RowId, primary_key=True),
    # A segment of its callback's path; never reused, so that a link made with one provider is never another's.
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("sealed_client_secret", LargeBinary),
    Column("seal_key_id", Text),
    Column("created_at", _Time, nullable=False),
    Column("disabled_at", _Time),
)

identity_provider_domains = Table(
    "identity_provider_domains",
    metadata,
    Column("domain", Text, primary_key=True),
    Column("provider_id", _RowId, ForeignKey("identity_providers.id"), nullable=False, index=True),
)

linked_identities = Table(
    "linked_identities",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("provider_id", _RowId, ForeignKey("identity_providers.id"), nullable=False),
    # Of (iss, sub), which alone says who somebody is at a provider.
    Column("subject_digest", LargeBinary(32), nullable=False),
    Column("subject", Text, nullable=False),
    Column("user_id", _RowId, ForeignKey("users.id"), nullable=False, index=True),
    # What people call the account there, for the page on which they unlink it.
    Column("label", Text, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("last_used_at", _Time),
    UniqueConstraint("provider_id", "subject_digest"),
)

# A login that was sent to a provider and is awaited back, in the browser that left for it.
upstream_transactions = Table(
    "upstream_transactions",
    metadata,
    *_digest_columns(),
    Column("provider_id", _RowId, ForeignKey("identity_providers.id"), nullable=False, index=True),
    Column("purpose", Text, nullable=False),
    # The transaction of ours that goes on afterwards.
    Column("transaction_id", Text, nullable=False),
    Column("sealed_body", LargeBinary, nullable=False),
    Column("seal_key_id", Text, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time, nullable=False, index=True),
    Column("used_at", _Time),
)

# Pairwise subjects (OpenID Connect Core 8.1): given out once per person and sector, and never derived anew.
pairwise_subjects = Table(
    "pairwise_subjects",
    metadata,
    Column("user_id", _RowId, ForeignKey("users.id"), primary_key=True),
    Column("sector", Text, primary_key=True),
    Column("sub", Text, nullable=False, unique=True),
    Column("created_at", _Time, nullable=False),
)

browsers = Table(
    "browsers",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("digest_key_id", Text, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time, nullable=False, index=True),
    # What scripts of a client may compare (Session Management 3.2): random, and another one after each change.
    Column("browser_state", Text),
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
    # The address and the browser of its latest login, for its owner's eyes: sealed under their own key.
    Column("sealed_device", LargeBinary),
)

# What a session came from, where that was a provider's: so that it hears of a logout there, and can offer one.
upstream_sessions = Table(
    "upstream_sessions",
    metadata,
    Column("session_id", _RowId, ForeignKey("sessions.id"), primary_key=True, autoincrement=False),
    Column("provider_id", _RowId, ForeignKey("identity_providers.id"), nullable=False),
    Column("subject_digest", LargeBinary(32), nullable=False),
    Column("sid", Text),
    Column("sealed_id_token", LargeBinary),
    Column("seal_key_id", Text),
    Index("ix_upstream_sessions_provider_id_subject_digest", "provider_id", "subject_digest"),
    Index("ix_upstream_sessions_provider_id_sid", "provider_id", "sid"),
)

authentication_events = Table(
    "authentication_events",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("session_id", _RowId, ForeignKey("sessions.id"), nullable=False, index=True),
    # What was proven in it, in the words of RFC 8176, with spaces between: `pwd otp mfa`.
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
    # By what the client knows the person, as its ID tokens said; what it registers later changes nothing about that.
    Column("client_subject", Text),
    # Tells which of several accounts in a browser a client knows; kept up only while there are several.
    Column("last_used_at", _Time),
)

known_devices = Table(
    "known_devices",
    metadata,
    *_digest_columns(),
    Column("user_id", _RowId, ForeignKey("users.id"), nullable=False, index=True),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time, nullable=False, index=True),
)

# Counts what can be guessed, by HMAC: logins per account name (unknown names too), per address, per known device, and
# whatever else has a limit. A bucket that leaks: `window_ends_at` is when it will be empty.
login_throttle = Table(
    "login_throttle",
    metadata,
    Column("key", LargeBinary(32), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("window_ends_at", _Time, nullable=False, index=True),
    Column("blocked_until", _Time),
    # By HMAC, whose account is guessed at, so that an operator can let somebody in again.
    Column("about", LargeBinary(32), index=True),
)

# Logins of the whole site in slots of five minutes, and those that failed on devices that nobody knew.
login_rates = Table(
    "login_rates",
    metadata,
    Column("slot_began_at", _Time, primary_key=True, autoincrement=False),
    Column("attempts", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
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
    # Where it came from: NULL is the operator; `registration` or `metadata_document` otherwise.
    Column("origin", Text),
    Column("initial_access_token_id", _RowId, ForeignKey("initial_access_tokens.id"), index=True),
    # To the day, and only of clients that come and go by themselves: those that nobody uses leave.
    Column("last_used_at", _Time),
    Index(
        "ix_clients_last_used_at",
        "last_used_at",
        postgresql_where=text("origin IS NOT NULL AND removed_at IS NULL"),
        sqlite_where=text("origin IS NOT NULL AND removed_at IS NULL"),
    ),
)

client_secrets = Table(
    "client_secrets",
    metadata,
    *_digest_columns(),
    Column("client_pk", _RowId, ForeignKey("clients.id"), nullable=False, index=True),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time),
    # Only where the secret itself has to be read back: client_secret_jwt.
    Column("sealed_secret", LargeBinary),
)

# RFC 7592: with this a client manages its own registration. The one before it counts for a while after a change.
registration_tokens = Table(
    "registration_tokens",
    metadata,
    *_digest_columns(),
    Column("client_pk", _RowId, ForeignKey("clients.id"), nullable=False, index=True),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time),
)

# RFC 7591 3: what a client needs to register itself where registration is not open.
initial_access_tokens = Table(
    "initial_access_tokens",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("digest_key_id", Text, nullable=False),
    Column("label", Text, nullable=False),
    # The policy of the clients that register with it, as an operator would write it.
    Column("policy", Text, nullable=False),
    Column("max_uses", Integer, nullable=False),
    Column("uses", Integer, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time, nullable=False),
    Column("revoked_at", _Time),
)

# A client that is a URL (Client ID Metadata Documents): what was fetched last, and until when it counts.
client_metadata_documents = Table(
    "client_metadata_documents",
    metadata,
    Column("client_pk", _RowId, ForeignKey("clients.id"), primary_key=True, autoincrement=False),
    Column("document_digest", LargeBinary(32), nullable=False),
    Column("fetched_at", _Time, nullable=False),
    Column("fresh_until", _Time, nullable=False),
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
    # NULL where the person came for a page of ours, and no client asked.
    Column("client_pk", _RowId, ForeignKey("clients.id")),
    Column("request", Text, nullable=False),
    Column("session_id", _RowId, ForeignKey("sessions.id")),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time, nullable=False, index=True),
    Column("used_at", _Time),
    # Who has proven the first factor and owes a second: no session begins before.
    Column("first_factor_user_id", _RowId, ForeignKey("users.id")),
    Column("first_factor_methods", Text),
    Column("first_factor_at", _Time),
    Column("second_factor_attempts", SmallInteger),
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
    # Who the client was, where its identity is what a document on the web says: redirect host and keys.
    Column("client_identity_digest", LargeBinary(32)),
    Column("policy_version", Integer, nullable=False),
    Column("decided_at", _Time, nullable=False),
    Column("expires_at", _Time),
    # The name and the logo that the person saw when they answered.
    Column("client_shown", Text),
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
    # Token exchange: the token that was exchanged, and whose it was where it was a machine's and hung on no grant.
    Column("parent_jti", LargeBinary(16), index=True),
    Column("origin_client_pk", _RowId, ForeignKey("clients.id"), index=True),
    Column("depth", SmallInteger),
    # The immutable snapshot of what was granted: scopes per resource, how the person logged in, networks, details.
    Column("snapshot", Text, nullable=False),
    Column("duration", Text, nullable=False),
    Column("policy_version", Integer, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time, nullable=False, index=True),
    Column("revoked_at", _Time),
    # What the person took back later: scopes per resource, networks. The snapshot stays what was granted.
    Column("narrowing", Text),
    Column("last_used_at", _Time),
    # From which address, sealed under the person's own key.
    Column("sealed_last_use", LargeBinary),
    Index(
        "ix_grants_revoked_at",
        "revoked_at",
        postgresql_where=text("revoked_at IS NOT NULL"),
        sqlite_where=text("revoked_at IS NOT NULL"),
    ),
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
    # Where its bit is; no foreign key, because a list outlives its tokens by what it is made of.
    Column("status_list_pk", BigInteger),
    Column("status_index", Integer),
    Column("expires_at", _Time, nullable=False, index=True),
    Column("revoked_at", _Time),
)

# Opaque access tokens are looked up, so all of their claims are here. A machine's hangs on no grant.
opaque_tokens = Table(
    "opaque_tokens",
    metadata,
    *_digest_columns(),
    Column("jti", LargeBinary(16), nullable=False, unique=True),
    Column("grant_id", Text, ForeignKey("grants.grant_id"), index=True),
    Column("client_pk", _RowId, ForeignKey("clients.id"), nullable=False, index=True),
    Column("claims", Text, nullable=False),
    Column("expires_at", _Time, nullable=False, index=True),
    Column("revoked_at", _Time),
)

# One family per grant. A used token keeps its digest, grant and generation until the family ends, so that its reuse is
# seen; the sealed successor is erased when it has served.
refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    *_digest_columns(),
    Column("grant_id", Text, ForeignKey("grants.grant_id"), nullable=False),
    Column("generation", Integer, nullable=False),
    # The thumbprint of the key that a public client's token is bound to (RFC 9449 5).
    Column("jkt", Text),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time, nullable=False, index=True),
    Column("used_at", _Time),
    Column("sealed_successor", LargeBinary),
    Column("retries", SmallInteger, nullable=False),
    # A generation has one token: no second successor can be written, whatever happens.
    Index("ix_refresh_tokens_grant_id_generation", "grant_id", "generation", unique=True),
    # What housekeeping looks for every few seconds among many rows that are neither.
    Index(
        "ix_refresh_tokens_sealed",
        "used_at",
        postgresql_where=text("sealed_successor IS NOT NULL"),
        sqlite_where=text("sealed_successor IS NOT NULL"),
    ),
)

# What may come once and has no row of its own: proofs and assertions, by the digest of what makes them unique.
used_identifiers = Table(
    "used_identifiers",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("expires_at", _Time, nullable=False, index=True),
)

# The types of `authorization_details` that an operator registered (RFC 9396).
authorization_details_types = Table(
    "authorization_details_types",
    metadata,
    Column("type", Text, primary_key=True),
    Column("document", Text, nullable=False),
    Column("created_at", _Time, nullable=False),
)

# ----- Status lists -----

status_lists = Table(
    "status_lists",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("list_id", Text, nullable=False, unique=True),
    # The key that its order of indices comes from: it must not change while the list is open.
    Column("digest_key_id", Text, nullable=False),
    Column("next_counter", Integer, nullable=False),
    Column("created_at", _Time, nullable=False),
    # From here on no index is given out; and from there on every token on the list has expired.
    Column("closed_at", _Time),
    Column("expires_at", _Time, index=True),
)

# Runs of counters that one process leased: for people's tokens, or for the machine tokens of one client.
status_blocks = Table(
    "status_blocks",
    metadata,
    Column("status_list_pk", _RowId, ForeignKey("status_lists.id"), primary_key=True),
    Column("first_counter", Integer, primary_key=True, autoincrement=False),
    Column("length", Integer, nullable=False),
    Column("client_pk", _RowId, ForeignKey("clients.id"), index=True),
    Column("leased_at", _Time, nullable=False),
    Column("revoked_at", _Time),
    # As in `status_revocations`.
    Column("revoked_version", BigInteger, index=True),
)

status_revocations = Table(
    "status_revocations",
    metadata,
    Column("status_list_pk", _RowId, ForeignKey("status_lists.id"), primary_key=True),
    Column("status_index", Integer, primary_key=True, autoincrement=False),
    Column("revoked_at", _Time, nullable=False),
    # The number in `changes` that announced it: whoever has seen a number has seen every bit up to it.
    Column("revoked_version", BigInteger, nullable=False, index=True),
)

# ----- Leaving and telling others -----

# A logout that waits for the person's word, bound to the browser that came with it.
logout_requests = Table(
    "logout_requests",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("digest", LargeBinary(32), nullable=False),
    Column("digest_key_id", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time, nullable=False, index=True),
    Column("used_at", _Time),
)

# What has to be told to somebody else: written in the transaction that makes it true, delivered at least once after it.
outbox = Table(
    "outbox",
    metadata,
    Column("message_id", LargeBinary(16), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("client_pk", _RowId, ForeignKey("clients.id"), index=True),
    # Messages to one recipient wait for each other, and a dead recipient holds up nobody else.
    Column("recipient", Text, nullable=False, index=True),
    Column("sealed_body", LargeBinary, nullable=False),
    Column("seal_key_id", Text, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time, nullable=False),
    Column("attempts", SmallInteger, nullable=False),
    Column("next_attempt_at", _Time),
    Column("claimed_until", _Time),
    Column("last_error", Text),
    # NULL while it may still arrive; the operator sees what is dead, and may send it again.
    Column("dead_at", _Time, index=True),
    Index("ix_outbox_next_attempt_at", "next_attempt_at"),
)

# Work that one process at a time does for all of them.
leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("expires_at", _Time, nullable=False),
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
