"""A gate that work for clients goes through: fair between them, and a bounded share of the event loop's time.

Strangers, who have not authenticated, have one, in which each address has its turn; those who are in have another, in
which each agent has. Whatever is sent, and from however many addresses, the lease and everything else have the rest.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from services.gateway import metrics
from services.gateway.token_bucket import Bucket
from services.gateway.transport.fair_queue import FairQueue

BURST_SECONDS = 0.02  # of work at once, after a while without any
TURN_SECONDS = 0.002  # of work before everybody else of the event loop has a turn

Work = Callable[[], None]
Ticks = Callable[[], float]


class Gate:
    """Does work at once while there is time for it, else when its address has its turn.

    What waits is bounded by whoever enters: a connection waits once. `share` is a part of 1, `ticks` a clock that only
    goes forward, `who` a label of the metrics.
    """

    def __init__(self, share: float, who: str, ticks: Ticks = time.perf_counter) -> None:
        self._ticks = ticks
        self._seconds = metrics.CLIENTS_SECONDS.labels(who)
        self._count = metrics.CLIENTS_WAITING.labels(who)
        self._time = Bucket(share, BURST_SECONDS)
        self._waiting: FairQueue[Work] = FairQueue()
        self._next: asyncio.Handle | None = None
        self._working = False

    def enter(self, key: str, work: Work) -> None:
        """Do `work`, which must not raise, at once or later. `key` is the address that it is done for."""
        if self._working or self._waiting or self._time.level(self._ticks()) <= 0:
            self._waiting.put(key, work)
            self._count.set(len(self._waiting))
            self._call()
        else:
            self._do(work)

    def spend(self, seconds: float) -> None:
        """Count time that was spent elsewhere."""
        self._time.borrow(self._ticks(), seconds)
        self._seconds.inc(seconds)

    def measured(self, work: Coroutine[Any, Any, None]) -> "Measured":
        """To be awaited in place of `work`: counts the time that its steps take, not that in which it waits."""
        return Measured(work, self.spend, self._ticks)

    def close(self) -> None:
        """Do nothing more."""
        if self._next is not None:
            self._next.cancel()

    def _do(self, work: Work) -> None:
        began = self._ticks()
        self._working = True
        try:
            work()
        finally:
            self._working = False
            self.spend(self._ticks() - began)

    def _call(self) -> None:
        """Have `_turn` called once there is time again, but not before everybody else had a turn."""
        if self._next is not None:
            return
        loop = asyncio.get_running_loop()
        debt = -self._time.level(self._ticks())
        self._next = loop.call_soon(self._turn) if debt < 0 else loop.call_later(debt / self._time.rate, self._turn)

    def _turn(self) -> None:
        self._next = None
        until = self._ticks() + TURN_SECONDS
        while self._waiting and (now := self._ticks()) < until and self._time.level(now) > 0:
            self._do(self._waiting.take())
        self._count.set(len(self._waiting))
        if self._waiting:
            self._call()


class Measured:
    """Awaits a coroutine and measures each of its steps, until it is told to stop that."""

    def __init__(self, work: Coroutine[Any, Any, None], spend: Callable[[float], None], ticks: Ticks) -> None:
        self._work = work
        self._spend = spend
        self._ticks = ticks

    def stop(self) -> None:
        """What is left is not for a stranger any more."""
        self._spend = lambda _seconds: None

    def __await__(self) -> Generator[Any, Any, None]:
        error: BaseException | None = None
        answer: Any = None
        while True:
            began = self._ticks()
            try:
                awaited = self._work.send(answer) if error is None else self._work.throw(error)
            except StopIteration:
                return
            finally:
                self._spend(self._ticks() - began)
            try:
                error, answer = None, (yield awaited)
            except BaseException as raised:
                error = raised
