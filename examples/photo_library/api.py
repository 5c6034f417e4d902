"""A photo library as an API: it hands a person's pictures to whoever brings an access token for them.

It never sees a password and asks nobody about a token. Signature, issuer, audience, times and scope are checked right
here, with the issuer's public keys, which are fetched once; it goes on working while the authorization server is down.

    ISSUER=http://localhost:8400 AUDIENCE=http://localhost:8402/ python examples/photo_library/api.py --port 8402
"""

import argparse
import os
from collections.abc import Collection
from dataclasses import dataclass

from flask import Flask, Response, abort, g, render_template
from flask.typing import ResponseReturnValue
from pictures import SCENES, Scene, draw

# Outside of this repository the same names come from the wheel: `from tokenhouse_verifier import …`.
from app.verifier import AccessTokenVerifier
from app.verifier.flask import require_token, use_verifier

# An SVG is a document: opened by itself it must not be able to run or load anything.
PICTURE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
}
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """One picture of one person."""

    photo_id: str
    owner: str
    scene: Scene

    def to_document(self, *, scope: Collection[str]) -> dict[str, str]:
        """What the API says about it to a token with these scopes."""
        document = {
            "id": self.photo_id,
            "title": self.scene.title,
            "description": self.scene.description,
            "image": f"/photos/{self.photo_id}/image",
        }
        return {**document, "taken_on": self.scene.taken_on} if "photos.dates" in scope else document


def photos_of(owner: str) -> dict[str, Photo]:
    """A person's pictures, by their id. `owner` is the subject of a verified token, never a request's parameter."""
    numbered = enumerate(SCENES, start=1)
    photos = (Photo(photo_id=f"photo-{number}", owner=owner, scene=scene) for number, scene in numbered)
    return {photo.photo_id: photo for photo in photos}


def create_app(verifier: AccessTokenVerifier) -> Flask:
    """The API. `verifier` knows the issuer and this API's own name."""
    app = Flask(__name__)
    use_verifier(app, verifier)

    @app.get("/")
    def about() -> ResponseReturnValue:
        """For people who find their way here by hand."""
        page = render_template("about.html", issuer=verifier.issuer, audience=verifier.audience[0])
        return page, PAGE_HEADERS

    @app.get("/photos")
    @require_token("photos.read")
    def list_photos() -> ResponseReturnValue:
        token = g.access_token
        return {"photos": [photo.to_document(scope=token.scope) for photo in photos_of(token.subject).values()]}

    @app.get("/photos/<photo_id>/image")
    @require_token("photos.read")
    def show_photo(photo_id: str) -> ResponseReturnValue:
        photo = photos_of(g.access_token.subject).get(photo_id)
        if photo is None:
            abort(404)
        picture = draw(f"{photo.owner} {photo.photo_id}", photo.scene)
        return Response(picture, content_type="image/svg+xml", headers=PICTURE_HEADERS)

    return app


def main() -> None:
    """Serve on loopback, with the server that Flask brings for development."""
    parser = argparse.ArgumentParser(description="A photo library that wants access tokens.")
    parser.add_argument("--port", type=int, default=8402)
    port = parser.parse_args().port
    verifier = AccessTokenVerifier(issuer=os.environ["ISSUER"], audience=os.environ["AUDIENCE"])
    create_app(verifier).run(host="127.0.0.1", port=port, threaded=True)


if __name__ == "__main__":
    main()
