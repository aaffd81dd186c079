"""The double of a WebSocket between a client and a gateway: the interface of `Connection`, without a socket below it."""

import json
import traceback
from collections import deque
from typing import Any, Protocol

from services.gateway.settings import GatewaySettings
from services.gateway.transport.connection import CLOSE_SECONDS
from services.gateway.transport.listener import Listener
from services.gateway.transport.outbox import Outbox, OutboxTotal, text_frame
from shared.values.errors import CloseCode
from tests.simulation.network import Network, Wire
from tests.simulation.process import Process

ABNORMAL = 1006


class Ear(Protocol):
    """The client's end."""

    def heard(self, socket: "VirtualWebSocket", message: dict[str, Any]) -> None:
        """A message."""

    def closed(self, socket: "VirtualWebSocket", code: int) -> None:
        """The connection is closed. Called once."""


class Host(Protocol):
    """The gateway's end."""

    settings: GatewaySettings
    outboxes: OutboxTotal
    process: Process

    def opened(self, socket: "VirtualWebSocket") -> Listener:
        """A client has connected."""

    def gone(self, socket: "VirtualWebSocket") -> None:
        """The client is gone."""


class VirtualWebSocket:
    """The gateway writes through its real outbox. A close takes effect when it has reached the client."""

    def __init__(self, network: Network, host: Host, ear: Ear, address: str) -> None:
        self._network = network
        self._host = host
        self._ear = ear
        self._process = host.process
        self._frames: deque[str] = deque()
        self._stops = 0
        self._closing = False
        self._deaf = False  # the client has hung up, or nothing reaches it any more
        self._down = Wire(network, network.context, self._at_client)
        self._up = Wire(network, host.process.context, self._at_gateway)
        limits = host.settings.outbox_messages, host.settings.outbox_bytes
        self.outbox = Outbox(self, *limits, self._overflow, host.outboxes)
        self.address = address
        self.opened_at = self.next_ping = network.loop.time()
        self.pinged_at: float | None = None
        self._listener: Listener | None = host.opened(self)

    # -- the gateway's side: see Connection ----------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """See Connection."""
        return not self._closing and self._listener is not None and not self._process.dead

    def send(self, payload: bytes, *, counted: bool = True) -> None:
        """See Connection."""
        self.send_frame(text_frame(payload), counted=counted)

    def send_frame(self, frame: bytes, *, counted: bool = True) -> None:
        """See Connection."""
        if self.is_open:
            self.outbox.push(frame, counted=counted)

    def last_words(self, payload: bytes) -> None:
        """See Connection."""
        self.outbox.push(text_frame(payload))

    def write(self, data: bytes) -> None:
        """As the transport below the outbox."""
        if not self._process.dead:
            self._down.send(data, 0)

    def trust(self, name: str) -> None:
        """See Connection. Sizes are not simulated."""

    def stop_reading(self) -> None:
        """See Connection."""
        self._stops += 1

    def go_on_reading(self) -> None:
        """See Connection."""
        self._stops -= 1
        if not self._stops:
            self._hand_up()

    def ping(self, now: float) -> None:
        """See Connection. The client's library answers by itself."""
        if self.is_open:
            self.pinged_at = now
            self._down.send(b"", 0)

    def close(self, code: int, reason: str = "") -> None:
        """See Connection."""
        del reason
        if self.is_open:
            self._closing = True
            self._down.send(b"", int(code))
            self._network.loop.call_later(CLOSE_SECONDS, self._process.run, self.abort, context=self._process.context)

    def cut(self, code: int, reason: str) -> None:
        """See Connection."""
        if self.outbox.stuck_since is None:
            self.close(code, reason)
        else:
            self.abort()

    def abort(self) -> None:
        """See Connection."""
        if self._listener is not None:
            self._process.soon(self._lost)
            self._down.send(b"", ABNORMAL)

    def _overflow(self) -> None:
        self._closing = True
        self._process.soon(self.abort)

    def _at_gateway(self, text: str | None) -> None:
        if self._process.dead or self._listener is None:
            return
        if text is None:
            self._lost()
        elif not text:
            self.pinged_at = None
        elif not self._closing:
            self._frames.append(text)
            self._hand_up()

    def _hand_up(self) -> None:
        while self._frames and not self._stops and self._listener is not None:
            try:
                self._listener.received(self._frames.popleft())
            except Exception:
                self._network.blame(f"a message broke its session: {traceback.format_exc()}")
                self.close(CloseCode.INTERNAL_ERROR)

    def _lost(self) -> None:
        """As asyncio's `connection_lost`."""
        listener, self._listener = self._listener, None
        if listener is not None:
            self.outbox.clear()
            self._frames.clear()
            self._host.gone(self)
            listener.closed()

    # -- the client's side ---------------------------------------------------------------------------------------------

    def say(self, message: dict[str, Any]) -> None:
        """Send a message to the gateway."""
        if not self._deaf:
            self._up.send(json.dumps(message))

    def _at_client(self, frame: bytes, code: int) -> None:
        if self._deaf:
            return
        if frame:
            self._ear.heard(self, json.loads(_payload(frame)))
        elif code:
            self._hung_up(code)
        else:
            self._up.send("")

    def _hung_up(self, code: int) -> None:
        self._deaf = True
        self._up.send(None)
        self._ear.closed(self, code)

    def drop(self, *, silently: bool) -> None:
        """The client's network is gone. `silently`: the gateway is not told, and messages under way do not arrive."""
        self._deaf = True
        if silently:
            self._up.cut = True
        else:
            self._up.send(None)

    def die(self) -> None:
        """The gateway's process is gone."""
        self._network.later(self._network.sky.pause(), self._at_client, b"", ABNORMAL)

    def stall(self, seconds: float) -> None:
        """The client does not read for a while."""
        if self._listener is not None and self.outbox.stuck_since is None:
            self.outbox.pause()
            self._network.loop.call_later(seconds, self._process.run, self._fill_gap, context=self._process.context)

    def _fill_gap(self) -> None:
        if self._listener is not None:
            self.outbox.resume()


def _payload(frame: bytes) -> bytes:
    """The payload of an unmasked text frame (RFC 6455, section 5.2)."""
    length = frame[1]
    return frame[2 if length < 126 else 4 if length == 126 else 10 :]
