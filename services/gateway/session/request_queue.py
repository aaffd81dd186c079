"""A client's messages in the order they came, handled one at a time; bounded by not reading more."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from services.gateway.transport.connection import Connection
from shared.wire import protocol

WAITING_MESSAGES = 64  # of one client; then its socket is not read

Request = (
    protocol.Authenticate
    | protocol.JoinRoom
    | protocol.GetRoom
    | protocol.LeaveRoom
    | protocol.UpdateSelf
    | protocol.Description
    | protocol.Candidate
)


class RequestQueue:
    """Hands each message, with its text, to `handle`, which must not raise."""

    def __init__(self, connection: Connection, handle: Callable[[Request, str], Awaitable[None]]) -> None:
        self._connection = connection
        self._handle = handle
        self._waiting: deque[tuple[Request, str]] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._held_back = False

    @property
    def busy(self) -> bool:
        """Whether a message is being handled."""
        return self._worker is not None

    @property
    def waiting(self) -> list[Request]:
        """What is not being handled yet."""
        return [message for message, _ in self._waiting]

    def put(self, message: Request, text: str) -> None:
        """Behind those before it."""
        self._waiting.append((message, text))
        if len(self._waiting) >= WAITING_MESSAGES and not self._held_back:
            self._held_back = True
            self._connection.stop_reading()
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name="session")

    async def _work(self) -> None:
        """Ends when nothing waits, so that an idle client costs no task."""
        while self._waiting:
            message, text = self._waiting.popleft()
            if self._held_back and len(self._waiting) < WAITING_MESSAGES // 2:
                self._held_back = False
                self._connection.go_on_reading()
            await self._handle(message, text)
        self._worker = None

    def break_off(self) -> None:
        """Nothing more is handled, nor what is being handled finished."""
        self._waiting.clear()
        if self._worker is not None:
            self._worker.cancel()

    async def broken_off(self) -> None:
        """As `break_off`; returns when it has happened."""
        worker = self._worker
        self.break_off()
        if worker is not None:
            await asyncio.wait({worker})
