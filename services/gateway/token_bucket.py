"""How much a client may do: token buckets without a clock."""

from dataclasses import dataclass
from enum import Enum

from cachetools import LRUCache

REMEMBERED = 10_000  # names (agents, addresses) with a bucket


class Bucket:
    """A token bucket: `rate` tokens a second, at most `burst` at once."""

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = burst
        self._at: float | None = None

    def take(self, now: float, cost: float = 1.0) -> float:
        """Take `cost` tokens: 0.0 when they were there, else the seconds until they would be (and none is taken)."""
        wait = self.wait(now, cost)
        if wait == 0.0:
            self._tokens -= cost
        return wait

    def wait(self, now: float, cost: float = 1.0) -> float:
        """The seconds until there are `cost` tokens: 0.0 when there are. None is taken."""
        return max(0.0, cost - self.level(now)) / self.rate

    def level(self, now: float) -> float:
        """The tokens there are. `now` is in seconds of any clock that only goes forward."""
        if self._at is not None:
            self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        return self._tokens

    def give(self, tokens: float) -> None:
        """Add tokens."""
        self._tokens += tokens

    def borrow(self, now: float, cost: float) -> float:
        """Take tokens that are not there yet. Returns the seconds until the debt is paid back."""
        self._tokens = self.level(now) - cost
        return max(0.0, -self._tokens / self.rate)


class Buckets:
    """A bucket per name. Beyond `REMEMBERED` names the least recently used one is forgotten, and starts full again."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: LRUCache[str, Bucket] = LRUCache(REMEMBERED)

    def of(self, name: str) -> Bucket:
        """The bucket of this name."""
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(self._rate, self._burst)
        return bucket


class Verdict(Enum):
    """How a message is treated."""

    PASS = "pass"
    SLOW_DOWN = "slow down"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Ruling:
    """A verdict; `seconds` is how long to stop reading, or when to try again."""

    verdict: Verdict
    seconds: float = 0.0


PASS = Ruling(Verdict.PASS)


class MessageRate:
    """Over its rate, a client is first read more slowly for `patience` seconds, then refused until it calms down."""

    __slots__ = ("_bucket", "_most", "_patience", "_since")

    def __init__(self, rate: float, burst: float, patience: float) -> None:
        self._bucket = Bucket(rate, burst)
        self._most = burst  # the largest so far: a client that joins a large room again and again gains its burst once
        self._patience = patience
        self._since: float | None = None

    def allow_burst(self, burst: float) -> None:
        """Change the burst (each participant of a room adds to it). What it is above the largest so far comes as tokens."""
        self._bucket.burst = burst
        if burst > self._most:
            self._bucket.give(burst - self._most)
            self._most = burst

    @property
    def calm(self) -> bool:
        """Whether the client keeps to its rate."""
        return self._since is None

    def rule(self, now: float, cost: float = 1.0) -> Ruling:
        """How to treat the next message. `cost` is its number of receivers."""
        bucket = self._bucket
        if self._since is not None and bucket.level(now) >= bucket.burst / 4:
            self._since = None
        wait = bucket.take(now, cost)
        if wait == 0.0:
            return PASS
        if self._since is None:
            self._since = now
        if now - self._since >= self._patience:
            return Ruling(Verdict.REFUSE, wait)
        return Ruling(Verdict.SLOW_DOWN, min(bucket.borrow(now, cost), self._patience))
