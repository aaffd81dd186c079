"""A process's connection to the in-memory broker, through the weather. What it does not do, `MemoryBus` does."""

import asyncio
import contextlib
import traceback
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from shared.broker.bus import (
    Following,
    Handler,
    LogEntry,
    Posted,
    Reply,
    Request,
    Service,
    Signal,
    TimerHandler,
    with_deadline,
)
from shared.broker.memory.bus import MemoryBus
from shared.broker.subjects import Endpoint
from shared.rooms.events import RoomEvent, Stamp
from shared.rooms.roster import Snapshot
from shared.rooms.timers import Timer
from shared.values.errors import Refused, unavailable
from shared.values.ids import GatewayId, RoomId
from tests.simulation.broker import Broker
from tests.simulation.feed import Feed
from tests.simulation.network import Network
from tests.simulation.process import Process
from tests.simulation.weather import Fate

PATIENCE = 5.0  # seconds until what was asked ends in `unavailable`

Result = TypeVar("Result")


class FaultyBus(MemoryBus):
    """Everything takes a while, may get lost, or may happen although nobody is told."""

    def __init__(self, broker: Broker, network: Network, process: Process) -> None:
        super().__init__(broker)
        self._broker = broker
        self._network = network
        self._sky = network.sky
        self._process = process
        self._feeds: dict[Feed, None] = {}
        self._unanswered: dict[asyncio.Future[Any], None] = {}
        self._services: list[Service] = []
        self._working = 0
        self._taking: Following | None = None
        self.cut = False  # from the broker

    # -- asking the broker ---------------------------------------------------------------------------------------------

    async def _ask(self, what: str, work: Callable[[], Awaitable[Result]]) -> Result:
        """Have the broker do something: it does, or not, or later, and says so, or not."""
        if self._process.dead:
            raise asyncio.CancelledError
        if self.cut:
            await asyncio.sleep(0)
            raise unavailable(what)
        answer: asyncio.Future[Result] = self._network.loop.create_future()
        self._unanswered[answer] = None
        fate = self._sky.fate()
        if not fate.lost:
            self._network.later(fate.there, self._arrived, what, work, fate, answer)
        try:
            await asyncio.wait({answer}, timeout=PATIENCE)
            if not answer.done():
                raise unavailable(what)
            return answer.result()
        finally:
            answer.cancel()
            del self._unanswered[answer]

    def _arrived(self, what: str, work: Callable[[], Awaitable[Any]], fate: Fate, answer: asyncio.Future[Any]) -> None:
        self._network.spawn(self._do(what, work, fate, answer))

    async def _do(self, what: str, work: Callable[[], Awaitable[Any]], fate: Fate, answer: asyncio.Future[Any]) -> None:
        try:
            outcome = partial(answer.set_result, await work())
        except Exception as error:
            outcome = partial(answer.set_exception, error)
        if fate.mute:
            self._network.note(self._process.name, f"hears no answer about {what}")
        else:
            self._network.later(fate.back, self._answered, answer, outcome)

    def _answered(self, answer: asyncio.Future[Any], outcome: Callable[[], None]) -> None:
        if not (answer.done() or self.cut):
            outcome()

    def lose(self) -> None:
        """The connection to the broker breaks; what was asked may have been done."""
        self.cut = True
        self._withdraw()
        for feed in self._feeds:
            feed.deaf = True
        for answer in list(self._unanswered):
            if not answer.done():
                answer.set_exception(unavailable("the broker"))

    async def find(self) -> None:
        """The connection is back."""
        if self.cut and not self._process.dead:
            self.cut = False
            for service in self._services:
                await super().serve(service)
            for feed in list(self._feeds):
                feed.mended()

    def gone(self) -> None:
        """The process died, and with it its connection."""
        self._withdraw()
        for feed in self._feeds:
            feed.stopped = True
            if feed.following in self.broker.followers:
                self.broker.followers.remove(feed.following)
        if self._taking in self.broker.timers.takers:
            self.broker.timers.takers.remove(self._taking)

    def _withdraw(self) -> None:
        for subject in self._served:
            self.broker.answering[subject].pop(id(self), None)
        self._served.clear()

    # -- requests ------------------------------------------------------------------------------------------------------

    async def request(self, endpoint: Endpoint[Request, Reply], request: Request) -> Reply:
        """See Bus."""
        request = with_deadline(request, self._network.loop.wall() + PATIENCE)
        self._network.note(self._process.name, f"asks {endpoint.name} {request.model_dump(exclude={'caller'})}")
        return await self._ask(endpoint.name, partial(super().request, endpoint, request))

    async def serve(self, service: Service) -> None:
        """See Bus."""
        inside = [(endpoint, self._inside(handler)) for endpoint, handler in service.endpoints]
        served = Service(service.name, service.description, inside)
        self._services.append(served)
        await super().serve(served)

    def _inside(self, handler: Handler) -> Handler:
        """What is asked is answered in this process, whoever asks, and however long he waits."""

        async def answer(asked: Any) -> Any:
            self._working += 1
            try:
                reply = await self._process.spawn(handler(asked))
            except Refused:
                raise
            except Exception:
                self._network.blame(f"{handler.__name__} has a bug: {traceback.format_exc()}")
                raise
            finally:
                self._working -= 1
            if self.cut:
                raise asyncio.CancelledError  # nobody hears it
            return reply

        return answer

    async def close(self) -> None:
        """See Bus."""
        self._withdraw()
        while self._working:
            await asyncio.sleep(0.05)

    # -- the log -------------------------------------------------------------------------------------------------------

    async def append(self, room_id: RoomId, events: Sequence[RoomEvent], stamp: Stamp, *, after: int) -> int:
        """See Bus."""
        return await self._ask("append", partial(super().append, room_id, events, stamp, after=after))

    async def post(self, signal: Signal) -> Posted:
        """See Bus."""
        return await self._ask("post", partial(super().post, signal))

    async def follow(self, topic: str, receive: Callable[[LogEntry], None], on_gap: Callable[[], None]) -> Following:
        """See Bus."""
        feed = Feed(self._network, self._process, receive, on_gap)
        self._feeds = {known: None for known in self._feeds if not known.stopped}
        self._feeds[feed] = None
        try:
            feed.following = await self._ask("follow", partial(super().follow, topic, feed.committed, on_gap))
        except BaseException:
            feed.stopped = True
            raise
        return feed

    async def _look(self, read: Callable[[], list[LogEntry]]) -> list[LogEntry]:
        self._reach()
        return read()

    async def read(self, subject: str, *, after: int, limit: int) -> list[LogEntry]:
        """See Bus."""
        lag = self._sky.lag()

        def look() -> list[LogEntry]:
            return list(self._broker.read(subject, after, self._broker.shown(lag)))[:limit]

        return await self._ask("read", partial(self._look, look))

    async def last(self, subjects: Sequence[str]) -> list[LogEntry]:
        """See Bus."""
        lag = self._sky.lag()

        def look() -> list[LogEntry]:
            shown = self._broker.shown(lag)
            return [entry for entry in self._broker.newest(subjects) if entry.sequence <= shown]

        return await self._ask("last", partial(self._look, look))

    async def position(self, subject: str) -> int:
        """See Bus."""
        newest = await self._ask("position", partial(self._look, partial(self._broker.newest, [subject])))
        return max((entry.sequence for entry in newest), default=0)

    async def newest_of_each(self, subject: str) -> list[LogEntry]:
        """See Bus."""
        return await self._ask("newest", partial(self._look, partial(self._broker.newest, [subject])))

    async def trim(self, room_id: RoomId) -> None:
        """See Bus. The simulation looks at whole logs."""

    # -- timers and snapshots ------------------------------------------------------------------------------------------

    async def arm(self, timer: Timer, *, after: int | None = None) -> int:
        """See Bus."""
        self._network.note(self._process.name, f"arms {timer}")
        return await self._ask("arm", partial(super().arm, timer, after=after))

    async def armed(self, timer: Timer) -> int | None:
        """See Bus."""
        return await self._ask("armed", partial(super().armed, timer))

    async def take_timers(self, handle: TimerHandler, retry_seconds: float) -> Following:
        """See Bus. Some are late, some come twice, and some reach a process that dies of them."""

        async def once(timer: Timer) -> None:
            if self.cut:
                raise unavailable("the broker")
            self._network.note(self._process.name, f"takes {timer}")
            task = self._process.spawn(handle(timer))
            await asyncio.wait({task})
            if task.cancelled():
                raise unavailable("the process")
            error = task.exception()
            if error is not None:
                if not isinstance(error, Refused):
                    self._network.blame(f"a timer raised {error!r}")
                raise error

        async def again(timer: Timer) -> None:
            await asyncio.sleep(self._network.chance.uniform(0.0, 8.0))
            with contextlib.suppress(Refused):
                await once(timer)

        async def take(timer: Timer) -> None:
            weather = self._sky.weather
            if self._sky.happens(weather.overdue):
                await asyncio.sleep(self._network.chance.uniform(0.0, 8.0))
            await once(timer)
            if self._sky.happens(weather.twice):
                self._network.spawn(again(timer))

        timers = self.broker.timers
        self._taking = timers.take(take, retry_seconds, lambda: self.broker.down or self.cut or self._process.dead)
        return self._taking

    async def note_room(self, gateway: GatewayId, room_id: RoomId) -> None:
        """See Bus."""
        await self._ask("hold", partial(super().note_room, gateway, room_id))

    async def noted_rooms(self, gateway: GatewayId) -> list[RoomId]:
        """See Bus."""
        return await self._ask("held", partial(super().noted_rooms, gateway))

    async def forget_rooms(self, gateway: GatewayId) -> None:
        """See Bus."""
        await self._ask("let go", partial(super().forget_rooms, gateway))

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """See Bus."""
        await self._ask("save", partial(super().save_snapshot, snapshot))

    async def load_snapshot(self, room_id: RoomId) -> Snapshot | None:
        """See Bus."""
        return await self._ask("load", partial(super().load_snapshot, room_id))
