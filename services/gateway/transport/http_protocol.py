"""The HTTP side of the port: uvicorn's protocol, which is fed one request at a time, and closed in bounded time.

uvicorn parses whatever has arrived, makes a task of each request and reads bodies for ever. Here what has arrived waits
as bytes, its head whole, until the request before it is answered and its address has its turn (gate.py).
"""

import asyncio
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from services.gateway import metrics
from services.gateway.transport.answering import Answering, answered
from services.gateway.transport.arrivals import Arrival
from services.gateway.transport.closing import Closing
from services.gateway.transport.guard import Guard
from services.gateway.transport.head import HEAD_LINES, check_host

HEAD_SECONDS = 10.0  # for the request line and headers to arrive, and to have their turn
HEAD_BYTES = 65536
FREE_BYTES = 4096  # of what waits in one connection; beyond that, all share a bound
SLICE = 4096  # of a body that is parsed at a time
WRITE_HIGH_WATER = 16384

_END = re.compile(rb"\n\r?\n")  # of every head; so there is at most one in what is parsed at a time


class HttpPort(HttpToolsProtocol):
    """One HTTP connection."""

    def __init__(self, guard: Guard, arrival: Arrival, websocket: Callable[[Arrival], Any], **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self.ws_protocol_class = lambda **_uvicorn: websocket(arrival)  # type: ignore[assignment]  # called once, see uvicorn
        self._guard = guard
        self.arrival = arrival
        self._enter = guard.turn_of(arrival)
        self._held = bytearray()  # read and not parsed
        self._charged = 0  # of it, what is counted in the bound of all
        self._searched = 0
        self._in_head = True
        self._queued = False  # whether it waits at the gate
        self._body_waits = False  # whether the application does not take the body as fast as it comes
        self._deadline: asyncio.TimerHandle | None = None  # of a head

    # -- asyncio.Protocol ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        self.flow = FlowControl(_Reading(self))  # type: ignore[arg-type]  # it only pauses and resumes reading
        self._closing = Closing(transport)
        self.arrival.connected = True
        self.arrival.cut = self._closing.abort
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._let_go()
        super().connection_lost(exc)
        self._guard.arrivals.gone(self.arrival)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._unset_keepalive_if_required()
        if self._closing.lingers:
            self._closing.throw_away(len(data))
            self._later(self._read_again)
        elif not self.transport.is_closing():
            self._held += data
            self._charge()
            self.go_on()

    def eof_received(self) -> None:
        """See asyncio.Protocol. The loop closes the transport now."""

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        super().pause_writing()
        self._closing.watch()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        super().resume_writing()
        self.go_on()

    # -- parsing, a piece at a time ------------------------------------------------------------------------------------

    def go_on(self) -> None:
        """Parse the next piece when it is this connection's turn."""
        if self._held and not self._queued:
            self._later(self._turn)
        self._balance()

    def _later(self, work: Callable[[], None]) -> None:
        if not self._queued:
            self._queued = True
            self._enter(work)
            self._balance()

    def _read_again(self) -> None:
        self._queued = False
        if self.parser is not None:
            self._balance()

    def _turn(self) -> None:
        self._queued = False
        if self.parser is None or self.transport.is_closing():
            return
        piece = b"" if self._closing.lingers else self._next_piece()
        if piece:
            self._parse(piece)
            if self.transport.get_protocol() is not self:
                return  # a WebSocket's from here on
        self._charge()
        if piece and not self._closing.lingers:
            self.go_on()
        else:
            self._balance()

    def _next_piece(self) -> bytes:
        """The next head, or some of a body; empty when there is none yet, or it must wait."""
        held = self._held
        if not self._in_head:
            if self._body_waits:
                return b""
            end = _END.search(held, 0, SLICE)
            return self._cut_off(end.end() if end else SLICE)
        if self._busy or self.flow.write_paused:
            return b""
        if held[:1] in b"\r\n":
            del held[: len(held) - len(held.lstrip(b"\r\n"))]  # RFC 9112, section 2.2
        if held and not held[:1].isalpha():
            return self._cut_off(len(held))  # no request: the parser says so
        end = _END.search(held, max(0, self._searched - 3))
        self._searched = len(held)
        size = end.end() if end else len(held)
        if size > HEAD_BYTES:
            self._closing.abort()
            return b""
        if held.count(b"\n", 0, size) > HEAD_LINES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "fields")
            return b""
        if not end:
            self._expect_head()
            return b""
        return self._cut_off(size)

    def _cut_off(self, size: int) -> bytes:
        piece = bytes(self._held[:size])
        del self._held[:size]
        self._searched = 0
        return piece

    def _parse(self, piece: bytes) -> None:
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserError:
            self._refuse(HTTPStatus.BAD_REQUEST, "malformed")
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self._hand_over(piece[upgrade.args[0] :])

    def _hand_over(self, rest: bytes) -> None:
        """Pass the request on to a WebSocket, and what came with it."""
        self._let_go()
        rest += self._held
        self._held.clear()
        self.handle_websocket_upgrade()
        if not self.transport.is_reading() and not self.transport.is_closing():
            self.transport.resume_reading()
        if rest:
            self.transport.get_protocol().data_received(rest)  # type: ignore[attr-defined]  # the WebSocket's

    @property
    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _balance(self) -> None:
        """Read the socket only when there is something to do with what comes."""
        transport = self.transport
        if transport.is_closing():
            return
        read = not self._queued and (self._closing.lingers or not self._held or (self._in_head and not self._busy))
        if read and not transport.is_reading():
            transport.resume_reading()
        elif not read and transport.is_reading():
            transport.pause_reading()

    def _charge(self) -> None:
        """Count what waits here in the bound of all connections together."""
        size = max(0, len(self._held) - FREE_BYTES)
        more, self._charged = size - self._charged, size
        if not self._guard.hold(more):
            metrics.HTTP_REFUSED.labels("memory").inc()
            self._closing.abort()

    # -- what uvicorn's parser calls -----------------------------------------------------------------------------------

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._in_head = False
        self._cancel_deadline()
        check_host(self.parser.get_http_version(), self.headers)  # what is raised here is the parser's error
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._in_head = True
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._guard.arrivals.heard(self.arrival)
        cycle.transport = Answering(self.transport, self.finish)  # type: ignore[assignment]  # as much of it as a cycle uses
        super()._start_asgi_task(cycle, answered(self._guard, self.arrival, cycle, app))

    def on_response_complete(self) -> None:
        """The answer was written."""
        if self._closing.lingers:
            return
        super().on_response_complete()
        self._guard.arrivals.silent(self.arrival, self.loop.time())
        self.go_on()

    def take_body(self, wanted: bool) -> None:
        """Whether the application takes more of the body (uvicorn's flow control)."""
        self._body_waits = not wanted
        if wanted:
            self.go_on()

    # -- ending --------------------------------------------------------------------------------------------------------

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        """Answer what no application is asked about."""
        metrics.HTTP_REFUSED.labels(reason).inc()
        head = f"HTTP/1.1 {int(status)} {status.phrase}\r\ncontent-type: text/plain\r\ncontent-length: {len(status.phrase)}"
        self.transport.write(f"{head}\r\nconnection: close\r\n\r\n{status.phrase}".encode())
        self.finish(sending=True)

    def finish(self, *, sending: bool = False) -> None:
        """Close after the answer. Closing while the client still sends would reset the connection, and lose the answer."""
        sending = sending or bool(self._held) or (self.cycle is not None and self.cycle.more_body)
        self._let_go()
        if self.transport.is_closing():
            return
        if sending:
            self._held.clear()
            self._closing.linger()
            self._balance()
        else:
            self._closing.close()

    def shutdown(self) -> None:
        """The server stops."""
        if self._busy:
            self.cycle.keep_alive = False
        else:
            self._closing.close()

    def timeout_keep_alive_handler(self) -> None:
        """It has been idle for too long."""
        if not self._busy and not self.transport.is_closing():
            self._closing.close()

    def _expect_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._closing.abort)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _let_go(self) -> None:
        """Forget what waits, and all timers."""
        self._unset_keepalive_if_required()
        self._cancel_deadline()
        self._closing.cancel()
        self._guard.hold(-self._charged)
        self._charged = 0


class _Reading:
    """What uvicorn's flow control pauses and resumes instead of the socket."""

    def __init__(self, port: HttpPort) -> None:
        self._port = port

    def pause_reading(self) -> None:
        """The application has enough of the body."""
        self._port.take_body(False)

    def resume_reading(self) -> None:
        """The application wants more of it."""
        self._port.take_body(True)
