"""One WebSocket: an asyncio protocol around `websockets`' Sans-I/O `ServerProtocol`; passes text messages to a Listener.

uvicorn makes one for each upgrade request (its `ws` setting), and feeds it the request.
"""

import asyncio
from collections import deque
from http import HTTPStatus
from typing import cast

import structlog
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State

from services.gateway import metrics
from services.gateway.transport import handshake, socket_options
from services.gateway.transport.arrivals import Arrival
from services.gateway.transport.host import Host
from services.gateway.transport.idle_frames import IdleFrames
from services.gateway.transport.intake import Intake
from services.gateway.transport.listener import Listener
from services.gateway.transport.outbox import OpenSink, Outbox, text_frame
from services.gateway.transport.reassembly import Assembly, Unreadable
from services.gateway.transport.websocket import WebSocket
from shared.values.errors import CloseCode

WRITE_HIGH_WATER = 65536
CLOSE_SECONDS = 2.0  # for the client to answer a close
WAITING_FRAMES = 64  # messages read but not handed up; beyond that the socket is not read
WAITING_CHARACTERS = 1 << 20  # the same, by their length
STRANGERS = 8  # the part of an outbox's limit for who has not been let in yet

log = structlog.get_logger()


class Connection(asyncio.Protocol):
    """Reads with back-pressure, writes through a bounded outbox, and closes in bounded time."""

    __slots__ = (
        "_arrival",
        "_assembly",
        "_close_timer",
        "_frames",
        "_host",
        "_idle",
        "_intake",
        "_listener",
        "_protocol",
        "_stops",
        "_transport",
        "address",
        "next_ping",
        "opened_at",
        "outbox",
        "pinged_at",
    )

    def __init__(self, host: "Host[Connection]", arrival: Arrival) -> None:
        self._host = host
        self._arrival = arrival
        self._intake = Intake(self._parse, self._ready, host.guard.turn_of(arrival))
        self._protocol = WebSocket(min(host.settings.login_bytes, host.settings.frame_bytes))
        self._transport: asyncio.Transport | None = None
        self._listener: Listener | None = None
        self._frames: deque[str] = deque()
        self._assembly = Assembly()
        self._idle = IdleFrames(self._balance)
        self._stops = 0  # reasons not to hand messages up right now
        self._close_timer: asyncio.TimerHandle | None = None
        self.outbox: Outbox
        self.address = ""
        self.opened_at = self.next_ping = 0.0
        self.pinged_at: float | None = None  # when the unanswered ping was sent, loop's clock

    # -- asyncio.Protocol ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the socket."""
        self._transport = transport = cast("asyncio.Transport", transport)  # uvloop's is not of the class
        settings = self._host.settings
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        limits = settings.outbox_messages, settings.outbox_bytes // STRANGERS
        self.outbox = Outbox(OpenSink(transport), *limits, self._overflow, self._host.outboxes)
        self.opened_at = asyncio.get_running_loop().time()
        self._arrival.cut = self.abort

    def data_received(self, data: bytes) -> None:
        """Parse, and hand up what is complete; a stranger's bytes at its turn."""
        self._intake.take(data)
        self._balance()

    def _parse(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._shake_hands(event)
            elif isinstance(event, Frame):
                self._idle.take(event)
                self._take(event)
        self._idle.settle()
        if self._protocol.parser_exc is not None and self._listener is not None and self._close_timer is None:
            metrics.MALFORMED.labels(type(self._protocol.parser_exc).__name__).inc()
            self._listener.unreadable("a frame is too large or malformed")
        self._flush()
        self._hand_up()
        if self._protocol.close_expected() and self._close_timer is None:
            self._await_close()

    def eof_received(self) -> None:
        """The client sends no more."""
        self._intake.finish(self._idle.may_go_on)
        self._protocol.receive_eof()
        self._flush()

    def pause_writing(self) -> None:
        """The client does not read as fast as we write."""
        self.outbox.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.outbox.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone. What came before counts: a page that leaves says so, and may reset the connection."""
        if self._listener and exc and self._transport:
            self._intake.finish(self._idle.may_go_on, socket_options.left_over(self._transport))
        self._hand_up(the_rest=True)
        if self._close_timer is not None:
            self._close_timer.cancel()
        self._idle.stop()
        self.outbox.clear()
        self._intake.clear()
        self._host.guard.arrivals.gone(self._arrival)
        if self._listener is not None:
            listener, self._listener = self._listener, None
            self._host.gone(self)
            listener.closed()
        self._transport = None  # the kernel may give its socket's number to another connection from here on

    # -- the handshake -------------------------------------------------------------------------------------------------

    def _shake_hands(self, request: Request) -> None:
        headers = handshake.headers_of(request.headers.raw_items())
        peer = (self._transport.get_extra_info("peername") if self._transport else None) or ("",)
        settings = self._host.settings
        self.address = handshake.source_address(peer[0], headers.get("x-forwarded-for"), settings.trusted_proxies)
        rejection = handshake.check(request.path, headers, settings.allowed_origins)
        if rejection is None:
            response = self._protocol.accept(request)
            if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
                rejection = self._host.admit(self.address, self._arrival)
        if rejection is not None:
            response = self._protocol.reject(rejection.status, rejection.sentence + "\n")
        self._protocol.send_response(response)
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            self._listener = self._host.opened(self)
            self._host.guard.arrivals.silent(self._arrival, self.opened_at)
        else:
            metrics.HANDSHAKES_REFUSED.labels(str(int(response.status_code))).inc()

    # -- reading -------------------------------------------------------------------------------------------------------

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PONG:
            self.pinged_at = None
        elif frame.opcode in DATA_OPCODES:
            try:
                message = self._assembly.take(frame)
            except Unreadable as unreadable:
                if self._protocol.state is State.OPEN and self._listener is not None:
                    metrics.MALFORMED.labels(unreadable.error).inc()
                    self._listener.unreadable(unreadable.why)
                self.close(unreadable.code, unreadable.why)
                return
            # A message that came in one piece with the client's close still counts. One that comes after our close does not.
            if message is not None and (self._protocol.state is State.OPEN or self._protocol.close_rcvd_then_sent):
                self._frames.append(message)

    def _hand_up(self, *, the_rest: bool = False) -> None:
        while self._frames and (the_rest or not self._stops) and self._listener is not None:
            self._host.guard.arrivals.heard(self._arrival)
            try:
                self._listener.received(self._frames.popleft())
            except Exception:
                log.exception("a message broke its session")
                self.close(CloseCode.INTERNAL_ERROR, "a bug of ours")
        self._balance()

    def _ready(self) -> bool:
        """Whether more may be parsed: what was is being taken."""
        waits = len(self._frames) >= WAITING_FRAMES or sum(map(len, self._frames)) >= WAITING_CHARACTERS
        return self._idle.may_go_on() and not (self._stops and waits)

    def _balance(self) -> None:
        """Read the socket only while what was read is being taken."""
        self._intake.go_on()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._intake.waiting or not self._ready():
            if transport.is_reading():
                transport.pause_reading()
        elif not transport.is_reading():
            transport.resume_reading()

    def trust(self, name: str) -> None:
        """Who is let in may send and have waiting more, and has turns by its agent's or its network's `name`."""
        settings = self._host.settings
        self._protocol.read_messages_of(settings.frame_bytes)
        self.outbox.max_bytes = settings.outbox_bytes
        self._host.guard.arrivals.known(self._arrival)
        if self._transport is not None:
            socket_options.widen(self._transport)
        self._intake.change(self._host.guard.turn_of_member(name))

    def stop_reading(self) -> None:
        """Hand no more messages up until `go_on_reading` was called as often."""
        self._stops += 1

    def go_on_reading(self) -> None:
        """Undo one `stop_reading`."""
        self._stops -= 1
        if not self._stops:
            self._hand_up()

    # -- writing and closing -------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether messages can still be sent."""
        return self._protocol.state is State.OPEN

    def send(self, payload: bytes, *, counted: bool = True) -> None:
        """Send a text message. It is dropped when the connection is closing."""
        self.send_frame(text_frame(payload), counted=counted)

    def send_frame(self, frame: bytes, *, counted: bool = True) -> None:
        """Send a frame made by `text_frame`. The same frame serves all receivers of a broadcast."""
        if self._protocol.state is State.OPEN:
            self.outbox.push(frame, counted=counted)

    def last_words(self, payload: bytes) -> None:
        """Send the reason of a close that has begun: this goes out before the close frame."""
        self.outbox.push(text_frame(payload))

    def ping(self, now: float) -> None:
        """A WebSocket ping, which the client's library answers by itself."""
        if self._protocol.state is State.OPEN:
            self.pinged_at = now
            self._protocol.send_ping(b"")
            self._flush()

    def close(self, code: int, reason: str = "") -> None:
        """Send a close frame, and abort when the client does not answer it within `CLOSE_SECONDS`."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
            self._flush()
        self._await_close()

    def cut(self, code: int, reason: str) -> None:
        """Cut off a client that does not read: a close frame would wait behind what it does not read."""
        metrics.CUTS.labels(reason).inc()
        if self.outbox.stuck_since is None:
            self.close(code, reason)
        else:
            self.abort()

    def abort(self) -> None:
        """Close at once, and drop what the kernel still holds for the client."""
        if self._transport is not None:
            socket_options.discard(self._transport)
            self._transport.abort()

    def _overflow(self) -> None:
        metrics.CUTS.labels("slow_consumer").inc()
        self._protocol.fail(CloseCode.SLOW_CONSUMER)  # nothing is sent from here on
        # Not inside the writer's call: the writer may be in the middle of sending to a whole room.
        asyncio.get_running_loop().call_soon(self.abort)

    def _await_close(self) -> None:
        if self._close_timer is None:
            self._close_timer = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.abort)

    def _flush(self) -> None:
        transport, frames = self._transport, self._protocol.data_to_send()
        if transport is None or not frames:
            return
        half_close = not frames[-1]
        if data := b"".join(frames):
            self.outbox.push(data)  # counted, so that a client that pings and does not read cannot pile pongs up
        if half_close:
            # Closing the socket while the client still sends would reset the connection, and lose our last message.
            # asyncio's TLS has no half-close, and needs none: its close waits for the client's.
            if self.outbox.stuck_since is None and transport.can_write_eof() and not transport.is_closing():
                transport.write_eof()
            else:
                transport.close()
            self._await_close()  # a client that does not read would hold the socket open for ever
