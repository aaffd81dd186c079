"""How an HTTP connection ends: so that the client gets its answer, and in bounded time whether it reads it or not."""

import asyncio

from services.gateway import metrics
from services.gateway.transport import socket_options

STALL_SECONDS = 8.0  # in which a client must take some of its answer
STALL_BYTES = 8192
LINGER_SECONDS = 2.0  # for a client to read the answer while it still sends
LINGER_BYTES = 1 << 20  # of what it sends meanwhile


class Closing:
    """The end of one connection."""

    __slots__ = ("_left", "_linger", "_loop", "_stall", "_transport", "_unsent")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._left: int | None = None  # bytes that are still thrown away, once it lingers
        self._linger: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None  # looks whether the client takes what is sent
        self._unsent = 0

    @property
    def lingers(self) -> bool:
        """Whether it only waits for the client to have read its answer."""
        return self._left is not None

    def close(self) -> None:
        """Close once everything is sent."""
        self._transport.close()
        self.watch()

    def linger(self) -> None:
        """Close after a client that still sends. A plain close would reset the connection, and lose the answer."""
        self._left = LINGER_BYTES
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._linger = self._loop.call_later(LINGER_SECONDS, self.close)

    def throw_away(self, count: int) -> None:
        """The client sent so many bytes more."""
        if self._left is not None:
            self._left -= count
            if self._left <= 0:
                self.abort()

    def watch(self) -> None:
        """Abort unless the client takes what is sent."""
        if self._stall is None:
            self._unsent = self._transport.get_write_buffer_size()
            self._stall = self._loop.call_later(STALL_SECONDS, self._look)

    def _look(self) -> None:
        self._stall = None
        left = self._transport.get_write_buffer_size()
        if left == 0 and not self._transport.is_closing():
            return
        if left > self._unsent - STALL_BYTES:
            metrics.HTTP_REFUSED.labels("stalled").inc()
            self.abort()
        else:
            self.watch()

    def abort(self) -> None:
        """Close at once."""
        socket_options.discard(self._transport)
        self._transport.abort()

    def cancel(self) -> None:
        """The connection is gone, or somebody else's."""
        for timer in (self._linger, self._stall):
            if timer is not None:
                timer.cancel()
        self._linger = self._stall = None
