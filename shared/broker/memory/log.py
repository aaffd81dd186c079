"""A log in memory, as one process's connection has it."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Generic

from shared.broker.following import Following
from shared.broker.log import Conflict, Draft, Item, LogFormat
from shared.broker.memory.connection import MemoryConnection
from shared.broker.memory.stream import MemoryFollower, matches
from shared.values.errors import unavailable
from shared.values.position import NOWHERE, Position


class MemoryLog(Generic[Draft, Item]):
    """See Log."""

    def __init__(self, connection: MemoryConnection, log_format: LogFormat[Draft, Item]) -> None:
        self._connection = connection
        self._stream = connection.broker.stream(log_format)
        self._format = log_format

    @property
    def incarnation(self) -> str:
        """See Log."""
        return self._stream.incarnation

    @property
    def generation(self) -> int:
        """See Log."""
        return self._stream.generation

    async def append(self, subject: str, draft: Draft, *, after: Position) -> Position:
        """See Log."""
        await asyncio.sleep(0)
        self._connection.reach()
        if self._stream.last_of(subject) != after:
            raise Conflict
        headers, body = self._format.encode(draft)
        if not self._connection.broker.takes(body):
            raise unavailable("the log")
        position = self._stream.store(subject, headers, body)
        await asyncio.sleep(0)
        return position

    async def follow(self, subject: str, receive: Callable[[Item], None], on_gap: Callable[[], None]) -> Following:
        """See Log."""
        self._connection.reach()
        follower = MemoryFollower(subject, receive, on_gap, self._stream)
        self._stream.followers.append(follower)
        await asyncio.sleep(0)
        return follower

    async def read(self, subject: str, *, after: Position = NOWHERE, limit: int) -> list[Item]:
        """See Log."""
        await asyncio.sleep(0)
        self._connection.reach()
        return list(itertools.islice(self._stream.read(subject, after, self._stream.position), limit))

    async def last(self, subjects: Sequence[str]) -> list[Item]:
        """See Log."""
        await asyncio.sleep(0)
        self._connection.reach()
        return self._stream.newest(subjects)

    async def position(self, subject: str) -> Position:
        """See Log."""
        await asyncio.sleep(0)
        self._connection.reach()
        found = (one.entry.position for one in self._stream.messages if matches(subject, one.subject))
        return max(found, default=NOWHERE)

    async def newest_of_each(self, subject: str) -> list[Item]:
        """See Log."""
        return await self.last([subject])

    async def trim(self, subject: str, *, before: Position | None = None) -> None:
        """See Log."""
        await asyncio.sleep(0)
        self._connection.reach()
        self._stream.trim(subject, before)

    async def taken(self, consumer: str) -> Position | None:
        """See Log."""
        await asyncio.sleep(0)
        self._connection.reach()
        return self._stream.consumers.get(consumer)
