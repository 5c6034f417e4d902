"""GET /livez, /readyz and /metrics."""

import ipaddress
import os

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from app.endpoints.answers import NO_STORE, Answer, json_answer
from app.endpoints.router import Handler
from app.services.deployment import Deployment
from app.specs.protocol_error import AccessDenied
from app.specs.strict_request import ProtocolRequest


def livez(_request: ProtocolRequest) -> Answer:
    """The process answers; says nothing of what it depends on."""
    return json_answer(200, {"status": "alive"})


def readyz_endpoint(deployment: Deployment) -> Handler:
    """Whether this process should get requests: 503 with the reason when it should not."""

    def answer(_request: ProtocolRequest) -> Answer:
        problem = deployment.check_ready()
        if problem is not None:
            return json_answer(503, {"status": "not ready", "reason": problem}, (("Retry-After", "2"),))
        return json_answer(200, {"status": "ready"})

    return answer


def metrics_endpoint(deployment: Deployment) -> Handler:
    """Prometheus' text format, of all workers together; for loopback and the configured networks only."""
    networks = deployment.settings.metrics_networks

    def answer(request: ProtocolRequest) -> Answer:
        try:
            peer = ipaddress.ip_address(request.remote_address)
        except ValueError:
            raise AccessDenied("metrics are for the operator") from None
        if not peer.is_loopback and not any(peer in network for network in networks):
            refusal = AccessDenied("metrics are for the operator")
            raise refusal
        registry: CollectorRegistry = REGISTRY
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return Answer(200, [("Content-Type", CONTENT_TYPE_LATEST), NO_STORE], generate_latest(registry))

    return answer
