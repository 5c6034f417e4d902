"""The one client, resource and user that every server in the benchmarks is given."""

import secrets
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A photo printing service that may read a person's photos.

    The redirect URI is never called: the driver stops at the redirect and reads the code from it. It is an https one
    because consent for a loopback redirect is not remembered, by either server.
    """

    client_id: str = "photo-printing-service"
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)
    redirect_uri: str = "https://prints.example.com/callback"
    resource: str = "https://photos.example.com"
    scope: str = "photos:read photos:print"
    username: str = "grace"
    password: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    email: str = "grace@example.com"
    # Tokens for it are looked up, not read.
    opaque_resource: str = "https://albums.example.com"
    # A program that acts for itself, and asks what tokens are good for.
    machine_id: str = "nightly-report"
    machine_secret: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)
