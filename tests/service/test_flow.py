"""Too much, too slow, or not there any more: how a connection is held back, and how it really ends."""

import asyncio
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from services.gateway import metrics
from services.gateway.transport.connection import Connection
from tests.support.broker_kind import in_memory
from tests.support.client import Client
from tests.support.patience import eventually, eventually_async
from tests.support.raw import PING, PONG, TEXT, Raw, frame, request
from tests.support.sdp import offer
from tests.support.system import System, token

pytestmark = in_memory
linux = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="looks at /proc/net/tcp")


async def test_first_slower_then_refused(system: System) -> None:
    """Over its rate a client is read more slowly for a while, then told rate_limited and when to try again."""
    await system.start(message_rate=50, message_burst=10, message_burst_per_participant=0, throttle_seconds=0.4)
    client = await system.agent("a")
    loop = asyncio.get_running_loop()
    started = loop.time()
    for n in range(40):
        await client.say("ping", id=f"p{n}")
    answers = [await client.hear("pong", id=f"p{n}") for n in range(12)]
    assert len(answers) == 12
    limited = await client.hear("error")
    assert loop.time() - started >= 0.35, "the patience came first"
    assert (limited["code"], limited["retryable"], limited["details"]) == ("rate_limited", True, {})
    assert 0 < limited["retryAfterMs"] <= 1000

    async def calm() -> bool:
        return bool((await client.ask("ping"))["type"] == "pong")

    await eventually_async(calm, "it calmed down")
    await eventually_async(calm, "it stays so")


async def test_who_goes_on_is_closed(system: System) -> None:
    """After so many rate_limited in a row the connection ends with 4505: do not come back like this."""
    await system.start(
        message_rate=1, message_burst=5, message_burst_per_participant=0, throttle_seconds=0, rate_limited_errors=10
    )
    client = await system.agent("a")
    for n in range(40):
        await client.say("ping", id=f"p{n}")
    assert await client.closed() == 4505
    errors = [m for m in client.everything if m["type"] == "error"]
    assert len(errors) <= 11
    assert {m["code"] for m in errors} == {"rate_limited"}


async def test_a_large_room_allows_more_at_once(system: System) -> None:
    """Each participant of its rooms adds to a connection's burst."""
    await system.start(
        message_rate=0.01, message_burst=5, message_burst_per_participant=20, throttle_seconds=0, rate_limited_errors=99
    )
    small, large = await system.agent("small"), await system.agent("large")
    await (await system.agent("other")).join("voice-1")
    await large.join("voice-1")
    for client, many in ((small, 4), (large, 43)):
        answers = [await client.ask("ping") for _ in range(50)]
        assert len([a for a in answers if a["type"] == "pong"]) == many


BYTES = dict.fromkeys(("signal_byte_rate", *(f"{of}signal_byte_burst" for of in ("", "agent_", "room_"))), 1 << 30)
PLENTY: dict[str, Any] = BYTES | {"message_rate": 100_000, "message_burst": 100_000}
LARGE_OFFER = offer() + ("a=x:" + "y" * 4000 + "\r\n") * 7


async def stuck_in_a_room(system: System) -> tuple[Raw, Client, Client]:
    """One that reads no more, with two talkative room mates."""
    parts = urlsplit(system.url)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (parts.hostname, parts.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=4096)
    raw = Raw(reader, writer)
    writer.write(request())
    assert (await raw.response())[0] == 101
    await raw.say("authenticate", token=token("stuck"))
    await raw.hear("auth_ok")
    await raw.say("join_room", roomId="voice-1")
    participant_id = (await raw.hear("room_users"))["self"]
    mates = await system.agent("alice"), await system.agent("bob")
    for mate in mates:
        await mate.join("voice-1")
        mate.participants["stuck"] = participant_id
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    return raw, *mates


