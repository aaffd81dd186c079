"""The public port over TLS: everything a connection must be able to do, and how it really ends."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from services.gateway.server import GatewayServer
from services.gateway.transport.connection import Connection
from tests.support.broker_kind import in_memory
from tests.support.client import Client
from tests.support.raw import CLOSE, PING, PONG, Raw, frame, request
from tests.support.sdp import offer
from tests.support.system import System, token

pytestmark = in_memory
linux = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="looks at /proc/net/tcp")
Secure = Callable[..., Awaitable[System]]
PLENTY: dict[str, Any] = {
    "message_rate": 100_000,
    "message_burst": 100_000,
    "signal_byte_rate": 1 << 30,
    "signal_byte_burst": 1 << 30,
    "agent_signal_byte_burst": 1 << 30,
    "room_signal_byte_burst": 1 << 30,
}
LARGE_OFFER = offer() + ("a=x:" + "y" * 4000 + "\r\n") * 7


async def agent(system: System, trusting: ssl.SSLContext, name: str) -> Client:
    """A connection that has authenticated."""
    client = await system.client(ssl=trusting)
    await client.login(token(name))
    return client


def connection_of(gateway: GatewayServer, agent_id: str) -> Connection:
    """The gateway's end."""
    sessions = gateway._sessions.items()
    return next(c for c, s in sessions if s.login.identity is not None and s.login.identity.agent_id == agent_id)


def kernel_knows(system: System, ours: int) -> bool:
    """Whether the gateway's end of the connection from our port is still there, FIN-WAIT and all."""
    local = urlsplit(system.url).port
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = [tuple(int(end.rpartition(":")[2], 16) for end in line[1:3]) for line in lines]
    return (local, ours) in ends


async def test_https_and_wss(secure: Secure, trusting: ssl.SSLContext) -> None:
    """REST and WebSocket on the one port, known by the certificate; what the gateway says of itself is wss."""
    system = await secure()
    assert system.url.startswith("https://127.0.0.1:")
    alice, bob = await agent(system, trusting, "alice"), await agent(system, trusting, "bob")
    await alice.join("voice-1")
    await bob.join("voice-1")
    assert (await alice.hear("user_joined"))["participant"]["agentId"] == "bob"
    assert (await bob.ask("offer", to=alice.participants["voice-1"], sdp=offer()))["type"] == "ok"
    assert (await alice.hear("offer"))["sdp"] == offer()
    async with httpx.AsyncClient(base_url=system.url, verify=trusting) as api:
        assert (await api.get("/healthz")).status_code == 200
        assert (await api.get("/")).status_code == 200
        headers = {"Authorization": f"Bearer {token('alice')}"}
        issued = await api.post("/api/rooms/voice-1/join", headers=headers)
        assert issued.json()["url"] == system.url.replace("https", "wss") + "/ws"
    assert alice.socket.transport.get_extra_info("ssl_object").version() == "TLSv1.3"


async def test_a_large_message_and_many_small_ones(secure: Secure, trusting: ssl.SSLContext) -> None:
    """Whole and in order, however TLS cuts them into records; what comes with the upgrade in one record too."""
    system = await secure(**PLENTY)
    alice, bob = await agent(system, trusting, "alice"), await agent(system, trusting, "bob")
    for client in (alice, bob):
        await client.join("voice-1")
    for n in range(50):
        await bob.say("offer", id=f"n{n}", to=alice.participants["voice-1"], sdp=LARGE_OFFER, negotiation=f"0.{n}")
    for n in range(50):
        heard = await alice.hear("offer")
        assert (heard["negotiation"], heard["sdp"]) == (f"0.{n}", LARGE_OFFER)
    raw = await Raw.connect(system.url, ssl=trusting)
    await raw.send(request() + frame(b'{"type":"ping","id":"1"}'))
    assert (await raw.response())[0] == 101
    assert (await raw.hear("error"))["code"] == "not_authenticated"
    await raw.close()


async def test_a_polite_end(secure: Secure, trusting: ssl.SSLContext) -> None:
    """A close frame of ours arrives with its code and what was said before it; one of the client's is answered."""
    system = await secure()
    client = await system.client(ssl=trusting)
    refused = await client.ask("authenticate", token="nonsense")
    assert refused["type"] == "auth_error"
    assert await client.closed() == 4501
    other = await agent(system, trusting, "alice")
    await other.socket.close(1000, "enough")
    assert other.close_code == 1000
    raw = await Raw.open(system.url, ssl=trusting)
    await raw.send(frame(b"\x03\xe8", CLOSE))
    assert await raw.close_code() == 1000
    assert await raw.reader.read() == b"", "and then the connection ends"


async def test_who_answers_no_ping_is_gone(secure: Secure, trusting: ssl.SSLContext) -> None:
    """Pings go out, and who answers none is closed."""
    system = await secure(ping_seconds=0.4, grace_seconds=0.5)
    watcher = await agent(system, trusting, "watcher")
    await watcher.join("voice-1")
    raw = await Raw.open(system.url, ssl=trusting)
    await raw.say("authenticate", token=token("dead"))
    await raw.hear("auth_ok")
    await raw.say("join_room", roomId="voice-1")
    pings = 0
    async with asyncio.timeout(10):
        while (got := await raw.next_frame()) is not None and got[0] != CLOSE:
            pings += got[0] == PING
    assert pings == 1
    assert (await watcher.hear("user_left"))["agentId"] == "dead"
    await raw.close()


