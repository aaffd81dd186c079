"""`websockets`' Sans-I/O engine of one connection, made to speak in our own words, and to read little from strangers."""

import logging
from http import HTTPStatus

from websockets.frames import CloseCode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from shared.version import PROTOCOL

# A malformed frame is counted, and never logged.
_silent = logging.Logger("websockets", logging.CRITICAL + 1)

# The reasons of the engine's own closes; its sentences would be those of whatever version is installed.
_REASONS = {
    CloseCode.PROTOCOL_ERROR: "a frame breaks the WebSocket protocol",
    CloseCode.INVALID_DATA: "a message is UTF-8",
    CloseCode.MESSAGE_TOO_BIG: "a message is too large",
}
_REFUSALS = {
    HTTPStatus.METHOD_NOT_ALLOWED: "a WebSocket is opened by GET",
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: "a WebSocket is opened by HTTP/1.1",
    HTTPStatus.UPGRADE_REQUIRED: "only a WebSocket can be opened at this path",
}


class WebSocket(ServerProtocol):
    """One connection's frames. `read_messages_of` says how large a message may be from then on."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(
            subprotocols=[Subprotocol(PROTOCOL)],
            # The subprotocol is optional, and others that a client offers are ignored.
            select_subprotocol=lambda _, offered: Subprotocol(PROTOCOL) if PROTOCOL in offered else None,
            max_size=max_bytes,
            logger=_silent,
        )

    def read_messages_of(self, max_bytes: int) -> None:
        """Read messages up to this size, beginning with the next one."""
        self.max_message_size = max_bytes

    def accept(self, request: Request) -> Response:
        """The answer to a handshake: 101, or a refusal that says why."""
        response = super().accept(request)
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            return response
        status = HTTPStatus(response.status_code)
        refusal = self.reject(status, _REFUSALS.get(status, "the WebSocket handshake is malformed") + "\n")
        for name in ("Allow", "Upgrade"):
            if name in response.headers:
                refusal.headers[name] = response.headers[name]
        return refusal

    def fail(self, code: CloseCode | int, reason: str = "") -> None:
        """Close because of what arrived. The engine calls this too, with sentences of its own."""
        super().fail(code, _REASONS.get(CloseCode(code), "") if code in CloseCode._value2member_map_ else reason)
