"""The settings of one deployment: `TOKENHOUSE_*` variables over an optional TOML file, checked whole at the start.

An unknown, weak or contradictory value raises `SettingsError` naming the key; nothing is guessed and no secret has a
default. Units stand in the names.
"""

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from app.features import FEATURES, Feature, Profile, find_switch_problems
from app.specs.issuer_identifier import check_issuer, is_loopback_host
from app.specs.metadata_values import HttpsUri
from app.specs.page_appearance import Appearance, read_logo
from app.specs.rfc5322_mail_address import parse_mailbox
from app.specs.rfc7517_jwk import check_own_jwk_set
from app.specs.rfc7591_metadata import ClientPolicy
from app.specs.self_service_claims import SELF_SERVICE_CLAIMS, check_self_service_claims
from app.specs.smtp_url import parse_smtp_url
from app.specs.strangers_policies import check_policies_of_strangers
from app.specs.strict_json import parse_json

PREFIX = "TOKENHOUSE_"
UI_LANGUAGES = ("en", "ar", "de")
"""The languages of the pages: each has every sentence."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Networks = Annotated[tuple[Network, ...], NoDecode]


class SettingsError(Exception):
    """The settings cannot be used; the message names each key and what is wrong with it."""


class SoftwareStatementIssuer(BaseModel):
    """Whose software statements count (RFC 7591 2.3), and by which keys: given here, or at an address."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: Annotated[str, Field(min_length=1, max_length=2048)]
    jwks_uri: HttpsUri | None = None
    jwks: Mapping[str, Any] | None = None

    @model_validator(mode="after")
    def _check_keys(self) -> "SoftwareStatementIssuer":
        if (self.jwks_uri is None) == (self.jwks is None):
            raise ValueError("an issuer of software statements has jwks_uri or jwks, and not both")
        if self.jwks is not None:
            check_own_jwk_set(self.jwks)
        return self


class ServerAppearance(Appearance):
    """The look of the pages of a server. Its logo may be a file of this machine, read at the start."""

    logo_file: Path | None = None

    @property
    def has_logo(self) -> bool:
        """Whether it brings a logo along."""
        return self.logo is not None or self.logo_file is not None

    @model_validator(mode="after")
    def _check_logo(self) -> "ServerAppearance":
        if self.logo_file is None:
            return self
        if self.logo is not None:
            raise ValueError("logo_file: there is a logo beside it; one of the two is enough")
        if not self.logo_file.is_file():
            raise ValueError(f"logo_file: no file at {self.logo_file}")
        try:
            read_logo(self.logo_file.read_bytes())
        except ValueError as error:
            raise ValueError(f"logo_file: {error}") from error
        return self


