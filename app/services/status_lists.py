"""The status lists of a running server: kept up with the database, signed in time, found by their names."""

import time

from app.services.deployment import Deployment
from app.services.publish_status_lists import SIGNING_ALG, SignedList
from app.services.signing_keys import NoSigningKey
from app.specs.rfc7517_jwk import PrivateKey
from app.storage.database import DatabaseUnavailable

_LOOK_FOR_STRANGERS_EVERY_S = 0.1
"""Anybody may ask for lists that there are not; that must not become as many questions to the database."""


def start_publishing(deployment: Deployment) -> None:
    """Read what has been revoked, and keep up with it from now on; a command of the operator needs none of it."""
    deployment.status_lists.is_wanted = True
    deployment.notice_changes(at_once=True)


def sign_status_lists(deployment: Deployment) -> None:
    """Sign what has changed or is due, so that no request has to wait for it."""
    key = _find_key(deployment)
    if key is not None:
        deployment.status_lists.sign_due(key, now=deployment.clock())


class StatusListReader:
    """Finds lists for whoever asks. Safe for threads."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._look_again_at = 0.0

    def find(self, list_id: str) -> SignedList | None:
        """The list as it is now; None where there is none. Raises `DatabaseUnavailable` past its last `exp`."""
        self._deployment.notice_changes()
        signed = self._get(list_id)
        if signed is None and not self._deployment.is_cut_off and time.monotonic() >= self._look_again_at:
            # It may have been announced a moment ago.
            self._look_again_at = time.monotonic() + _LOOK_FOR_STRANGERS_EVERY_S
            self._deployment.notice_changes(at_once=True)
            signed = self._get(list_id)
        if signed is None and self._deployment.status_lists.knows(list_id):
            raise DatabaseUnavailable("what has been revoked is not known any more")
        return signed

    def _get(self, list_id: str) -> SignedList | None:
        deployment = self._deployment
        return deployment.status_lists.get(list_id, _find_key(deployment), now=deployment.clock())


def _find_key(deployment: Deployment) -> PrivateKey | None:
    try:
        return deployment.get_signing_key(SIGNING_ALG)
    except (NoSigningKey, DatabaseUnavailable):
        return None
