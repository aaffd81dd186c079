"""The HTTP side of the port: uvicorn's protocol, with limits on a request's head that uvicorn does not have."""

import asyncio
import sys
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10.0  # for the request line and headers to arrive
HEAD_BYTES = 65536


class HttpPort(HttpToolsProtocol):
    """Bounds the head of a request in time and size. Passes bytes that came with an upgrade request to the WebSocket."""

    _deadline: asyncio.TimerHandle | None = None  # while a head is expected
    _head_bytes = 0
    _segment = b""

    def connection_made(self, transport: Any) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._head_is_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._segment = data
        super().data_received(data)
        self._segment = b""
        if self._deadline is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.transport.abort()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        if self._deadline is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._head_is_here()
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        """Called by uvicorn while it handles httptools' HttpParserUpgrade, which says where the request ended."""
        super().handle_websocket_upgrade()
        upgrade = sys.exc_info()[1]
        if isinstance(upgrade, httptools.HttpParserUpgrade) and (rest := self._segment[upgrade.args[0] :]):
            self.transport.get_protocol().data_received(rest)  # type: ignore[attr-defined]  # the WebSocket's

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._deadline = asyncio.get_running_loop().call_later(HEAD_SECONDS, self.transport.abort)

    def _head_is_here(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
