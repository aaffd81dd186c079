"""The watch over the streams in memory: what it would find at a look is known at once."""

from collections.abc import Callable

from shared.broker.memory.broker import MemoryBroker
from shared.broker.room_log import ROOM_LOG
from shared.broker.subjects import LOG_STREAM, TIMER_STREAM
from shared.broker.watch import Change, StreamState
from shared.values.position import NOWHERE, Position


class MemoryWatch:
    """See Watch. It has the log of rooms and the timers."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def state(self, stream: str) -> StreamState | None:
        """See Watch. Nothing has a size in memory."""
        if stream == LOG_STREAM:
            log = self._broker.stream(ROOM_LOG)
            first = log.messages[0].entry.position if log.messages else NOWHERE
            return self._state(stream, log.incarnation, first, log.position, len(log.messages))
        if stream == TIMER_STREAM:
            timers = self._broker.timers
            return self._state(stream, timers.incarnation, NOWHERE, timers.newest, len(timers.all_waiting()))
        return None

    def _state(self, stream: str, incarnation: str, first: Position, last: Position, messages: int) -> StreamState:
        return StreamState(stream, incarnation, incarnation, first, last, messages, bytes=0, max_bytes=0)

    def generation(self, stream: str) -> int:
        """See Watch."""
        if stream == LOG_STREAM:
            return self._broker.rooms.generation
        return self._broker.timers.generation if stream == TIMER_STREAM else 0

    async def went_back(self, stream: str) -> None:
        """See Watch."""
        if stream == LOG_STREAM:
            self._broker.lose_log(self._broker.rooms.position)

    def tell(self, heard: Callable[[str, Change], None]) -> None:
        """See Watch."""
        self._broker.watching.append(heard)
