"""How many HTTP requests one address may make, and all together at once. Pure."""

import math
from collections import Counter

from services.gateway.token_bucket import Buckets
from shared.values.errors import Code, Refused

BURST = 10  # seconds' worth of requests at once
SHARE = 4  # one address may have a fourth of what all may have at once


class RequestLimits:
    """Requests by network (shared/values/address.py). `rate` is requests a second of one, `at_once` counts all.

    The empty network is nobody's: it has no limit of its own.
    """

    def __init__(self, rate: float, at_once: int) -> None:
        self._rates = Buckets(rate, rate * BURST)
        self._at_once = at_once
        self._each = max(1, at_once // SHARE)
        self._count = 0
        self._counts: Counter[str] = Counter()

    def begin(self, network: str, now: float) -> Refused | None:
        """Count a request in, or say why not. `now` is in seconds of any clock that only goes forward."""
        if self._count >= self._at_once:
            return Refused(Code.UNAVAILABLE, "this gateway has too many requests; try again")
        wait = self._rates.of(network).take(now) if network else 0.0
        if wait > 0 or (network and self._counts[network] >= self._each):
            sentence = "too many requests from your address; try again later"
            return Refused(Code.RATE_LIMITED, sentence, retry_after_ms=math.ceil(max(wait, 1) * 1000))
        self._count += 1
        self._counts[network] += 1
        return None

    def known(self, network: str) -> None:
        """A request turned out to be an agent's, which has a limit of its own: it does not count for its address."""
        if network:
            self._rates.of(network).give(1)

    def end(self, network: str) -> None:
        """A request that was counted in is over."""
        self._count -= 1
        self._counts[network] -= 1
        if not self._counts[network]:
            del self._counts[network]
