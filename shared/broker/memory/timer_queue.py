"""The double of the broker's timers: holds them in memory, hands them over when due, and again after a failure."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from shared.broker.log import Conflict
from shared.broker.marks import Mark
from shared.broker.timers import TimerHandler
from shared.rooms.timers import Timer
from shared.rooms.unfoldable import is_unfoldable
from shared.values import pauses
from shared.values.errors import Refused
from shared.values.position import NOWHERE, Position

UNREACHABLE_SECONDS = 0.05  # between looks for a process that can take a due timer


@dataclass
class TimersTaker:
    """Who takes what is due."""

    handle: TimerHandler
    retry_seconds: float
    unreachable: Callable[[], bool]
    timers: "TimerQueue"

    async def stop(self) -> None:
        """Take no more timers."""
        if self in self.timers.takers:
            self.timers.takers.remove(self)


class TimerQueue:
    """All waiting timers by name. `clock` gives Unix seconds, as the timers' `due`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.takers: list[TimersTaker] = []
        self.generation = 0
        self.own_mark: Mark | None = None
        self._clock = clock
        self._newest = NOWHERE
        self._waiting: dict[str, tuple[Position, Timer]] = {}
        self._handing: set[asyncio.Task[None]] = set()

    @property
    def incarnation(self) -> str:
        """Identifies this queue, until everything in it is lost."""
        return f"timers-{self.generation}"

    @property
    def newest(self) -> Position:
        """The position given last."""
        return self._newest

    def arm(self, timer: Timer, after: Position | None) -> Position:
        """See Timers."""
        now_there = self.armed(timer) or NOWHERE
        if after is not None and after != now_there:
            raise Conflict(now_there)
        position = self._next()
        waiting = self._waiting[timer.name] = (position, timer)
        delay = max(0.0, timer.due - self._clock())
        asyncio.get_running_loop().call_later(delay, self._fire, waiting)
        return position

    def write_mark(self, body: bytes, after: Position) -> Position:
        """See Marks."""
        now_there = self.own_mark.position if self.own_mark else NOWHERE
        if after != now_there:
            raise Conflict(now_there)
        self.own_mark = Mark(self._next(), body)
        return self.own_mark.position

    def _next(self) -> Position:
        self._newest = Position(self._newest + 1)
        return self._newest

    def all_waiting(self) -> list[Timer]:
        """Every timer that waits."""
        return [timer for _, timer in self._waiting.values()]

    def armed(self, timer: Timer) -> Position | None:
        """See Timers."""
        waiting = self._waiting.get(timer.name)
        return waiting[0] if waiting else None

    def take(self, handle: TimerHandler, retry_seconds: float, unreachable: Callable[[], bool]) -> TimersTaker:
        """See Timers."""
        taker = TimersTaker(handle, retry_seconds, unreachable, self)
        self.takers.append(taker)
        return taker

    def lose(self) -> None:
        """Forget everything, as when NATS' stream was lost and made anew. Those who take go on taking."""
        self.generation += 1
        self._waiting.clear()
        self.own_mark = None
        self._newest = NOWHERE

    def _fire(self, waiting: tuple[Position, Timer]) -> None:
        _, timer = waiting
        if self._waiting.get(timer.name) is waiting:  # not replaced, and not lost
            del self._waiting[timer.name]
            self._hand_over(timer)

    def _hand_over(self, timer: Timer) -> None:
        task = asyncio.get_running_loop().create_task(self._try(timer), name=f"timer {timer.name}")
        self._handing.add(task)
        task.add_done_callback(self._handing.discard)

    async def _try(self, timer: Timer) -> None:
        failures = 0
        while True:
            taker = next((taker for taker in self.takers if not taker.unreachable()), None)
            if taker is None:
                await asyncio.sleep(UNREACHABLE_SECONDS)
                continue
            self.takers.remove(taker)
            self.takers.append(taker)  # the process that took a timer longest ago takes the next
            try:
                return await taker.handle(timer)
            except Exception as error:
                failures += 1
                slower = not isinstance(error, Refused) or is_unfoldable(error)
                await asyncio.sleep(pauses.doubled(taker.retry_seconds, failures if slower else 1))