async def test_who_answers_pings_stays(secure: Secure, trusting: ssl.SSLContext) -> None:
    """A client that says nothing but pong is alive."""
    system = await secure(ping_seconds=0.3)
    raw = await Raw.open(system.url, ssl=trusting)
    await raw.say("authenticate", token=token("quiet"))
    pings = 0
    async with asyncio.timeout(8):
        while pings < 3:
            got = await raw.next_frame()
            assert got is not None
            if got[0] == PING:
                pings += 1
                await raw.send(frame(got[1], PONG))
    await raw.close()


async def stuck_in_a_room(system: System, trusting: ssl.SSLContext) -> tuple[Raw, Client, Client]:
    """One that reads no more, with two talkative room mates."""
    parts = urlsplit(system.url)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (parts.hostname, parts.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=4096, ssl=trusting, server_hostname="127.0.0.1")
    raw = Raw(reader, writer)
    writer.write(request())
    assert (await raw.response())[0] == 101
    await raw.say("authenticate", token=token("stuck"))
    await raw.hear("auth_ok")
    await raw.say("join_room", roomId="voice-1")
    participant_id = (await raw.hear("room_users"))["self"]
    mates = await agent(system, trusting, "alice"), await agent(system, trusting, "bob")
    for mate in mates:
        await mate.join("voice-1")
        mate.participants["stuck"] = participant_id
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    return raw, *mates


@linux
@pytest.mark.parametrize(
    "limits",
    [
        {"outbox_messages": 16, "stall_seconds": 60},
        {"outbox_messages": 100_000, "outbox_bytes": 1 << 30, "stall_seconds": 0.5},
    ],
    ids=["overflow", "stall"],
)
async def test_who_stops_reading_is_cut(secure: Secure, trusting: ssl.SSLContext, limits: dict[str, Any]) -> None:
    """By the size of what waits, or by time: it is gone at once, in the kernel too (SO_LINGER and abort reach the socket
    below TLS), and its room mates missed nothing."""
    system = await secure(grace_seconds=0.5, **limits, **PLENTY)
    raw, alice, bob = await stuck_in_a_room(system, trusting)
    ours = raw.port
    assert kernel_knows(system, ours)
    n = 0
    async with asyncio.timeout(20):
        while kernel_knows(system, ours):
            n += 1
            for _ in range(4):
                await alice.say("offer", to=alice.participants["stuck"], sdp=LARGE_OFFER)
            await alice.ask("update_self", metadata={"n": n})
            while (await bob.hear("user_updated"))["participant"]["metadata"] != {"n": n}:
                pass  # the stuck one is away
    assert (await bob.hear("user_left"))["agentId"] == "stuck"
    await raw.close()


@linux
async def test_the_socket_is_ours(secure: Secure, trusting: ssl.SSLContext) -> None:
    """What is set on a connection's socket is set on the one that TLS runs over, and little waits in between."""
    system = await secure()
    await agent(system, trusting, "alice")
    connection = connection_of(system.gateways[0], "alice")
    assert connection._transport is not None
    sock = connection._transport.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * 131072
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@linux
async def test_an_abort_is_one(secure: Secure, trusting: ssl.SSLContext) -> None:
    """Nothing is left of the connection, not even for the time that a polite close may take."""
    system = await secure()
    raw = await Raw.open(system.url, ssl=trusting)
    await raw.say("authenticate", token=token("alice"))
    await raw.hear("auth_ok")
    ours = raw.port
    assert kernel_knows(system, ours)
    connection_of(system.gateways[0], "alice").abort()
    async with asyncio.timeout(10):
        while kernel_knows(system, ours):
            await asyncio.sleep(0.01)
    await raw.close()


@linux
async def test_a_client_that_hangs_while_closing(secure: Secure, trusting: ssl.SSLContext) -> None:
    """Whoever never answers a close, neither the WebSocket's nor TLS', is gone some seconds later."""
    system = await secure()
    raw = await Raw.open(system.url, ssl=trusting)
    await raw.say("authenticate", token="nonsense")
    raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
    ours = raw.port
    async with asyncio.timeout(8):
        while kernel_knows(system, ours):
            await asyncio.sleep(0.05)
    await raw.close()


async def test_reading_is_held_back(secure: Secure, trusting: ssl.SSLContext) -> None:
    """Over its rate a client is read more slowly, then refused; nothing it said is lost before that."""
    system = await secure(message_rate=50, message_burst=10, message_burst_per_participant=0, throttle_seconds=0.4)
    client = await agent(system, trusting, "a")
    for n in range(200):
        await client.say("ping", id=f"p{n}")
    for n in range(12):
        await client.hear("pong", id=f"p{n}")
    assert (await client.hear("error"))["code"] == "rate_limited"


async def test_going_away(secure: Secure, trusting: ssl.SSLContext) -> None:
    """A gateway that stops tells everyone and is gone, with its port."""
    system = await secure()
    alice = await agent(system, trusting, "alice")
    url = system.url
    await system.gateways[0].stop(1)
    assert (await alice.hear("go_away"))["reason"] == "shutdown"
    assert await alice.closed() == 1012
    del system.gateways[0]
    with pytest.raises(OSError, match="Connect"):
        await Raw.connect(url)
