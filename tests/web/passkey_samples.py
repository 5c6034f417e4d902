"""What the pages with passkeys show: asked for one, and a person's own."""

from dataclasses import replace

from app.web.passkey_forms import PasskeyLine, PasskeyPrompt, PasskeySection
from app.web.static_files import passkeys_script_url

PASSKEY = PasskeyPrompt(
    action="/login/passkey",
    options='{"challenge": "AAAA", "rpId": "login.meadow.example", "allowCredentials": []}',
    transaction="transaction-value",
    csrf_token="csrf-value",
    script_url=passkeys_script_url(""),
    script_nonce="nonce-value",
)
PASSKEY_LINE = PasskeyLine(
    value="1", name="Work laptop", created="14 February 2026", last_used="1 March 2026", is_backed_up=False
)
PASSKEYS = PasskeySection(
    base_path="",
    csrf_token="csrf-value",
    passkeys=(PASSKEY_LINE, replace(PASSKEY_LINE, value="2", name="Phone", last_used=None, is_backed_up=True)),
    most=25,
    longest_name=60,
    is_full=False,
    options="{}",
    script_url=passkeys_script_url(""),
    script_nonce="nonce-value",
)
