"""The double of the stream of leases: what waits, and the marks beside it."""

from collections.abc import Callable

from shared.broker.log import Conflict
from shared.broker.memory.timer_queue import TimerQueue
from shared.values.ids import LeaseName
from shared.values.position import NOWHERE, Position


class LeaseQueue(TimerQueue):
    """All leases. `clock` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._marks: dict[LeaseName, Position] = {}

    def mark(self, name: LeaseName, after: Position | None) -> Position:
        """See Leases."""
        now_there = self._marks.get(name, NOWHERE)
        if after is not None and after != now_there:
            raise Conflict(now_there)
        self._marks[name] = self._next()
        return self._marks[name]

    def lose(self) -> None:
        """See TimerQueue."""
        super().lose()
        self._marks.clear()
