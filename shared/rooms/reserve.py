"""The reserve: how full the tightest place is in which everything is stored, and what is still admitted then. Pure.

Signals are slowed first, then newcomers are refused, then signals and changes too. What is left is for those who are in:
to resume, to drop, to leave, to close, and for timers, leases and trimming.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from shared.values.model import Tolerant

PERCENT = 100


@dataclass(frozen=True, slots=True)
class Place:
    """A place with a limit: the log, the broker's store, or its disk. In bytes; a size of 0 means no limit is known."""

    name: str
    used: int
    size: int

    @property
    def share(self) -> float:
        """How full it is: 1 is full."""
        return self.used / self.size if self.size > 0 else 0.0


@dataclass(frozen=True)
class Thresholds:
    """The shares from which the reserve is kept (from rooms' settings)."""

    slow: float = 0.8
    newcomers: float = 0.9
    signals: float = 0.95


class ReadReserve(Tolerant):
    """How full is the store, and what follows for signals? Gateways ask every second."""


class Reserve(Tolerant):
    """The tightest place when it was looked at, and from which share on what is refused.

    `refusal` is why the broker stores nothing, in its own words; None while it does. The arguments `since` are the bytes
    that are believed to have been stored since the look.
    """

    place: str = "log"
    used: int = 0
    size: int = 0
    slow_above: float = Thresholds.slow
    newcomers_above: float = Thresholds.newcomers
    signals_above: float = Thresholds.signals
    refusal: str | None = None

    @classmethod
    def of(cls, places: Iterable[Place], thresholds: Thresholds, refusal: str | None) -> Self:
        """The reserve of the fullest of these places."""
        tightest = max(places, key=lambda place: place.share, default=Place("log", 0, 0))
        return cls(
            place=tightest.name,
            used=tightest.used,
            size=tightest.size,
            slow_above=thresholds.slow,
            newcomers_above=thresholds.newcomers,
            signals_above=thresholds.signals,
            refusal=refusal,
        )

    def share(self, since: float = 0.0) -> float:
        """How full the place is: 1 is full."""
        return (self.used + since) / self.size if self.size > 0 else 0.0

    def admits_newcomers(self, since: float = 0.0) -> bool:
        """Whether joins and new rooms are admitted."""
        return self.share(since) < self.newcomers_above

    def admits_changes(self, since: float = 0.0) -> bool:
        """Whether signals, and changes of rooms and participants, are admitted."""
        return self.share(since) < self.signals_above

    def signal_rate(self, seconds: float, since: float = 0.0) -> float | None:
        """Bytes of signals a second that one gateway may store; None while there is no bound, 0 when there is no room.

        A signal is kept for `seconds`. So at this rate signals come ever closer to the share from which they are refused,
        and never reach it.
        """
        if self.share(since) < self.slow_above:
            return None
        return max(0.0, (self.signals_above - self.share(since)) * self.size / seconds)

    def notice(self) -> str | None:
        """A sentence for whoever looks after the installation; None while all is well."""
        if self.refusal is not None:
            return f"NATS stores nothing: {self.refusal}"
        share = self.share()
        if share < self.slow_above:
            return None
        follows = "signals are slowed"
        if share >= self.signals_above:
            follows = "joins, new rooms, signals and changes are refused"
        elif share >= self.newcomers_above:
            follows = "joins and new rooms are refused, signals are slowed"
        return f"the {self.place} of NATS is {int(share * PERCENT)} % full: {follows}"
