"""The cookies: which browser this is, on which device, and the secret of each pending transaction.

`__Host-`, Secure, HttpOnly, SameSite=Lax; all but one, which is no secret and is for a script. On http loopback names
are plain and end in the port, because cookies ignore ports and two servers on one machine would take each other's.
Anything odd in a cookie is nobody.
"""

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Request, Response

MAX_TRANSACTION_COOKIES = 10
_BROWSER_MAX_AGE_S = 400 * 86_400
_DEVICE_MAX_AGE_S = 180 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookies:
    """The names and attributes of one issuer's cookies."""

    prefix: str
    suffix: str
    is_secure: bool
    has_browser_state: bool = True
    """Whether there is a check-session iframe that reads it."""

    @classmethod
    def of_issuer(cls, issuer: str, *, has_browser_state: bool = True) -> "Cookies":
        """Cookie names carry a short hash of the issuer, so that two issuers on one host stay apart."""
        short = hashlib.sha256(issuer.encode()).hexdigest()[:8]
        if issuer.startswith("https://"):
            return cls(prefix=f"__Host-th-{short}", suffix="", is_secure=True, has_browser_state=has_browser_state)
        suffix = f"-{urlsplit(issuer).port or 80}"
        return cls(prefix=f"th-{short}", suffix=suffix, is_secure=False, has_browser_state=has_browser_state)

    def read_browser(self, request: Request) -> str | None:
        """The browser's secret, not yet looked up."""
        return _read_once(request, self._name("browser"))

    def read_known_device(self, request: Request) -> str | None:
        """The device's secrets, one of each person who has logged in on it, not yet looked up."""
        return _read_once(request, self._name("device"))

    def read_transaction(self, request: Request, transaction_id: str) -> str | None:
        """The secret of one transaction, not yet compared."""
        return _read_once(request, self._name(f"tx-{transaction_id}"))

    def read_logout(self, request: Request, request_id: str) -> str | None:
        """The secret of one logout, not yet compared."""
        return _read_once(request, self._name(f"lo-{request_id}"))

    def read_upstream(self, request: Request, cookie_id: str) -> str | None:
        """The secret of one way to another provider and back, not yet compared."""
        return _read_once(request, self._name(f"up-{cookie_id}"))

    def set_login(self, response: Response, *, browser_secret: str, device_cookie: str) -> None:
        """After a login: both secrets are new."""
        self._set(response, self._name("browser"), browser_secret, max_age_s=_BROWSER_MAX_AGE_S)
        self._set(response, self._name("device"), device_cookie, max_age_s=_DEVICE_MAX_AGE_S)

    @property
    def browser_state_name(self) -> str:
        """The name of the one cookie that a script may read."""
        return self._name("state")

    def keep_browser_state(self, request: Request, response: Response, browser_state: str) -> None:
        """See that the browser has this state; nothing is sent where it has.

        The check-session iframe stands in pages of other sites, so this cookie goes there (SameSite=None) and its
        script reads it: it is random and opens nothing. Without TLS no browser takes such a cookie, so on http loopback
        it is an ordinary one, which is enough for clients on the same host.
        """
        if not self.has_browser_state or _read_once(request, self.browser_state_name) == browser_state:
            return
        response.set_cookie(
            self.browser_state_name,
            browser_state,
            max_age=_BROWSER_MAX_AGE_S,
            path="/",
            secure=self.is_secure,
            httponly=False,
            samesite="None" if self.is_secure else "Lax",
        )

    def set_transaction(self, request: Request, response: Response, transaction_id: str, secret: str) -> None:
        """One cookie per transaction, at most ten: the eleventh pushes another out."""
        self._set_one_of_ten(request, response, "tx", transaction_id, secret)

    def set_logout(self, request: Request, response: Response, request_id: str, secret: str) -> None:
        """One cookie per logout, at most ten as well."""
        self._set_one_of_ten(request, response, "lo", request_id, secret)

    def set_upstream(self, request: Request, response: Response, cookie_id: str, secret: str) -> None:
        """One cookie per way to another provider and back, at most ten."""
        self._set_one_of_ten(request, response, "up", cookie_id, secret)

    def forget_upstream(self, response: Response, cookie_id: str) -> None:
        """It has come back."""
        name = self._name(f"up-{cookie_id}")
        response.delete_cookie(name, path="/", secure=self.is_secure, httponly=True, samesite="Lax")

    def _set_one_of_ten(self, request: Request, response: Response, kind: str, identifier: str, secret: str) -> None:
        # Only names that we can have given: a neighbour's subdomain can plant any other, to be echoed in a header.
        own_name = re.compile(re.escape(f"{self.prefix}-{kind}-") + "[0-9a-f]{24}" + re.escape(self.suffix))
        present = [name for name in request.cookies if own_name.fullmatch(name)]
        for name in present[: max(0, len(present) - MAX_TRANSACTION_COOKIES + 1)]:
            response.delete_cookie(name, path="/", secure=self.is_secure, httponly=True, samesite="Lax")
        self._set(response, self._name(f"{kind}-{identifier}"), secret, max_age_s=None)

    def _name(self, name: str) -> str:
        return f"{self.prefix}-{name}{self.suffix}"

    def _set(self, response: Response, name: str, value: str, *, max_age_s: int | None) -> None:
        response.set_cookie(
            name, value, max_age=max_age_s, path="/", secure=self.is_secure, httponly=True, samesite="Lax"
        )


def _read_once(request: Request, name: str) -> str | None:
    """The cookie's value; None too where it came twice: one of the two is somebody else's, and we cannot tell which."""
    values = request.cookies.getlist(name)
    return values[0] if len(values) == 1 else None
