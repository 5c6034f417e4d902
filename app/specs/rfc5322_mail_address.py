"""RFC 5322 - Internet Message Format: the addresses that a mail can be sent to and from.

Only addresses that every program writes the same way: a local part of plain atoms (3.4.1, and RFC 6532 for other
scripts), no quoted strings, no comments, no groups. What a parser could take for two addresses is none.
"""

import re
from dataclasses import dataclass
from email.headerregistry import Address
from email.utils import parseaddr

_MOST_CHARACTERS = 254
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a1-\uffff-]+"
_LOCAL_PART = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class MailAddress:
    """An address as it goes over the wire: the domain in lower-case ASCII."""

    local_part: str
    domain: str

    @property
    def addr_spec(self) -> str:
        """`local@domain`."""
        return f"{self.local_part}@{self.domain}"

    def with_name(self, name: str) -> Address:
        """As it stands in a header, with the name that people read."""
        return Address(display_name=name, username=self.local_part, domain=self.domain)


def parse_mail_address(text: str) -> MailAddress:
    """The address that `text` is, and nothing beside. Raises ValueError. Whether anybody reads it is not checked."""
    local_part, _, domain = text.rpartition("@")
    if len(text) > _MOST_CHARACTERS or not 1 <= len(local_part) <= 64 or _UNPRINTABLE.search(text):
        raise ValueError("must look like name@host")
    if _LOCAL_PART.fullmatch(local_part) is None:
        raise ValueError("its part before the @ has a character that mail does not carry")
    try:
        ascii_domain = domain.encode("idna").decode().lower()
    except UnicodeError:
        raise ValueError("its host is no domain name") from None
    labels = ascii_domain.split(".")
    if len(ascii_domain) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("its host is no domain name")
    return MailAddress(local_part=local_part, domain=ascii_domain)


def parse_mailbox(text: str) -> tuple[str, MailAddress]:
    """A name (may be empty) and an address, from `Name <name@host>` or `name@host`. Raises ValueError."""
    if _UNPRINTABLE.search(text):
        raise ValueError("must be one line")
    if text.endswith(">") and "<" in text:
        name, addr_spec = parseaddr(text)
        if text.count("<") != 1 or f"<{addr_spec}>" not in text:
            raise ValueError("must look like `Name <name@host>` or name@host")
        return name, parse_mail_address(addr_spec)
    return "", parse_mail_address(text)
