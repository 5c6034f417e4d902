"""Refusals that all nodes count together, in Redis."""

from app.services.limit_requests import REFUSALS_PER_PEER, RequestLimits
from tests.redis_server import running_redis

PEER = "192.0.2.7"


def test_what_one_node_counts_limits_at_all_and_without_redis_nobody_is_kept_out() -> None:
    with running_redis() as server:
        one, other = RequestLimits(redis_url=server.url), RequestLimits(redis_url=server.url)
        for _ in range(REFUSALS_PER_PEER.amount):
            assert other.retry_after_s(PEER) is None
            one.count_refusal(PEER)
        wait_s = other.retry_after_s(PEER)
        assert wait_s is not None
        assert 0 < wait_s <= REFUSALS_PER_PEER.get_expiry()
        assert other.retry_after_s("192.0.2.8") is None
        server.stop()
        # They protect against load: that Redis is down must not be an outage.
        assert other.retry_after_s(PEER) is None
        one.count_refusal(PEER)
        server.start()
        assert other.retry_after_s(PEER) is None
