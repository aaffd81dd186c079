"""What strangers do to an HTTP port: each costs a bounded amount, and whoever keeps to the protocol gets its answer."""

import asyncio

import pytest

from services.gateway.transport import closing, http_protocol
from shared.values.errors import unavailable
from tests.support.broker_kind import in_memory
from tests.support.patience import eventually
from tests.support.raw import Raw, request
from tests.support.system import System

pytestmark = in_memory
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def status_of(raw: Raw) -> int:
    """The status of the next answer, its body read."""
    status, headers = await raw.response()
    if status:
        await raw.reader.readexactly(int(headers.get("content-length", 0)))
    return status


async def test_pipelined_requests_wait(system: System) -> None:
    """Two thousand requests in one piece are answered one after another; meanwhile one is under way, and the rest is bytes
    of one read of the socket."""
    await system.start(requests_per_address=100_000)
    gateway = system.gateways[0]
    raw = await Raw.connect(system.url)
    sending = asyncio.create_task(raw.send(GET * 2000))
    most = 0
    for _ in range(2000):
        assert await status_of(raw) == 200
        most = max(most, len(gateway._uvicorn.server_state.tasks))
        (port,) = gateway._uvicorn.server_state.connections
        assert isinstance(port, http_protocol.HttpPort)
        assert len(port.pipeline) == 0
        assert len(port._held) <= 1 << 18
    assert most <= 2, "and the one before it may not be forgotten yet"
    await sending
    await raw.close()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.0\r\n\r\n", 200),
        (request(Host=""), 400),
        (request().replace(b"Host: localhost", b"Host: a\r\nhOST: a"), 400),
    ],
)
async def test_one_host(system: System, head: bytes, status: int) -> None:
    """RFC 9112, section 3.2: a request of HTTP/1.1 has one `Host`, and no request has two, an upgrade neither."""
    await system.start()
    raw = await Raw.connect(system.url)
    await raw.send(head)
    assert await status_of(raw) == status
    await raw.close()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n", 405),
        (b"POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 404),
        (b"POST /api/rooms HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n", 401),
        (b"OPTIONS /api/rooms HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n", 405),
        (b"GET /ws HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n", 404),
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02", 400),
    ],
)
async def test_an_endless_body(system: System, head: bytes, status: int) -> None:
    """Who sends on after the answer gets the answer and the end of the stream, and is gone soon, sending or not."""
    await system.start()
    raw = await Raw.connect(system.url)
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"

    async def send_on() -> None:
        await raw.send(head)
        while not raw.writer.is_closing():
            await raw.send(chunk)
            await asyncio.sleep(0.01)

    sending = asyncio.create_task(send_on())
    got, headers = await raw.response()
    assert (got, headers["connection"]) == (status, "close")
    async with asyncio.timeout(closing.LINGER_SECONDS + 5):
        await raw.reader.readexactly(int(headers["content-length"]))
        await eventually(lambda: system.gateways[0].guard.arrivals.open == 0, "it is gone", within=10)
    sending.cancel()
    await raw.close()


async def test_a_body_that_is_read_keeps_the_connection(system: System) -> None:
    """A request whose body came whole does not cost its connection, in whatever pieces it came."""
    await system.start()
    raw = await Raw.connect(system.url)
    body = b'{"name": "a"}'
    chunked = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    for encoding, sent in ((b"Content-Length: %d" % len(body), body), (b"Transfer-Encoding: chunked", chunked)):
        head = b"POST /api/guest/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        for byte in head + encoding + b"\r\n\r\n" + sent:
            await raw.send(bytes([byte]))
            await asyncio.sleep(0)
        assert await status_of(raw) == 201
    await raw.send(GET)
    assert await status_of(raw) == 200
    await raw.close()


async def test_half_heads_share_a_bound(system: System) -> None:
    """A thousand half heads of 60 KB do not cost 60 MB: beyond the bound of all together they are cut off. Short heads pass."""
    await system.start(unparsed_bytes=1 << 20, strangers=500)
    guard = system.gateways[0].guard
    raws = [await Raw.connect(system.url) for _ in range(100)]
    most = 0
    for raw in raws:
        await raw.send(b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 60_000)
        most = max(most, guard._held)
    await eventually(lambda: guard.arrivals.open <= 18, "what is above the bound is cut off")
    assert most <= (1 << 20) + (1 << 18)
    raw = await Raw.connect(system.url)
    await raw.send(GET)
    assert await status_of(raw) == 200
    for one in (*raws, raw):
        await one.close()
    await eventually(lambda: guard._held == 0, "nothing is held for who is gone")


