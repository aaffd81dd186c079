"""The broker's time, which all of our hosts share: estimated from its answers, and kept going in between. Pure.

Whatever waits at the broker is due by the broker's clock, and what one host writes another compares. So no host's own
clock counts, except where there was no answer yet (docs/adr/0023).
"""

from collections.abc import Callable
from dataclasses import dataclass

DRIFT = 0.0005  # by how much two clocks may run apart, in seconds a second (the most that NTP slews one)
HELD_SECONDS = 300.0  # so far the estimate may go back, and time stands still instead

Seconds = Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Estimate:
    """`ahead`: the broker's Unix time less this host's ticks. It is right within `doubt`, as of `at`."""

    ahead: float
    doubt: float
    at: float

    def doubt_at(self, ticks: float) -> float:
        """In how much doubt it is later: clocks run apart."""
        return self.doubt + DRIFT * max(0.0, ticks - self.at)


class BrokerClock:
    """Gives Unix seconds. `ticks` are seconds that only go forward, `host` is this host's own clock."""

    def __init__(self, ticks: Seconds, host: Seconds) -> None:
        self._ticks = ticks
        self._host = host
        self._best: _Estimate | None = None
        self._given = 0.0

    def __call__(self) -> float:
        """The broker's time. It does not go back by less than `HELD_SECONDS`: what is later has a later time, or the same."""
        now = self._host() if self._best is None else self._ticks() + self._best.ahead
        self._given = self._given if 0 < self._given - now < HELD_SECONDS else now
        return self._given

    def take(self, sent: float, heard: float, said: float) -> None:
        """The broker was asked at `sent` and the answer heard at `heard` (ticks); it said `said` (Unix seconds).

        The better of two answers counts. When they cannot both be right the later one does: the broker's clock was set,
        another server answers, or this host slept.
        """
        trip = max(0.0, heard - sent)
        new = _Estimate(said - (sent + heard) / 2, trip / 2, heard)
        old = self._best
        if old is not None:
            doubt = old.doubt_at(heard)
            if abs(new.ahead - old.ahead) <= new.doubt + doubt and new.doubt > doubt:
                return
        self._best = new

    @property
    def off(self) -> tuple[float, float] | None:
        """How far this host's clock is ahead of the broker's, and in how much doubt that is; None before an answer."""
        if self._best is None:
            return None
        ticks = self._ticks()
        return self._host() - (ticks + self._best.ahead), self._best.doubt_at(ticks)


class Difference:
    """Whether the clocks differ by too much, and whether that is news."""

    WARNED = 0.5  # seconds
    FINE = 0.25

    def __init__(self) -> None:
        self.differs = False

    def changed(self, off: float, doubt: float) -> bool:
        """Look at a new value of `BrokerClock.off`: whether `differs` is another one now."""
        before = self.differs
        if abs(off) - doubt >= self.WARNED:
            self.differs = True
        elif abs(off) < self.FINE:
            self.differs = False
        return self.differs != before
