"""The few rules of RFC 6265 that a browser on one loopback origin needs."""

from collections.abc import Iterable


class CookieJar:
    """The cookies of one browser at one origin: name, value and path; domains and times do not come up here."""

    def __init__(self) -> None:
        self._cookies: dict[tuple[str, str], str] = {}

    def copy(self) -> "CookieJar":
        twin = CookieJar()
        twin._cookies = dict(self._cookies)
        return twin

    def store(self, set_cookie_headers: Iterable[str]) -> None:
        """Takes in `Set-Cookie` values; an empty value or a past expiry removes the cookie."""
        for header in set_cookie_headers:
            pair, *attributes = header.split(";")
            name, _, value = pair.strip().partition("=")
            path = "/"
            removed = value == ""
            for attribute in attributes:
                key, _, setting = attribute.strip().partition("=")
                if key.lower() == "path" and setting.startswith("/"):
                    path = setting
                elif (key.lower() == "max-age" and setting.lstrip("-").isdigit() and int(setting) <= 0) or (
                    key.lower() == "expires" and "1970" in setting
                ):
                    removed = True
            if removed:
                self._cookies.pop((name, path), None)
            else:
                self._cookies[name, path] = value

    def header(self, request_path: str) -> str:
        """The value of `Cookie` for a request to `request_path`; empty when there is none."""
        return "; ".join(
            f"{name}={value}"
            for (name, path), value in self._cookies.items()
            if path == "/" or request_path == path or request_path.startswith(path.rstrip("/") + "/")
        )
