"""A memory of DPoP proofs for several processes; needs the extra `redis`."""

from .verifier.redis_replays import RedisReplays

__all__ = ["RedisReplays"]
