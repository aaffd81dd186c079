"""A process's faulty connection to the in-memory broker.

Requests take a while. They or their answers may get lost, so that something may happen without an answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from shared.broker.memory.connection import MemoryConnection
from shared.broker.memory.timer_queue import TimersTaker
from shared.values.errors import unavailable
from tests.simulation.broker import Broker
from tests.simulation.feed import Feed
from tests.simulation.network import Network
from tests.simulation.process import Process
from tests.simulation.weather import Fate

PATIENCE = 5.0  # seconds until a request without an answer ends in `unavailable`

Result = TypeVar("Result")


class FaultyConnection(MemoryConnection):
    """The connection that all ports of a simulated process use."""

    def __init__(self, broker: Broker, network: Network, process: Process) -> None:
        super().__init__(broker)
        self.network = network
        self.sky = network.sky
        self.process = process
        self.cut = False  # whether the broker cannot be reached
        self.feeds: dict[Feed, None] = {}
        self.taking: list[TimersTaker] = []  # the subscriptions to what is due
        self.on_loss: list[Callable[[], None]] = []
        self.on_find: list[Callable[[], Awaitable[None]]] = []
        self.on_close: list[Callable[[], Awaitable[None]]] = []
        self._unanswered: dict[asyncio.Future[Any], None] = {}

    async def ask(self, what: str, work: Callable[[], Awaitable[Result]]) -> Result:
        """Have the broker do `work`, as the drawn fate says: at once, late or not at all, with or without an answer."""
        if self.process.dead:
            raise asyncio.CancelledError
        if self.cut:
            await asyncio.sleep(0)
            raise unavailable(what)
        answer: asyncio.Future[Result] = self.network.loop.create_future()
        self._unanswered[answer] = None
        fate = self.sky.fate()
        if not fate.lost:
            self.network.later(fate.there, self._arrived, what, work, fate, answer)
        try:
            await asyncio.wait({answer}, timeout=PATIENCE)
            if not answer.done():
                raise unavailable(what)
            return answer.result()
        finally:
            answer.cancel()
            del self._unanswered[answer]

    def _arrived(self, what: str, work: Callable[[], Awaitable[Any]], fate: Fate, answer: asyncio.Future[Any]) -> None:
        self.network.spawn(self._do(what, work, fate, answer))

    async def _do(self, what: str, work: Callable[[], Awaitable[Any]], fate: Fate, answer: asyncio.Future[Any]) -> None:
        try:
            outcome = partial(answer.set_result, await work())
        except Exception as error:
            outcome = partial(answer.set_exception, error)
        if fate.mute:
            self.network.note(self.process.name, f"hears no answer about {what}")
        else:
            self.network.later(fate.back, self._answered, answer, outcome)

    def _answered(self, answer: asyncio.Future[Any], outcome: Callable[[], None]) -> None:
        if not (answer.done() or self.cut):
            outcome()

    def lose(self) -> None:
        """The connection breaks. Open requests fail, and may have been done."""
        self.cut = True
        for lost in self.on_loss:
            lost()
        for feed in self.feeds:
            feed.deaf = True
        for answer in list(self._unanswered):
            if not answer.done():
                answer.set_exception(unavailable("the broker"))

    async def find(self) -> None:
        """The connection is back."""
        if self.cut and not self.process.dead:
            self.cut = False
            for found in self.on_find:
                await found()
            for feed in list(self.feeds):
                feed.repaired()

    def gone(self) -> None:
        """The process died: end its subscriptions."""
        for lost in self.on_loss:
            lost()
        for feed in self.feeds:
            feed.stopped = True
            if feed.following in self.broker.rooms.followers:
                self.broker.rooms.followers.remove(feed.following)
        for taking in self.taking:
            if taking in taking.timers.takers:
                taking.timers.takers.remove(taking)

    async def close(self) -> None:
        """See Connection."""
        await super().close()
        for finish in self.on_close:
            await finish()