async def test_too_many_fields(system: System) -> None:
    """A head of thousands of short fields would be megabytes of headers: 431."""
    await system.start()
    raw = await Raw.connect(system.url)
    await raw.send(b"GET /healthz HTTP/1.1\r\n" + b"a:b\r\n" * 5000 + b"\r\n")
    assert await status_of(raw) == 431
    await raw.close()


@pytest.mark.parametrize("offer", [b"h2c", b"websocket, h2c", b"TLS/1.0", b"foo/2"])
async def test_an_upgrade_that_is_not_known(system: System, offer: bytes) -> None:
    """An offer of another protocol is ignored, and the request answered; so are those behind it."""
    await system.start()
    raw = await Raw.connect(system.url)
    more = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + offer + b"\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
    await raw.send(GET[:-2] + more)
    assert await status_of(raw) == 200
    await raw.send(GET)
    assert await status_of(raw) == 200
    await raw.close()


async def test_http_1_0(system: System) -> None:
    """A client of 1996 is answered, and its connection closed."""
    await system.start()
    raw = await Raw.connect(system.url)
    await raw.send(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert await status_of(raw) == 200
    assert await raw.reader.read() == b""
    await raw.close()


async def test_an_answer_that_is_not_read(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks and does not read is cut off after a while; what waits for it until then is bounded."""
    monkeypatch.setattr(closing, "STALL_SECONDS", 0.5)
    await system.start(requests_per_address=100_000)
    arrivals = system.gateways[0].guard.arrivals
    raw = await Raw.connect(system.url, limit=4096)
    raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await eventually(lambda: arrivals.open == 1, "it has come")
    sending = asyncio.create_task(raw.send(b"GET /api/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5000))
    await eventually(lambda: arrivals.open == 0, "it is cut off", within=20)
    sending.cancel()
    await raw.close()


async def test_too_many_at_once(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a fourth of all requests at once is one address's, its next ones are 429; when all are taken, 503 for anybody."""
    await system.start(requests_at_once=4)
    release = asyncio.Event()

    async def slow() -> None:
        await release.wait()
        raise unavailable("the broker")

    monkeypatch.setattr(system.gateways[0], "check", slow)
    raws = [await Raw.connect(system.url, local_addr=(f"127.0.9.{n + 1}", 0)) for n in range(5)]
    ready = GET.replace(b"healthz", b"readyz")
    for raw in raws[:4]:
        await raw.send(ready)
    again = await Raw.connect(system.url, local_addr=("127.0.9.1", 0))
    await asyncio.sleep(0.1)
    await raws[4].send(GET)
    assert await status_of(raws[4]) == 503
    release.set()
    for raw in raws[:4]:
        assert await status_of(raw) == 503
    await again.send(GET)
    assert await status_of(again) == 200
    for raw in (*raws, again):
        await raw.close()


async def test_silent_strangers_make_place(system: System) -> None:
    """When there are too many strangers, who said nothing for longest goes; who has authenticated does not count."""
    await system.start(strangers=16)
    alice = await system.agent("alice")
    silent = [await Raw.connect(system.url) for _ in range(16)]
    gateway = system.gateways[0]
    await eventually(lambda: gateway.guard.arrivals.strangers == 16, "all have come")
    bob = await system.agent("bob")
    await eventually(lambda: gateway.guard.arrivals.strangers == 15, "one went, and bob is none")
    assert (await silent[0].response())[0] == 0
    for client in (alice, bob):
        assert (await client.ask("ping"))["type"] == "pong"
    for raw in silent:
        await raw.close()


@pytest.mark.parametrize("sent", [GET * 1000, b"GET /" + b"x" * 60_000, b"\r\n" * 30_000])
async def test_whoever_is_in_goes_on(system: System, sent: bytes) -> None:
    """While thirty connections send without end, a ping is answered."""
    await system.start()
    alice = await system.agent("alice")
    raws = [await Raw.connect(system.url, local_addr=(f"127.0.8.{n + 1}", 0)) for n in range(30)]
    for raw in raws:
        await raw.send(sent)
    for _ in range(20):
        assert (await alice.ask("ping"))["type"] == "pong"
    for raw in raws:
        await raw.close()