class Settings(BaseSettings):
    """Every setting, with its default. Frozen: built once by `load_settings`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    # ----- Who we are -----
    issuer: str = "http://localhost:8400"
    server_name: str = Field(default="Tokenhouse", min_length=1, max_length=60)
    profile: Profile = "oauth21"

    appearance: ServerAppearance | None = None

    # ----- Where things lie -----
    database_url: SecretStr = SecretStr("sqlite:///instance/tokenhouse.db")
    keys_dir: Path = Path("keys")
    config: Path | None = None
    redis_url: SecretStr | None = None

    # ----- Mail to people -----
    smtp_url: SecretStr | None = None
    mail_from: str | None = None

    # ----- The network around us -----
    trusted_proxies: Networks = ()
    metrics_networks: Networks = ()
    outbound_allowed_networks: Networks = ()
    outbound_ca_bundle: Path | None = None
    rate_limits: Literal["default", "off"] = "default"

    # ----- What is switched off -----
    features_off: Annotated[tuple[str, ...], NoDecode] = ()

    # ----- What people may say of themselves -----
    self_service_claims: Annotated[tuple[str, ...], NoDecode] = SELF_SERVICE_CLAIMS

    # ----- How people prove who they are -----
    passkey_user_verification: Literal["required", "preferred"] = "required"

    # ----- What is demanded of clients -----
    dpop_nonce: Literal["off", "required"] = "off"
    sealed_client_secrets: Literal["off", "on"] = "off"

    # ----- Clients that register themselves -----
    registration: Literal["off", "token", "open"] = "off"
    registration_policy: ClientPolicy | None = None
    registration_unused_days: int = Field(default=90, ge=1, le=3650)
    software_statement_issuers: tuple[SoftwareStatementIssuer, ...] = ()
    registration_max_clients: int = Field(default=10_000, ge=1)
    registration_max_clients_per_address_per_day: int = Field(default=1000, ge=1)

    # ----- Who may be a client -----
    # On, because what such a client can do is bounded by a person's yes each time, to a host that was verified.
    client_id_metadata_documents: Literal["on", "off"] = "on"
    client_id_metadata_documents_policy: ClientPolicy | None = None

    # ----- Lifetimes -----
    access_token_lifetime_s: int = Field(default=300, ge=10, le=3600)
    id_token_lifetime_s: int = Field(default=600, ge=10, le=3600)
    authorization_code_lifetime_s: int = Field(default=60, ge=5, le=60)
    refresh_token_idle_lifetime_s: int = Field(default=30 * 86_400, ge=60, le=400 * 86_400)
    refresh_token_absolute_lifetime_s: int = Field(default=90 * 86_400, ge=60, le=400 * 86_400)
    refresh_token_retry_window_s: int = Field(default=10, ge=0, le=60)
    transaction_lifetime_s: int = Field(default=900, ge=60, le=900)
    session_idle_lifetime_s: int = Field(default=3600, ge=60, le=43_200)
    session_absolute_lifetime_s: int = Field(default=43_200, ge=60, le=43_200)
    signing_key_lifetime_s: int = Field(default=90 * 86_400, ge=3600, le=400 * 86_400)
    jwks_max_age_s: int = Field(default=300, ge=1, le=86_400)
    machine_token_audit: Literal["durable", "batched"] = "durable"  # noqa: S105 - a way of writing
    audit_retention_s: int = Field(default=400 * 86_400, ge=86_400)

    # ----- What is told to others -----
    outbox_deadline_s: int = Field(default=86_400, ge=60, le=7 * 86_400)
    outbox_senders: int = Field(default=32, ge=1, le=256)
    outbox_deliveries_per_s: int = Field(default=30, ge=1, le=10_000)
    outbox_retention_s: int = Field(default=30 * 86_400, ge=3600)

    # ----- How a login is worked -----
    password_hash_workers: int = Field(default=2, ge=1, le=64)
    password_hash_queue: int = Field(default=16, ge=1, le=10_000)
    stuffing_alarm_failures: int = Field(default=100, ge=10)
    breached_passwords: Path | None = None

    # ----- Who may make an account -----
    signup: Literal["off", "on"] = "off"

    # ----- The wire names of the acr levels, fixed at `tokenhouse init` -----
    acr_pwd: str = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"  # noqa: S105
    acr_mfa: str = "https://refeds.org/profile/mfa"
    acr_phr: str = "phr"

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load_settings` hands over counts: the environment is read there, once."""
        return (init_settings,)

    @field_validator("trusted_proxies", "metrics_networks", "outbound_allowed_networks", mode="before")
    @classmethod
    def _split_networks(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator(
        "appearance",
        "registration_policy",
        "client_id_metadata_documents_policy",
        "software_statement_issuers",
        mode="before",
    )
    @classmethod
    def _parse_json(cls, value: object) -> object:
        # Tables in the file; in a variable their JSON.
        return parse_json(value) if isinstance(value, str) else value

    @field_validator("features_off", "self_service_claims", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(str(part).strip() for part in parts if str(part).strip()) if isinstance(parts, list) else parts

    @field_validator("self_service_claims")
    @classmethod
    def _check_self_service_claims(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        check_self_service_claims(value)
        return value

    @field_validator("features_off")
    @classmethod
    def _check_features_off(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        problems = list(find_switch_problems(value))
        if problems:
            raise ValueError("; ".join(problems))
        return value

    @field_validator("issuer")
    @classmethod
    def _check_issuer(cls, issuer: str) -> str:
        check_issuer(issuer)
        return issuer

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(("sqlite:///", "postgresql://")):
            raise ValueError("must begin with sqlite:/// or postgresql://")
        return url

    @field_validator("smtp_url")
    @classmethod
    def _check_smtp_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            server = parse_smtp_url(url.get_secret_value())
            if server.security == "none" and server.password is not None and not is_loopback_host(server.host):
                raise ValueError("would send the password in the clear: use smtps:// or smtp+starttls://")
        return url

    @field_validator("mail_from")
    @classmethod
    def _check_mail_from(cls, mail_from: str | None) -> str | None:
        if mail_from is not None:
            parse_mailbox(mail_from)
        return mail_from

    @model_validator(mode="after")
    def _check_mail(self) -> "Settings":
        if self.smtp_url is not None:
            try:
                parse_mailbox(self.mailbox)
            except ValueError:
                raise ValueError(f"mail_from must be set: {self.mailbox} is no address that mail can be from") from None
        elif self.signup == "on":
            raise ValueError("signup needs mail, by which an address is confirmed: set TOKENHOUSE_SMTP_URL")
        return self

    @model_validator(mode="after")
    def _check_together(self) -> "Settings":
        if self.session_idle_lifetime_s > self.session_absolute_lifetime_s:
            raise ValueError("session_idle_lifetime_s is longer than session_absolute_lifetime_s")
        if self.refresh_token_idle_lifetime_s > self.refresh_token_absolute_lifetime_s:
            raise ValueError("refresh_token_idle_lifetime_s is longer than refresh_token_absolute_lifetime_s")
        if len({self.acr_pwd, self.acr_mfa, self.acr_phr}) != 3:
            raise ValueError("acr_pwd, acr_mfa and acr_phr must differ from each other")
        check_policies_of_strangers(self.registration_policy, self.client_id_metadata_documents_policy)
        if self.outbound_ca_bundle is not None and not self.outbound_ca_bundle.is_file():
            raise ValueError(f"outbound_ca_bundle: no file at {self.outbound_ca_bundle}")
        if self.breached_passwords is not None and not self.breached_passwords.is_file():
            raise ValueError(f"breached_passwords: no file at {self.breached_passwords}")
        longest_publication_s = 2 * self.jwks_max_age_s
        if self.signing_key_lifetime_s <= longest_publication_s:
            raise ValueError("signing_key_lifetime_s must be longer than twice jwks_max_age_s")
        return self

    @cached_property
    def seals_client_secrets(self) -> bool:
        """Whether there are clients whose secret is kept so that it can be read back (`client_secret_jwt`)."""
        return self.sealed_client_secrets == "on"

    @cached_property
    def batches_machine_audit(self) -> bool:
        """Whether the events of machines' tokens are written in batches."""
        return self.machine_token_audit == "batched"  # noqa: S105

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """What is switched on."""
        return tuple(feature for feature in FEATURES if not self._is_off(feature))

    @cached_property
    def absent_features(self) -> tuple[Feature, ...]:
        """What is switched off."""
        return tuple(feature for feature in FEATURES if self._is_off(feature))

    @cached_property
    def feature_names(self) -> frozenset[str]:
        """The names of what is switched on."""
        return frozenset(feature.name for feature in self.features)

    def _is_off(self, feature: Feature) -> bool:
        if feature.switch is not None:
            return bool(getattr(self, feature.switch) == "off")
        return feature.name in self.features_off

    @cached_property
    def issuer_path(self) -> str:
        """The issuer's path, without a trailing slash; empty at the root."""
        return urlsplit(self.issuer).path

    @cached_property
    def origin(self) -> str:
        """The issuer's scheme, host and port."""
        parts = urlsplit(self.issuer)
        return f"{parts.scheme}://{parts.netloc}"

    @cached_property
    def mailbox(self) -> str:
        """Whom mail is from: a name and an address, or an address."""
        return self.mail_from or f"no-reply@{self.rp_id}"

    @cached_property
    def is_https(self) -> bool:
        """Whether people and programs reach us over TLS."""
        return self.issuer.startswith("https://")

    @cached_property
    def rp_id(self) -> str:
        """The passkeys' relying party identifier: the issuer's host."""
        return urlsplit(self.issuer).hostname or ""

    @cached_property
    def offers_passkeys(self) -> bool:
        """Whether people here can make passkeys and use them."""
        return "passkeys" in self.feature_names and not is_ip_address(self.rp_id)


def is_ip_address(host: str) -> bool:
    """Whether a URL's host is an address and no name, for which browsers make no passkeys (WebAuthn 5.1.2)."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings from `TOKENHOUSE_*` in `environ` over the TOML file that `TOKENHOUSE_CONFIG` names.

    Raises `SettingsError` with one line per key that is unknown or wrong.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    config = environ.get(f"{PREFIX}CONFIG")
    if config:
        values.update(_read_config_file(Path(config)))
    from_environment = {
        name.removeprefix(PREFIX).lower(): value for name, value in environ.items() if name.startswith(PREFIX)
    }
    values.update(from_environment)
    # pydantic-settings passes over unknown variables; a misspelt setting must not silently do nothing.
    unknown = sorted(set(values) - set(Settings.model_fields))
    if unknown:
        raise SettingsError("\n".join(f"{PREFIX}{name.upper()}: no such setting" for name in unknown))
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None


def _read_config_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{PREFIX}CONFIG: {path}: {error}") from None
    return {name.lower(): value for name, value in document.items()}


def _explain(error: ValidationError) -> str:
    # The rejected value is left out on purpose: it may be a secret.
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        name = str(problem["loc"][0]).upper() if problem["loc"] else ""
        message = problem["msg"].removeprefix("Value error, ")
        within = ".".join(str(part) for part in problem["loc"][1:])
        message = f"{within}: {message}" if within else message
        lines.append(f"{PREFIX}{name}: {message}" if name else message)
    return "\n".join(lines)
