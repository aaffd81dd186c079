"""How long to wait before the next attempt: exponential, with full jitter. Pure: chance is an argument."""

from collections.abc import Callable

FIRST = 0.25  # seconds
CAP = 15.0


class Backoff:
    """Delays that are random between nothing and a limit that doubles, so that many clients never come back at once."""

    def __init__(self, chance: Callable[[], float], *, first: float = FIRST, cap: float = CAP) -> None:
        self._chance = chance  # between 0 and 1
        self._first = first
        self._cap = cap
        self._attempts = 0

    def next(self) -> float:
        """Seconds to wait before the next attempt."""
        limit: float = min(self._cap, self._first * 2 ** min(self._attempts, 32))
        self._attempts += 1
        return self._chance() * limit

    def reset(self) -> None:
        """It went well for a while."""
        self._attempts = 0
