"""The faulty log of rooms: reads lag, and followed entries come late, twice or never."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from shared.broker.following import Following
from shared.broker.memory.log import MemoryLog
from shared.broker.room_log import ROOM_LOG, RoomDraft, RoomEntry
from shared.values.position import NOWHERE, Position
from tests.simulation.broker import TracedStream
from tests.simulation.connection import FaultyConnection
from tests.simulation.feed import Feed

Result = TypeVar("Result")


class FaultyLog(MemoryLog[RoomDraft, RoomEntry]):
    """See Log. What it does not do, MemoryLog does."""

    def __init__(self, connection: FaultyConnection) -> None:
        super().__init__(connection, ROOM_LOG)
        self._faulty = connection
        self._sky = connection.sky

    @property
    def _traced(self) -> TracedStream[RoomDraft, RoomEntry]:
        assert isinstance(self._stream, TracedStream)
        return self._stream

    async def append(self, subject: str, draft: RoomDraft, *, after: Position) -> Position:
        """See Log."""
        return await self._faulty.ask("append", partial(super().append, subject, draft, after=after))

    async def follow(self, subject: str, receive: Callable[[RoomEntry], None], on_gap: Callable[[], None]) -> Following:
        """See Log."""
        faulty = self._faulty
        feed = Feed(faulty.network, faulty.process, receive, on_gap)
        faulty.feeds = {known: None for known in faulty.feeds if not known.stopped}
        faulty.feeds[feed] = None
        try:
            feed.following = await faulty.ask("follow", partial(super().follow, subject, feed.committed, on_gap))
        except BaseException:
            feed.stopped = True
            raise
        return feed

    def _look(self, look: Callable[[], Result]) -> Callable[[], Awaitable[Result]]:
        async def arrived() -> Result:
            self._faulty.reach()
            return look()

        return arrived

    async def read(self, subject: str, *, after: Position = NOWHERE, limit: int) -> list[RoomEntry]:
        """See Log."""
        lag = self._sky.lag()

        def look() -> list[RoomEntry]:
            return list(self._traced.read(subject, after, self._traced.shown(lag)))[:limit]

        return await self._faulty.ask("read", self._look(look))

    async def last(self, subjects: Sequence[str]) -> list[RoomEntry]:
        """See Log."""
        lag = self._sky.lag()

        def look() -> list[RoomEntry]:
            shown = self._traced.shown(lag)
            return [entry for entry in self._traced.newest(subjects) if entry.position <= shown]

        return await self._faulty.ask("last", self._look(look))

    async def position(self, subject: str) -> Position:
        """See Log."""
        newest = await self._faulty.ask("position", self._look(partial(self._traced.newest, [subject])))
        return max((entry.position for entry in newest), default=NOWHERE)

    async def newest_of_each(self, subject: str) -> list[RoomEntry]:
        """See Log."""
        return await self._faulty.ask("newest", self._look(partial(self._traced.newest, [subject])))

    async def trim(self, subject: str, *, before: Position | None = None) -> None:
        """See Log. The checks read what the stream remembers."""
        await self._faulty.ask("trim", partial(super().trim, subject, before=before))

    async def taken(self, consumer: str) -> Position | None:
        """See Log."""
        return await self._faulty.ask("taken", partial(super().taken, consumer))
