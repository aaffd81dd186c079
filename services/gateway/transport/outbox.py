"""The frames that wait for one client, in order and bounded. Only the outbox writes to the client's socket."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from websockets.frames import Frame, Opcode

CROWDED = 8  # the part of its limit that an outbox has while too much waits in all of them


class Sink(Protocol):
    """The part of an asyncio transport an outbox needs."""

    def write(self, data: bytes) -> None:
        """Write, or buffer."""


def text_frame(payload: bytes) -> bytes:
    """A text message as a WebSocket frame from server to client (RFC 6455): unmasked, so the same for all receivers."""
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


class OutboxTotal:
    """The bytes that wait in all outboxes of a gateway together. Above `max_bytes` each outbox has a smaller limit."""

    __slots__ = ("_max_bytes", "waiting")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.waiting = 0

    def limit(self, max_bytes: int) -> int:
        """How many bytes may wait in one outbox now, that otherwise takes `max_bytes`."""
        return max_bytes if self.waiting <= self._max_bytes else max_bytes // CROWDED


class OpenSink:
    """A transport that is written to while it is open. uvloop raises afterwards, until the connection is said to be lost."""

    __slots__ = ("_transport",)

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def write(self, data: bytes) -> None:
        """See Sink."""
        if not self._transport.is_closing():
            self._transport.write(data)


class Outbox:
    """Frames go straight to the socket while it takes them, and wait here while it does not.

    When more than `max_messages` or `max_bytes` wait, `overflow` is called once, to cut the client off. Snapshots are not
    counted, since a snapshot of 250 participants may alone be larger than the limit.
    """

    __slots__ = (
        "_bytes",
        "_counted",
        "_max_messages",
        "_overflow",
        "_overflowed",
        "_paused",
        "_pausing",
        "_sink",
        "_total",
        "_waiting",
        "max_bytes",
        "stuck_since",
    )

    def __init__(
        self, sink: Sink, max_messages: int, max_bytes: int, overflow: Callable[[], None], total: OutboxTotal
    ) -> None:
        self._sink = sink
        self._total = total
        self._max_messages = max_messages
        self.max_bytes = max_bytes
        self._overflow = overflow
        self._waiting: deque[tuple[bytes, bool]] | None = None  # most clients never need one
        self._counted = 0
        self._bytes = 0
        self._paused = False
        self._pausing: asyncio.Future[None] | None = None
        self._overflowed = False
        self.stuck_since: float | None = None

    async def flowing(self) -> None:
        """Wait until the socket takes more. Messages that are not counted are paced by this."""
        while self._paused:
            if self._pausing is None:
                self._pausing = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._pausing)

    def push(self, frame: bytes, *, counted: bool = True) -> None:
        """Send a frame after those before it."""
        if not self._paused:
            self._sink.write(frame)
            return
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append((frame, counted))
        if counted:
            self._counted += 1
            self._bytes += len(frame)
            self._total.waiting += len(frame)
            if not self._overflowed and self._is_too_full():
                self._overflowed = True
                self._overflow()

    def _is_too_full(self) -> bool:
        return self._counted > self._max_messages or self._bytes > self._total.limit(self.max_bytes)

    def pause(self) -> None:
        """The socket takes no more (asyncio's `pause_writing`)."""
        self._paused = True
        self.stuck_since = asyncio.get_running_loop().time()

    def resume(self) -> None:
        """The socket takes more again (asyncio's `resume_writing`)."""
        self._paused = False
        self.stuck_since = None
        while self._waiting and not self._paused:
            frame, counted = self._waiting.popleft()
            if counted:
                self._counted -= 1
                self._bytes -= len(frame)
                self._total.waiting -= len(frame)
            self._sink.write(frame)
        self._go_on()

    def clear(self) -> None:
        """Drop what waits: the connection is gone."""
        self._waiting = None
        self._total.waiting -= self._bytes
        self._counted = self._bytes = 0
        self._paused = False
        self.stuck_since = None
        self._go_on()

    def _go_on(self) -> None:
        if not self._paused and self._pausing is not None:
            pausing, self._pausing = self._pausing, None
            if not pausing.done():
                pausing.set_result(None)
