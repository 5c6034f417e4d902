"""A program that acts for itself: asks for tokens, looks into them, ends them. Nobody is logged in anywhere."""

from collections.abc import Mapping
from typing import Any, Self

from tests.actors.http import Reply, send
from tests.actors.relying_party import RelyingParty, Tokens, basic


class Machine:
    """One registered client, whatever its grant types. `method`: how it authenticates itself."""

    def __init__(self, client_id: str, client_secret: str | None, *, method: str, server_url: str) -> None:
        self.client_id = client_id
        self.client_secret = client_secret
        self.method = method
        self.server_url = server_url

    @classmethod
    def of(cls, party: RelyingParty) -> Self:
        """The server side of an application that also sends people to log in."""
        return cls(party.client_id, party.client_secret, method=party.method, server_url=party.server_url)

    def post(self, path: str, *, headers: Mapping[str, str] | None = None, **form: Any) -> Reply:
        """One request in the client's name; a parameter of None is left out."""
        sent_headers = dict(headers or {})
        if self.method == "client_secret_basic":
            sent_headers.setdefault("Authorization", basic(self.client_id, self.client_secret or ""))
        else:
            form.setdefault("client_id", self.client_id)
            if self.method == "client_secret_post":
                form.setdefault("client_secret", self.client_secret)
        form = {name: value for name, value in form.items() if value is not None}
        return send(f"{self.server_url}{path}", method="POST", headers=sent_headers, form=form)

    def try_get_token(self, **changes: Any) -> Reply:
        """Ask for a token of its own."""
        return self.post("/token", **{"grant_type": "client_credentials", **changes})

    def get_token(self, **changes: Any) -> Tokens:
        """A token that must be given."""
        reply = self.try_get_token(**changes)
        assert reply.status == 200, reply.text
        answer = reply.json()
        return Tokens(
            access_token=answer["access_token"],
            id_token=None,
            expires_in=answer["expires_in"],
            scope=answer["scope"],
        )

    def introspect(self, token: str, **changes: Any) -> Reply:
        """Look into a token (RFC 7662)."""
        return self.post("/introspect", token=token, **changes)

    def revoke(self, token: str, **changes: Any) -> Reply:
        """End a token (RFC 7009)."""
        return self.post("/revoke", token=token, **changes)
