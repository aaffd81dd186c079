"""The double of the broker's timers: held in memory, handed over when they are due, again when that failed."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from shared.broker.bus import Conflict, TimerHandler
from shared.rooms.timers import Timer

UNREACHABLE_SECONDS = 0.05  # before a due timer looks again whether there is somebody to take it


@dataclass
class _Taker:
    handle: TimerHandler
    retry_seconds: float
    unreachable: Callable[[], bool]
    timers: "MemoryTimers"

    async def stop(self) -> None:
        """Take no more."""
        if self in self.timers.takers:
            self.timers.takers.remove(self)


class MemoryTimers:
    """All waiting timers by name. `clock` is the clock of their `due`, in Unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.takers: list[_Taker] = []
        self._clock = clock
        self._sequence = 0
        self._waiting: dict[str, tuple[int, Timer]] = {}
        self._handing: set[asyncio.Task[None]] = set()

    def arm(self, timer: Timer, after: int | None) -> int:
        """See Bus.arm."""
        now_there = self.armed(timer) or 0
        if after is not None and after != now_there:
            raise Conflict
        self._sequence += 1
        sequence = self._sequence
        self._waiting[timer.name] = (sequence, timer)
        delay = max(0.0, timer.due - self._clock())
        asyncio.get_running_loop().call_later(delay, self._fire, timer.name, sequence)
        return sequence

    def armed(self, timer: Timer) -> int | None:
        """See Bus.armed."""
        waiting = self._waiting.get(timer.name)
        return waiting[0] if waiting else None

    def take(self, handle: TimerHandler, retry_seconds: float, unreachable: Callable[[], bool]) -> _Taker:
        """See Bus.take_timers."""
        taker = _Taker(handle, retry_seconds, unreachable, self)
        self.takers.append(taker)
        return taker

    def _fire(self, name: str, sequence: int) -> None:
        waiting = self._waiting.get(name)
        if waiting is not None and waiting[0] == sequence:
            del self._waiting[name]
            self._hand_over(waiting[1])

    def _hand_over(self, timer: Timer) -> None:
        task = asyncio.get_running_loop().create_task(self._try(timer), name=f"timer {timer.name}")
        self._handing.add(task)
        task.add_done_callback(self._handing.discard)

    async def _try(self, timer: Timer) -> None:
        while True:
            taker = next((taker for taker in self.takers if not taker.unreachable()), None)
            if taker is None:
                await asyncio.sleep(UNREACHABLE_SECONDS)
                continue
            self.takers.remove(taker)
            self.takers.append(taker)  # whoever took one longest ago takes the next
            try:
                return await taker.handle(timer)
            except Exception:
                await asyncio.sleep(taker.retry_seconds)
