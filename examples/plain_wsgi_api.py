"""A resource server without a framework: a WSGI application behind the token middleware.

    ISSUER=http://localhost:8400 AUDIENCE=http://localhost:8403/ python examples/plain_wsgi_api.py 8403

Any WSGI host serves `application`. Outside of this repository the names come from the wheel `tokenhouse_verifier`.
"""

import json
import os
import sys
from collections.abc import Iterable
from wsgiref.simple_server import make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from app.verifier import AccessTokenVerifier
from app.verifier.wsgi import TokenMiddleware, get_claims


def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Only requests with a good token come here."""
    claims = get_claims(environ)
    body = json.dumps({"subject": claims.subject, "client_id": claims.client_id, "scope": sorted(claims.scope)})
    start_response("200 OK", [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
    return [body.encode()]


application = TokenMiddleware(
    answer,
    AccessTokenVerifier(issuer=os.environ["ISSUER"], audience=os.environ["AUDIENCE"]),
    scope="photos.read",
)

if __name__ == "__main__":
    with make_server("127.0.0.1", int(sys.argv[1]), application) as server:
        server.serve_forever()
