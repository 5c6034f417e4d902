"""The photo library's API, called with a person's access token."""

from typing import Any
from urllib.parse import quote

import urllib3


class LibraryRefused(Exception):
    """The API said no, or nothing. `status` is 0 where it did not answer; `reason` is what it said."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason


class PhotoLibrary:
    """The API at one address. The token goes along with each call and is kept nowhere here."""

    def __init__(self, url: str, *, ca_file: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._http = urllib3.PoolManager(retries=False, timeout=10, ca_certs=ca_file)

    def list_photos(self, access_token: str) -> list[dict[str, Any]]:
        """A person's photos. Raises `LibraryRefused`."""
        photos: list[dict[str, Any]] = self._get("/photos", access_token).json()["photos"]
        return photos

    def get_image(self, access_token: str, photo_id: str) -> bytes:
        """One of them, as SVG. Raises `LibraryRefused`."""
        return self._get(f"/photos/{quote(photo_id, safe='')}/image", access_token).data

    def _get(self, path: str, access_token: str) -> urllib3.BaseHTTPResponse:
        headers = {"Authorization": f"Bearer {access_token}"}
        try:
            answer = self._http.request("GET", self._url + path, headers=headers, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise LibraryRefused(0, "it does not answer just now") from error
        if answer.status != 200:
            raise LibraryRefused(answer.status, answer.headers.get("WWW-Authenticate", f"it answered {answer.status}"))
        return answer
