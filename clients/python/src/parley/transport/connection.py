"""One WebSocket to a gateway: texts in order, a heartbeat, and how it ended."""

import asyncio
import contextlib
import json
import logging
import ssl as ssl_module
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from parley.errors import UNAVAILABLE, ParleyError

Message = dict[str, Any]

MAX_BYTES = 16 * 1024 * 1024  # of one message: a room of 250 with full metadata is far below
CLOSING = 2.0  # seconds that a gateway has to answer a close
HEARTBEAT = 10.0  # until the gateway says otherwise
STATUS_CODES = {400: "bad_message", 403: "forbidden", 429: "rate_limited"}

# websockets logs frames, which hold tokens, when its logger is at DEBUG; this one never is unless somebody insists.
quiet = logging.getLogger("parley.websocket")
quiet.setLevel(logging.INFO)


class ConnectionEnded(Exception):  # noqa: N818 - it says what happened; whether that is an error depends on the code
    """The connection is gone, with this close code (1006 when nothing was said)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code
        self.reason = reason


class Unreachable(ParleyError):  # noqa: N818 - it says where the trouble is
    """There is no conversation with this URL, now."""


@dataclass(frozen=True, slots=True)
class ConnectOptions:
    """How to connect: `ssl` for wss (None: the system's trust), and seconds for TCP, TLS and the handshake together."""

    ssl: ssl_module.SSLContext | None = None
    open_timeout: float = 10.0


class Connection:
    """A connection. What is sent leaves in order; `receive` gives what comes, and sees when the other end is dead."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._outgoing: deque[str] = deque()
        self._something = asyncio.Event()
        self._pinged = False
        self.heartbeat = HEARTBEAT
        self._gone = asyncio.Event()
        self._writer = asyncio.create_task(self._write(), name="parley-writer")

    @classmethod
    async def open(cls, url: str, options: ConnectOptions) -> Self:
        """Connect. Raises Unreachable."""
        try:
            socket = await connect_socket(
                url,
                ssl=options.ssl if url.startswith("wss:") else None,
                compression=None,
                max_size=MAX_BYTES,
                open_timeout=options.open_timeout,
                ping_interval=None,  # the protocol's own ping does that, and sees a gateway whose loop is stuck
                close_timeout=CLOSING,
                logger=quiet,
            )
        except InvalidStatus as refused:
            status = refused.response.status_code
            code = STATUS_CODES.get(status, UNAVAILABLE)
            retryable = status in (429, 500, 502, 503, 504)
            message = f"{url} answers the WebSocket handshake with HTTP {status}"
            raise Unreachable(code, message, retryable=retryable, details={"status": status, "url": url}) from None
        except (OSError, TimeoutError, InvalidHandshake, EOFError) as error:
            reason = str(error) or type(error).__name__
            raise Unreachable(UNAVAILABLE, f"no connection to {url}: {reason}", details={"url": url}) from error
        return cls(socket)

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self._gone.is_set()

    async def authenticate(self, message: Mapping[str, Any]) -> Message:
        """Say who we are; the `auth_ok`. Raises the ParleyError that came instead, or ConnectionEnded."""
        self.say(message)
        while True:
            reply = await self.receive()
            match reply.get("type"):
                case "auth_ok":
                    self.heartbeat = reply["heartbeatMs"] / 1000
                    return reply
                case "auth_error" | "error":
                    raise ParleyError.of(reply)

    def say(self, message: Mapping[str, Any]) -> None:
        """Put a message into the line."""
        self.send(json.dumps(message, separators=(",", ":")))

    def send(self, text: str) -> None:
        """Put a text into the line. If the connection is gone, it is gone with it."""
        self._outgoing.append(text)
        self._something.set()

    async def receive(self) -> Message:
        """The next message. Raises ConnectionEnded."""
        while True:
            try:
                async with asyncio.timeout(self.heartbeat):
                    text = await self._socket.recv()
            except TimeoutError:
                if self._pinged:
                    self._socket.transport.abort()
                    raise self._over(1006, "no pong") from None
                self._pinged = True
                self.send('{"type":"ping"}')
                continue
            except ConnectionClosed as closed:
                close = closed.rcvd
                raise self._over(close.code if close else 1006, close.reason if close else "") from None
            self._pinged = False
            message = json.loads(text)
            if isinstance(message, dict):
                return message

    def _over(self, code: int, reason: str) -> ConnectionEnded:
        self._gone.set()
        self._writer.cancel()
        return ConnectionEnded(code, reason)

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                while self._outgoing:
                    await self._socket.send(self._outgoing.popleft())
                self._something.clear()
                await self._something.wait()

    async def close(self) -> None:
        """Close it; what is in the line goes out before. When this is cancelled, drop it."""
        self._gone.set()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSING):
                    while self._outgoing and not self._writer.done():
                        await asyncio.sleep(0)
            self._writer.cancel()
            await self._socket.close()
        except asyncio.CancelledError:
            self.abort()
            raise

    def abort(self) -> None:
        """Drop it at once."""
        self._gone.set()
        self._writer.cancel()
        self._socket.transport.abort()
