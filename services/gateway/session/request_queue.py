"""A client's requests, handled one at a time in the order they came. When it is full, the socket is not read.

It is full by number or by length.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from services.gateway.session.feature import Request
from services.gateway.transport.connection import Connection
from shared.wire.protocol import ClientMessage

WAITING_REQUESTS = 64  # of one client; beyond that its socket is not read
WAITING_CHARACTERS = 1 << 20  # the same, by the length of their texts


class RequestQueue:
    """Hands each request to `handle`, which must not raise."""

    def __init__(self, connection: Connection, handle: Callable[[Request[Any]], Awaitable[None]]) -> None:
        self._connection = connection
        self._handle = handle
        self._waiting: deque[Request[Any]] = deque()
        self._length = 0
        self._worker: asyncio.Task[None] | None = None
        self._held_back = False

    @property
    def busy(self) -> bool:
        """Whether a request is being handled."""
        return self._worker is not None

    @property
    def waiting(self) -> list[ClientMessage]:
        """The messages whose handling has not begun, oldest first."""
        return [request.message for request in self._waiting]

    def put(self, request: Request[Any]) -> None:
        """Append a request. Stops reading the socket when the queue is full."""
        self._waiting.append(request)
        self._length += len(request.text)
        if self._filled(1) and not self._held_back:
            self._held_back = True
            self._connection.stop_reading()
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name="session")

    async def _work(self) -> None:
        """Handle what waits, then end, so that an idle client costs no task."""
        while self._waiting:
            await self._handle(self._pop())
        self._worker = None

    def _pop(self) -> Request[Any]:
        request = self._waiting.popleft()
        self._length -= len(request.text)
        if self._held_back and not self._filled(0.5):
            self._held_back = False
            self._connection.go_on_reading()
        return request

    def _filled(self, share: float) -> bool:
        return len(self._waiting) >= WAITING_REQUESTS * share or self._length >= WAITING_CHARACTERS * share

    def take_next(self, fits: Callable[[Request[Any]], bool]) -> Request[Any] | None:
        """Take the request that waits next, if it fits, to handle it together with the one that is being handled."""
        return self._pop() if self._waiting and fits(self._waiting[0]) else None

    def break_off(self, then: Callable[[], None]) -> None:
        """Drop what waits, and cancel the request that is being handled. Call `then` when that has ended.

        The request may go on for a while, or to its end: in Python 3.11 `asyncio.wait_for`, with which NATS is asked,
        loses a cancellation that comes together with the answer.
        """
        self._waiting.clear()
        self._length = 0
        if self._worker is None:
            then()
            return
        self._worker.add_done_callback(lambda _worker: then())
        self._worker.cancel()

    async def broken_off(self) -> None:
        """As `break_off`; returns when the cancelled request has ended."""
        ended = asyncio.Event()
        self.break_off(ended.set)
        await ended.wait()