def connections_of(system: System, port: int) -> list[str]:
    """TCP states of the gateway's end of a connection, as the kernel lists them."""
    local = urlsplit(system.url).port
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [
        line[3]
        for line in lines
        if int(line[1].rpartition(":")[2], 16) == local and int(line[2].rpartition(":")[2], 16) == port
    ]


async def talk(alice: Client, bob: Client, n: int) -> None:
    """Much for the one that does not read, a little for a room mate, which gets it."""
    for _ in range(4):
        await alice.say("offer", to=alice.participants["stuck"], sdp=LARGE_OFFER)
    await alice.ask("update_self", metadata={"n": n})
    while (await bob.hear("user_updated"))["participant"]["metadata"] != {"n": n}:
        pass  # the stuck one is away


def connection_of(system: System, agent_id: str) -> Connection:
    """The gateway's end."""
    sessions = system.gateways[0]._sessions.items()
    return next(c for c, s in sessions if s.login.identity is not None and s.login.identity.agent_id == agent_id)


async def gone(system: System, raw: Raw, alice: Client, bob: Client, within: float) -> None:
    """Room mates go on talking until the kernel no longer knows the stuck connection, FIN-WAIT and all."""
    n = 0
    async with asyncio.timeout(within):
        while connections_of(system, raw.port):
            n += 1
            await talk(alice, bob, n)
    left = await bob.hear("user_left")
    assert left["agentId"] == "stuck"
    assert (await alice.hear("user_left"))["participantId"] == alice.participants["stuck"]


@linux
async def test_who_stops_reading_is_cut(system: System) -> None:
    """Its outbox overflows: it is gone at once, in the kernel too, and its room mates missed nothing."""
    await system.start(grace_seconds=0.5, outbox_messages=16, stall_seconds=60, **PLENTY)
    raw, alice, bob = await stuck_in_a_room(system)
    assert connections_of(system, raw.port)
    await gone(system, raw, alice, bob, within=10)
    await raw.close()


@linux
async def test_who_reads_nothing_for_too_long_is_cut(system: System) -> None:
    """Without an overflow, time decides: after the stall time the connection is gone, in the kernel too."""
    await system.start(grace_seconds=0.5, outbox_messages=100_000, outbox_bytes=1 << 30, stall_seconds=0.5, **PLENTY)
    raw, alice, bob = await stuck_in_a_room(system)
    await gone(system, raw, alice, bob, within=10)
    await raw.close()


@linux
@pytest.mark.slow
async def test_who_stops_reading_is_gone_within_ten_seconds(system: System) -> None:
    """With limits as installed and little to say: ten seconds after its socket is full nothing of it is left."""
    await system.start(grace_seconds=0.5, **PLENTY)
    raw, alice, bob = await stuck_in_a_room(system)
    connection = connection_of(system, "stuck")
    while connection.outbox.stuck_since is None:
        await alice.ask("offer", to=alice.participants["stuck"], sdp=LARGE_OFFER)
    async with asyncio.timeout(10):
        while connections_of(system, raw.port):
            await alice.ask("update_self", name=f"Name {asyncio.get_running_loop().time()}")
            await bob.hear("user_updated")
            await asyncio.sleep(0.1)
    assert (await bob.hear("user_left"))["agentId"] == "stuck"
    await raw.close()


@linux
async def test_asking_for_snapshots_without_reading_them(system: System) -> None:
    """Snapshots are not counted but paced: one waits at a time, however many are asked for."""
    await system.start(message_rate=100_000, message_burst=100_000, stall_seconds=3, outbox_messages=100_000)
    raw, alice, _ = await stuck_in_a_room(system)
    await alice.ask("update_self", metadata={"ballast": "x" * 900})
    (connection,) = [
        c for c, s in system.gateways[0]._sessions.items() if s.login.identity and s.login.identity.agent_id == "stuck"
    ]
    ask = frame(b'{"type":"get_room"}')
    async with asyncio.timeout(10):
        while connection.outbox.stuck_since is None:
            async with asyncio.timeout(1):
                await raw.send(ask * 50)
            await asyncio.sleep(0)
    waiting = connection.outbox._waiting
    for _ in range(20):
        await asyncio.sleep(0.01)
        assert waiting is None or len(waiting) <= 2
    await raw.close()


