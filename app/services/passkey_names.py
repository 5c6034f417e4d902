"""What a passkey is called: by its owner, or else after the program or the device that keeps it.

The identifiers (AAGUIDs) are what password managers and systems publish of themselves. Nothing is concluded from
them: without attestation anybody can claim any.
"""

from typing import Final

from app.specs.metadata_values import has_invisible

MAX_NAME_CHARACTERS: Final = 60
_KEEPERS: Final = {
    "ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4": "Google Password Manager",
    "adce0002-35bc-c60a-648b-0b25f1f05503": "Chrome on Mac",
    "fbfc3007-154e-4ecc-8c0b-6e020557d7bd": "iCloud Keychain",
    "dd4ec289-e01d-41c9-bb89-70fa845d4bf2": "iCloud Keychain",
    "08987058-cadc-4b81-b6e1-30de50dcbe96": "Windows Hello",
    "9ddd1817-af5a-4672-a2b9-3e3dd95000a9": "Windows Hello",
    "6028b017-b1d4-4c02-b4b3-afcdafc96bb2": "Windows Hello",
    "53414d53-554e-4700-0000-000000000000": "Samsung Pass",
    "bada5566-a7aa-401f-bd96-45619a55120d": "1Password",
    "d548826e-79b4-db40-a3d8-11116f7e8349": "Bitwarden",
    "531126d6-e717-415c-9320-3d9aa6981239": "Dashlane",
    "50726f74-6f6e-5061-7373-50726f746f6e": "Proton Pass",
    "fdb141b2-5d84-443e-8a35-4698c205a502": "KeePassXC",
}


class UnusableName(Exception):
    """Too long, or nothing that could be read."""


def read_passkey_name(text: str) -> str | None:
    """The name that somebody typed, None for none. Raises `UnusableName`."""
    name = " ".join(text.split())
    if not name:
        return None
    if len(name) > MAX_NAME_CHARACTERS or has_invisible(name):
        raise UnusableName
    return name


def name_of_keeper(aaguid: str) -> str | None:
    """What keeps a key, by the identifier that it gives of itself; None where that is nobody known."""
    return _KEEPERS.get(aaguid)
