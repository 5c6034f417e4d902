"""docs/verifier-vectors.json, as another implementation would read it; and it is what its program writes."""

import json
from typing import Any

import jwt
import pytest

from docs.make_verifier_vectors import TARGET, judge, make_document, make_verifier, read_request
from tests.verifier.forgeries import FORGERIES

DOCUMENT: dict[str, Any] = json.loads(TARGET.read_text())


def test_the_file_is_what_its_program_writes() -> None:
    made, written = json.loads(json.dumps(make_document())), dict(DOCUMENT)
    # Another zlib may pack the same statuses otherwise.
    assert made.pop("status_lists").keys() == written.pop("status_lists").keys()
    assert made == written


def test_every_vector_gets_the_verdict_that_the_file_says() -> None:
    verifier = make_verifier(DOCUMENT)
    assert len(DOCUMENT["requests"]) >= len(FORGERIES)
    for vector in DOCUMENT["requests"]:
        expected = {name: vector[name] for name in ("verdict", "error", "error_description") if name in vector}
        assert judge(read_request(vector), verifier) == expected, vector["name"]
    verdicts = [vector["verdict"] for vector in DOCUMENT["requests"]]
    assert (verdicts[0], set(verdicts[1:])) == ("accepted", {"refused"})


def test_another_library_reads_the_token_that_passes_and_the_list() -> None:
    token = DOCUMENT["requests"][0]["headers"]["Authorization"].removeprefix("DPoP ")
    key = jwt.PyJWK(DOCUMENT["jwks"]["keys"][0])
    relaxed = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(
        token, key, algorithms=["ES256"], audience=DOCUMENT["audience"], issuer=DOCUMENT["issuer"], options=relaxed
    )
    uri = claims["status"]["status_list"]["uri"]
    assert jwt.decode(DOCUMENT["status_lists"][uri], key, algorithms=["ES256"], options=relaxed)["sub"] == uri


@pytest.mark.parametrize("private", ['"d":', '"p":', '"k":'])
def test_no_private_key_is_in_the_file(private: str) -> None:
    assert private not in TARGET.read_text()