async def test_who_answers_no_ping_is_gone(system: System) -> None:
    """Two ping intervals without an answer: told 4001 at best, and in any case gone from the room. It is counted once."""
    cuts = metrics.CUTS.labels("no_pong")._value
    before = cuts.get()
    await system.start(ping_seconds=0.4, grace_seconds=0.5)
    watcher = await system.agent("watcher")
    await watcher.join("voice-1")
    raw = await Raw.open(system.url)
    await raw.say("authenticate", token=token("dead"))
    await raw.hear("auth_ok")
    await raw.say("join_room", roomId="voice-1")
    got: list[int] = []
    async with asyncio.timeout(8):
        while (next_frame := await raw.next_frame()) is not None and next_frame[0] != 8:
            got.append(next_frame[0])
    assert next_frame is None or next_frame[1][:2] == (4001).to_bytes(2)
    assert got.count(PING) == 1
    while next_frame is not None:  # it does not answer the close either
        next_frame = await raw.next_frame()
    assert (await watcher.hear("user_left"))["agentId"] == "dead"
    assert (await watcher.ask("ping"))["type"] == "pong", "who answers stays"
    assert cuts.get() == before + 1


async def test_who_answers_pings_stays(system: System) -> None:
    """A client that says nothing but pong is alive."""
    await system.start(ping_seconds=0.3)
    raw = await Raw.open(system.url)
    await raw.say("authenticate", token=token("quiet"))
    pings = 0
    async with asyncio.timeout(8):
        while pings < 2:
            got = await raw.next_frame()
            assert got is not None
            assert got[0] in (TEXT, PING)
            if got[0] == PING:
                pings += 1
                await raw.send(frame(got[1], PONG))
    await raw.close()


async def test_an_idle_connection_has_no_task(system: System) -> None:
    """Connections cost the gateway no task each: with fifty more there are as many tasks as before, in rooms too."""
    await system.start()
    await (await system.agent("first")).join("voice-1")

    def ours() -> list[str]:
        kinds = ("port", "heartbeat", "compare", "session", "read on", "farewell", "unfollow")
        return sorted(task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith(kinds))

    await eventually(lambda: ours() == ["compare", "heartbeat", "port"], "the first one's are done")
    everything = len(asyncio.all_tasks())
    raws = [await Raw.open(system.url) for _ in range(50)]
    for n, raw in enumerate(raws):
        await raw.say("authenticate", token=token(f"a{n}"))
        await raw.hear("auth_ok")
        if n < 5:
            await raw.say("join_room", roomId="voice-1")
            await raw.hear("room_users")
    await eventually(lambda: ours() == ["compare", "heartbeat", "port"], "theirs are done")
    await eventually(lambda: len(asyncio.all_tasks()) <= everything + 1, "no other is left")
    for raw in raws:
        await raw.close()


async def test_going_away(system: System) -> None:
    """A gateway that stops tells everyone when to come back, closes with 1012, and lets nobody in meanwhile."""
    await system.start(gateways=2)
    alice, bob = await system.agent("alice"), await system.agent("bob", gateway=1)
    await alice.join("voice-1")
    await bob.join("voice-1")
    await alice.hear("user_joined")
    url = system.url
    await system.gateways[0].stop(2)
    notice = await alice.hear("go_away")
    assert notice["reason"] == "shutdown"
    assert 0 <= notice["reconnectAfterMs"] <= 2000
    assert await alice.closed() == 1012
    away = (await bob.hear("user_updated"))["participant"]
    assert (away["agentId"], away["connection"]) == ("alice", "reconnecting")
    await bob.silence("user_left")
    del system.gateways[0]
    with pytest.raises(OSError, match="Connect call failed"):
        await Raw.connect(url)
