"""What services/gateway/transport/connection.py and http_protocol.py take for granted of uvicorn, httptools and `websockets`.

None of it is promised by them; when a new version breaks one of these tests, look there before shipping it.
"""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from services.gateway.settings import GatewaySettings
from services.gateway.transport.guard import Guard
from services.gateway.transport.public_server import PublicServer
from tests.support.raw import Raw, frame, request

CALLS = list[tuple[str, Any]]


class Recorder(asyncio.Protocol):
    """What uvicorn does with a WebSocket protocol, in order."""

    def __init__(self, calls: CALLS, **given: Any) -> None:
        self.calls = calls
        calls.append(("made", given))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.calls.append(("connection_made", transport))

    def data_received(self, data: bytes) -> None:
        self.calls.append(("data_received", bytes(data)))

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append(("connection_lost", exc))


async def no_app(_scope: Any, _receive: Any, _send: Any) -> None:
    """Nothing but WebSockets is asked here."""


@asynccontextmanager
async def serving(ws: Callable[..., asyncio.Protocol]) -> AsyncIterator[str]:
    """uvicorn as the gateway configures it; the URL."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(no_app, log_config=None, lifespan="off", ws="none")
    guard = Guard(GatewaySettings(mode="development"), time.monotonic, 1000)
    server = PublicServer(config, guard, lambda arrival: ws(arrival=arrival), None)
    task = asyncio.create_task(server.run_on(listening))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield "http://{}:{}".format(*listening.getsockname())
    finally:
        server.should_exit = True
        await task


async def until(calls: CALLS, name: str, times: int = 1) -> None:
    """Wait for a call."""
    async with asyncio.timeout(5):
        while [call for call, _ in calls].count(name) < times:
            await asyncio.sleep(0.005)


def received(calls: CALLS) -> bytes:
    """All bytes so far."""
    return b"".join(data for name, data in calls if name == "data_received")


async def test_how_a_connection_is_handed_over() -> None:
    """The WebSocket is made; then connection_made, the whole request at once, and all later bytes."""
    calls: CALLS = []
    async with serving(lambda **given: Recorder(calls, **given)) as url:
        raw = await Raw.connect(url)
        sent = request("/ws?x=%20", X_Odd="a,b")
        for i in range(0, len(sent), 7):
            await raw.send(sent[i : i + 7])
            await asyncio.sleep(0)
        await until(calls, "data_received")
        assert [name for name, _ in calls] == ["made", "connection_made", "data_received"]
        assert calls[0][1].keys() == {"arrival"}
        transport = calls[1][1]
        assert isinstance(transport.get_protocol(), Recorder), "set_protocol: what comes from now on is the WebSocket's"
        head = calls[2][1]
        assert head.startswith(b"GET /ws?x=%20 HTTP/1.1\r\n")
        assert head.endswith(b"\r\n\r\n")
        assert sorted(head.lower().splitlines()[1:]) == sorted(sent.lower().splitlines()[1:])
        await raw.send(b"\x00\xff later")
        await until(calls, "data_received", 2)
        assert calls[3] == ("data_received", b"\x00\xff later")
        await raw.close()
        await until(calls, "connection_lost")


async def test_what_comes_with_the_request_is_not_lost() -> None:
    """Frames in the same segment as the upgrade request reach the WebSocket after it (uvicorn alone drops them)."""
    calls: CALLS = []
    async with serving(lambda **given: Recorder(calls, **given)) as url:
        raw = await Raw.connect(url)
        await raw.send(request() + b"\x00frames\r\n")
        await raw.send(b" and more")
        async with asyncio.timeout(5):
            while not received(calls).endswith(b"\r\n\r\n\x00frames\r\n and more"):
                await asyncio.sleep(0.005)
        await raw.close()


async def test_the_transport_can_do_what_we_need() -> None:
    """It has the socket, limits, back-pressure, a half-close and an abort."""
    calls: CALLS = []
    async with serving(lambda **given: Recorder(calls, **given)) as url:
        raw = await Raw.connect(url)
        await raw.send(request())
        await until(calls, "data_received")
        transport = calls[1][1]
        assert transport.get_extra_info("peername")[0] == "127.0.0.1"
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        transport.set_write_buffer_limits(high=1024)
        assert transport.get_write_buffer_size() == 0
        transport.pause_reading()
        assert not transport.is_reading()
        transport.resume_reading()
        assert transport.can_write_eof()
        transport.write(b"last words")
        transport.write_eof()
        assert await raw.reader.read() == b"last words"
        await raw.send(b"still heard")
        await until(calls, "data_received", 2)
        transport.abort()
        await until(calls, "connection_lost")
        assert transport.is_closing()


def is_open(protocol: ServerProtocol) -> bool:
    """As the connection asks it."""
    return protocol.state is State.OPEN


def _protocol(**settings: Any) -> ServerProtocol:
    silent = logging.Logger("websockets", logging.CRITICAL + 1)
    protocol = ServerProtocol(max_size=1000, logger=silent, **settings)
    protocol.receive_data(request())
    (upgrade,) = protocol.events_received()
    assert isinstance(upgrade, Request)
    assert upgrade.path == "/ws"
    assert ("Upgrade", "websocket") in list(upgrade.headers.raw_items())
    response = protocol.accept(upgrade)
    assert response.status_code == 101
    assert not is_open(protocol), "nothing is open before the response is sent"
    protocol.send_response(response)
    assert is_open(protocol)
    assert protocol.data_to_send()[0].startswith(b"HTTP/1.1 101 ")
    return protocol


def test_sans_io_reading() -> None:
    """Frames come out one by one with opcode, fin and unmasked data; pings are answered by data to send."""
    protocol = _protocol()
    protocol.receive_data(frame(b"one") + frame(b"tw", fin=False) + frame(b"o", Opcode.CONT) + frame(b"p", Opcode.PING))
    frames = protocol.events_received()
    assert [(f.opcode, f.fin, bytes(f.data)) for f in frames if isinstance(f, Frame)] == [
        (Opcode.TEXT, True, b"one"),
        (Opcode.TEXT, False, b"tw"),
        (Opcode.CONT, True, b"o"),
        (Opcode.PING, True, b"p"),
    ]
    assert protocol.data_to_send() == [Frame(Opcode.PONG, b"p").serialize(mask=False)]
    assert not protocol.close_expected()


def test_sans_io_closing() -> None:
    """A malformed frame: the reason is kept, the state is closing, a close frame and a half-close are to be sent."""
    protocol = _protocol()
    protocol.receive_data(frame(b"x" * 1001))
    assert protocol.events_received() == []
    assert type(protocol.parser_exc).__name__ == "PayloadTooBig"
    assert not is_open(protocol)
    assert protocol.close_expected()
    close, eof = protocol.data_to_send()
    assert close[:4] == b"\x88" + close[1:2] + (1009).to_bytes(2)
    assert eof == b"", "an empty piece means: half-close"
    protocol.receive_data(frame(b"ignored"))
    protocol.fail(4000)
    assert protocol.data_to_send() == []
    protocol.receive_eof()
    assert protocol.state is State.CLOSED
    polite = _protocol()
    polite.send_close(4500, "reason")
    assert polite.state is State.CLOSING
    assert polite.data_to_send() == [b"\x88\x08\x11\x94reason"], "no half-close before the client's answer"


def test_sans_io_refusing() -> None:
    """A handshake can be refused with a status of ours; `websockets` itself refuses what is no handshake."""
    protocol = ServerProtocol()
    protocol.receive_data(request())
    protocol.events_received()
    protocol.send_response(protocol.reject(403, "no\n"))
    answer, eof = protocol.data_to_send()
    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert answer.endswith(b"\r\n\r\nno\n")
    assert eof == b""
    assert protocol.close_expected()
