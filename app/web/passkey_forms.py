"""What the passkey forms on several pages show, as values (templates/passkey_forms.html)."""

from dataclasses import dataclass, field

from app.services.passkey_challenges import LIFETIME_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyPrompt:
    """The form `#passkey-form`. `options` are JSON for the browser; `is_autofill`: it offers passkeys in the field for
    the name, too. The page's headers have to carry `script_nonce`.
    """

    action: str
    options: str = field(repr=False)
    transaction: str = field(repr=False)
    csrf_token: str = field(repr=False)
    script_url: str
    script_nonce: str = field(repr=False)
    is_autofill: bool = False
    # The script asks the server for new options a little before the old ones end.
    lifetime_ms: int = LIFETIME_MS - 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyLine:
    """One passkey, as its owner sees it: `value` is posted back as `passkey`, the times are ready to be read."""

    value: str
    name: str
    created: str
    last_used: str | None
    is_backed_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeySection:
    """The passkeys of a person, and the form `#passkey-form` in which they make another.

    `options` are JSON for the browser; None where they have to sign in again before, to which the form leads.
    `is_full`: they have as many as anybody may, which is `most`. The page's headers have to carry `script_nonce`.
    """

    base_path: str
    csrf_token: str = field(repr=False)
    passkeys: tuple[PasskeyLine, ...]
    most: int
    longest_name: int
    is_full: bool
    options: str | None = field(repr=False)
    script_url: str
    script_nonce: str = field(repr=False)
    lifetime_ms: int = LIFETIME_MS - 30_000
