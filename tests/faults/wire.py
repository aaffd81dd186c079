"""One WebSocket, thin enough for thousands in one process: text frames out, messages in, and the code it closed with.

Everything happens at the moment the bytes arrive, so that what stands behind an answer in the same packet is seen after it.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

from pydantic_core import from_json, to_json
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from tests.support.client import Message

OPEN_SECONDS = 5.0
ABNORMAL = 1006


class Wire(asyncio.Protocol):
    """A connection to one gateway. `receive` gets every message, `lost` the close code, once."""

    def __init__(self, url: str, receive: Callable[["Wire", Message], None], lost: Callable[["Wire"], None]) -> None:
        self.url = url
        self.code = ABNORMAL
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.heard_at = 0.0
        self._receive = receive
        self._lost = lost
        self._websocket = ClientProtocol(parse_uri(url.replace("http", "ws", 1) + "/ws"), max_size=None)
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(
        cls,
        url: str,
        receive: Callable[["Wire", Message], None],
        lost: Callable[["Wire"], None],
        *,
        buffer: int | None = None,
    ) -> "Wire":
        """Connect. `buffer` makes the kernel's receive buffer small. Raises OSError, TimeoutError."""
        host, _, port = url.partition("//")[2].rpartition(":")
        wire = cls(url, receive, lost)
        family = socket.AF_INET
        with_socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        with_socket.setblocking(False)
        if buffer is not None:
            with_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await loop.sock_connect(with_socket, (host, int(port)))
                await loop.create_connection(lambda: wire, sock=with_socket)
                await wire.opened
        except BaseException:
            wire.abort()
            with_socket.close()
            raise
        return wire

    # -- asyncio.Protocol ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP stands: ask for the upgrade."""
        self._transport = cast("asyncio.Transport", transport)
        self._websocket.send_request(self._websocket.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Bytes of the gateway."""
        self.heard_at = asyncio.get_running_loop().time()
        self._websocket.receive_data(data)
        self._take()

    def eof_received(self) -> bool:
        """The gateway sends no more."""
        self._websocket.receive_eof()
        self._take()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        if self._websocket.state is not State.CONNECTING and self._websocket.close_rcvd is not None:
            self.code = self._websocket.close_rcvd.code
        if not self.opened.done():
            self.opened.set_exception(ConnectionRefusedError("no upgrade"))
            self.opened.exception()  # whoever waits hears it; if nobody does any more, it is no news
            return
        self._lost(self)

    # -- what it carries -----------------------------------------------------------------------------------------------

    def _take(self) -> None:
        for event in self._websocket.events_received():
            if isinstance(event, Frame):
                if event.opcode is Opcode.TEXT:
                    assert event.fin, "the gateway fragments nothing"
                    self._receive(self, from_json(bytes(event.data)))
            elif not self.opened.done() and self._websocket.handshake_exc is None:
                self.opened.set_result(None)
        if not self.opened.done() and self._websocket.handshake_exc is not None:
            self.opened.set_exception(ConnectionRefusedError(str(self._websocket.handshake_exc)))
        self._flush()

    def _flush(self) -> None:
        transport = self._transport
        for data in self._websocket.data_to_send():
            if transport is None or transport.is_closing():
                return
            if data:
                transport.write(data)
            else:
                transport.close()

    def send(self, message: Message) -> None:
        """A message, if the connection stands."""
        if self._websocket.state is State.OPEN:
            self._websocket.send_text(to_json(cast("Any", message)))
            self._flush()

    def stop_reading(self) -> None:
        """Leave everything in the kernel from now on."""
        if self._transport is not None:
            self._transport.pause_reading()

    def go_on_reading(self) -> None:
        """Read again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Close in order."""
        if self._websocket.state is State.OPEN:
            self._websocket.send_close(1000)
            self._flush()

    def abort(self) -> None:
        """Be gone at once."""
        if self._transport is not None:
            self._transport.abort()
