"""Events on their way to a program: to callbacks at once, and to iterators through a queue with a bound."""

import asyncio
import logging
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, Self, TypeVar

from parley.events import Missed

logger = logging.getLogger(__name__)
E = TypeVar("E")
CAPACITY = 1024


class Events(Generic[E], AsyncIterator[E | Missed]):
    """What happens from now on, until the end. When the program does not read, the oldest events are dropped, and a
    `Missed` stands where they were."""

    def __init__(self, capacity: int) -> None:
        self._waiting: deque[E] = deque()
        self._capacity = capacity
        self._missed = 0
        self._ended = False
        self._changed = asyncio.Event()

    def take(self, event: E) -> None:
        """One more."""
        if len(self._waiting) >= self._capacity:
            self._waiting.popleft()
            self._missed += 1
        self._waiting.append(event)
        self._changed.set()

    def end(self) -> None:
        """No more will come; what waits is still read."""
        self._ended = True
        self._changed.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E | Missed:
        while True:
            if self._missed:
                missed, self._missed = Missed(self._missed), 0
                return missed
            if self._waiting:
                return self._waiting.popleft()
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()


class Feed(Generic[E]):
    """Tells events to whoever listens. Iterators that nobody holds any more are forgotten."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._callbacks: list[Callable[[E], object]] = []
        self._iterators: weakref.WeakSet[Events[E]] = weakref.WeakSet()
        self._ended = False

    def on(self, callback: Callable[[E], object]) -> Callable[[], None]:
        """Call this with every event, at once and in order. Returns what ends that."""
        self._callbacks.append(callback)

        def off() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return off

    def events(self) -> Events[E]:
        """An iterator over what happens from this moment on."""
        events: Events[E] = Events(self._capacity)
        if self._ended:
            events.end()
        self._iterators.add(events)
        return events

    def tell(self, event: E) -> None:
        """It happened. A callback that fails is logged and harms nobody else."""
        for events in list(self._iterators):
            events.take(event)
        for callback in list(self._callbacks):
            try:
                callback(event)
            except Exception:
                logger.exception("a callback failed for %s", type(event).__name__)

    def end(self) -> None:
        """Nothing more will happen."""
        self._ended = True
        for events in list(self._iterators):
            events.end()
        self._callbacks.clear()
