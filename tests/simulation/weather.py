"""The faults of each seed's network and broker, and their probabilities."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Weather:
    """The probabilities of one run. Every seed has its own mixture, so that some runs have rare combinations."""

    slow: float  # a message takes up to a second
    late: float  # it arrives after its sender was told `unavailable`
    lost: float  # it never arrives
    mute: float  # it arrives, and its answer does not
    lag: float  # a read shows the log as it was
    silent: float  # a live entry is never passed on, without a reported gap
    twice: float  # a live entry, or a due timer, comes once more
    overdue: float  # a timer comes late
    trouble: float  # seconds between what happens to whole processes; 0: nothing does

    @classmethod
    def drawn(cls, chance: Random) -> "Weather":
        """The weather of one seed."""

        def often(*choices: float) -> float:
            return chance.choice(choices)

        return cls(
            slow=often(0.0, 0.02, 0.1),
            late=often(0.0, 0.0, 0.01, 0.04),
            lost=often(0.0, 0.005, 0.02),
            mute=often(0.0, 0.005, 0.02),
            lag=often(0.0, 0.05, 0.3),
            silent=often(0.0, 0.0, 0.02),
            twice=often(0.0, 0.02),
            overdue=often(0.0, 0.1, 0.5),
            trouble=often(0.0, 3.0, 8.0),
        )


@dataclass(frozen=True, slots=True)
class Fate:
    """The fate of one request to the broker: seconds there and back, and whether it or its answer is lost."""

    there: float
    back: float
    lost: bool = False
    mute: bool = False


LATE_SECONDS = (4.0, 9.0)  # after it was sent; its sender waits for five


class Sky:
    """Draws what happens from the run's source of chance. `calm` when the faults are over."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.weather = Weather.drawn(chance)
        self.calm = True

    def pause(self) -> float:
        """Seconds that a message takes without a fault."""
        return 0.0002 + self.chance.expovariate(500)

    def happens(self, probability: float) -> bool:
        """Whether something of this probability happens now."""
        return not self.calm and probability > 0 and self.chance.random() < probability

    def delay(self) -> float:
        """Seconds that a message takes, which may be slow."""
        if self.happens(self.weather.slow):
            return self.chance.uniform(0.02, 1.0)
        return self.pause()

    def fate(self) -> Fate:
        """The fate of one request."""
        if self.happens(self.weather.late):
            return Fate(self.chance.uniform(*LATE_SECONDS), self.pause())
        if self.happens(self.weather.lost):
            return Fate(0.0, 0.0, lost=True)
        return Fate(self.delay(), self.delay(), mute=self.happens(self.weather.mute))

    def lag(self) -> float:
        """Seconds by which a read is behind."""
        if not self.happens(self.weather.lag):
            return 0.0
        return self.chance.choice((0.01, 0.05, 0.2, 0.2, 1.0))
