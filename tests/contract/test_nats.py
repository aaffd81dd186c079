"""What happens to the ports when NATS goes away, comes back, is another one, is full, or cannot be used at all."""

import asyncio
import contextlib
import json
import shutil
import signal as signals
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from nats.aio.client import Client

from services.launcher.embedded_nats import EmbeddedNats
from shared.broker.log import Conflict
from shared.broker.nats import ports as nats_ports
from shared.broker.nats import streams as nats_streams
from shared.broker.nats.connection import Broker, BrokerError
from shared.broker.nats.streams import Streams
from shared.broker.ports import Ports
from shared.broker.room_log import StoredEvents
from shared.broker.subjects import event_log, room_log
from shared.broker.watch import StreamState
from shared.telemetry import metrics
from shared.values.errors import Code, Refused
from shared.values.ids import RoomId
from tests.support.broker import connector, over_nats
from tests.support.logs import Ear, begin, signal
from tests.support.open_nats import OpenNats
from tests.support.patience import eventually, eventually_async
from tests.support.stored import events_of

A, B = RoomId("room-a"), RoomId("room-b")
Connect = Callable[..., Awaitable[Ports]]


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[EmbeddedNats]:
    """A server process of this test's own, to be stopped and started."""
    server = EmbeddedNats(tmp_path / "nats")
    await server.start()
    yield server
    server.kill(signals.SIGCONT)
    await server.stop()


@pytest.fixture
async def connect_to(embedded: EmbeddedNats) -> AsyncIterator[Connect]:
    """Connects as a service; closes at the end."""
    opened: list[Ports] = []

    async def one(user: str, *, max_bytes: int = 1 << 26, seconds: float = 5.0) -> Ports:
        opened.append(await connector(embedded.url, embedded.passwords, max_bytes=max_bytes, timeout=seconds)(user))
        return opened[-1]

    yield one
    for ports in reversed(opened):
        await ports.connection.close()


async def unavailable(doing: Awaitable[object]) -> float:
    """It is refused as `unavailable`; how many seconds that took."""
    started = asyncio.get_running_loop().time()
    with pytest.raises(Refused) as caught:
        await doing
    assert caught.value.code is Code.UNAVAILABLE
    return asyncio.get_running_loop().time() - started


def answers(ports: Ports) -> Callable[[], Awaitable[bool]]:
    async def answer() -> bool:
        await ports.connection.check()
        return True

    return answer


def notices(ports: Ports) -> Callable[[], Awaitable[bool]]:
    """Whether it knows that there is no broker."""

    async def lost() -> bool:
        try:
            await ports.connection.check()
        except Refused:
            return True
        return False

    return lost


# -- restarted ---------------------------------------------------------------------------------------------------------


async def test_a_restart_is_survived(embedded: EmbeddedNats, connect_to: Connect) -> None:
    """The same log is there again, followers are told to look for what they missed, and go on hearing."""
    rooms, gateway = await connect_to("rooms"), await connect_to("gateway")
    ear = Ear()
    await gateway.room_log.follow(room_log(A), ear.receive, ear.miss)
    first = await begin(rooms, A)
    incarnation, url = gateway.room_log.incarnation, embedded.url
    await eventually(ear.hears(first), "the first is heard")
    await embedded.stop()
    await unavailable(rooms.connection.check())
    assert ear.missed == 0
    await embedded.start()
    assert embedded.url == url
    await eventually(lambda: ear.missed > 0, "the follower is told")
    await eventually_async(answers(rooms), "rooms is connected")
    assert gateway.room_log.incarnation == rooms.room_log.incarnation == incarnation
    second = await begin(rooms, A, after=first)
    await eventually(ear.hears(second), "the second is heard, on the same subscription")
    assert [entry.position for entry in await gateway.room_log.read(room_log(A), limit=10)] == [first, second]


async def test_an_empty_broker_is_another_log(embedded: EmbeddedNats, connect_to: Connect) -> None:
    """A server without our data gets its streams from rooms, and all see that positions of the old log mean nothing."""
    rooms, gateway = await connect_to("rooms"), await connect_to("gateway")
    ear = Ear()
    await gateway.room_log.follow(room_log(A), ear.receive, ear.miss)
    await eventually(ear.hears(await begin(rooms, A)), "the old log is heard")
    before = gateway.room_log.incarnation
    await embedded.stop()
    shutil.rmtree(embedded.folder / "jetstream")
    await embedded.start()
    await eventually(lambda: ear.missed > 0, "the follower is told")
    assert gateway.room_log.incarnation not in ("", before)
    await eventually(lambda: rooms.room_log.incarnation == gateway.room_log.incarnation, "rooms knows the new log")
    assert await rooms.room_log.read(room_log(A), limit=10) == []
    sequence = await begin(rooms, A)
    await eventually(lambda: ear.positions[-1:] == [sequence] and len(ear.heard) == 2, "the new log is heard")


async def test_who_does_not_own_the_streams_waits_for_them(
    embedded: EmbeddedNats, connect_to: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that starts first is connected as soon as rooms has made the streams."""
    look, seen = nats_streams.state, []

    async def looked(client: Client, stream: str, seconds: float) -> StreamState | None:
        seen.append(await look(client, stream, seconds))
        return seen[-1]

    monkeypatch.setattr(nats_streams, "state", looked)
    waiting = asyncio.ensure_future(connect_to("gateway"))
    await eventually(lambda: len(seen) >= 2, "it has looked for them, and looked again")
    assert not any(seen)
    assert not waiting.done()
    rooms = await connect_to("rooms")
    async with asyncio.timeout(5):
        assert (await waiting).room_log.incarnation == rooms.room_log.incarnation


async def test_nothing_is_applied_after_it_failed(embedded: EmbeddedNats, connect_to: Connect) -> None:
    """During a disconnect everything fails at once; after the reconnect none of it turns up in the log."""
    rooms, gateway = await connect_to("rooms"), await connect_to("gateway")
    await begin(rooms, A)
    await embedded.stop()
    for one in (rooms, gateway):
        await eventually_async(notices(one), "the connection is lost")
    for doing in (
        lambda: begin(rooms, B),
        lambda: gateway.signals.post(signal(A)),
        lambda: rooms.room_log.read(room_log(A), limit=1),
    ):
        assert await unavailable(doing()) < 3  # not the 5 s that an answer may take
    await embedded.start()
    await eventually_async(answers(rooms), "rooms is connected")
    await eventually_async(answers(gateway), "the gateway is connected")
    await begin(rooms, RoomId("marker"))
    found = await rooms.room_log.read("agentlink.log.>", limit=100)
    assert [(entry.room_id, type(entry)) for entry in found] == [(A, StoredEvents), ("marker", StoredEvents)]


async def test_an_unknown_outcome_can_be_asked_again(embedded: EmbeddedNats, connect_to: Connect) -> None:
    """A server that hangs: the signal is `unavailable` after the timeout; with the same key it is stored once."""
    await connect_to("rooms")
    gateway = await connect_to("gateway", seconds=0.5)
    embedded.kill(signals.SIGSTOP)
    assert 0.4 < await unavailable(gateway.signals.post(signal(A, key="k"))) < 3
    embedded.kill(signals.SIGCONT)
    await eventually_async(answers(gateway), "the server goes on")
    sequence = (await gateway.signals.post(signal(A, key="k"))).position
    assert [entry.position for entry in await gateway.room_log.read(room_log(A), limit=10)] == [sequence]


# -- full --------------------------------------------------------------------------------------------------------------


def refused_as_full() -> float:
    return float(metrics.LOG_REFUSED.labels("full")._value.get())


async def test_a_full_log_refuses_and_recovers(connect_to: Connect) -> None:
    """Full means `unavailable`, counted as `full`; what is stored stays right; when signals expire it goes on."""
    rooms, gateway = await connect_to("rooms", max_bytes=1 << 16), await connect_to("gateway")
    ear = Ear()
    await gateway.room_log.follow(room_log(A), ear.receive, ear.miss)
    first = await begin(rooms, A)
    before = refused_as_full()
    stored = 0
    with contextlib.suppress(Refused):
        while stored < 1000:
            await gateway.signals.post(signal(A, body=bytes(4096), seconds=2))
            stored += 1
    assert 0 < stored < 20
    assert refused_as_full() == before + 1
    await unavailable(gateway.signals.post(signal(A, body=bytes(4096))))
    with contextlib.suppress(Refused):
        while True:  # an event is smaller than a signal: a few may still fit
            first = await begin(rooms, A, after=first)
    await unavailable(begin(rooms, A, after=first))
    assert refused_as_full() == before + 4
    with pytest.raises((Conflict, Refused)):
        await begin(rooms, A)
    entries = await gateway.room_log.read(room_log(A), limit=1000)
    await eventually(lambda: ear.positions == [entry.position for entry in entries], "what was stored was heard")

    async def has_room() -> bool:
        return await begin(rooms, A, after=first) > 0

    await eventually_async(has_room, "expired signals make room")
    assert all(isinstance(entry, StoredEvents) for entry in await gateway.room_log.read(event_log(A), limit=1000))


# -- strangers ---------------------------------------------------------------------------------------------------------


async def test_what_the_stream_did_not_send_is_ignored(tmp_path: Path) -> None:
    """Whoever manages to publish below agentlink.room. is counted and not believed; the true entries are heard."""
    server = OpenNats(tmp_path / "nats")
    await server.start()
    ports = await nats_ports.connect(Broker(server.url, None, None, 5.0, streams=Streams(1 << 26)), "test")
    ear = Ear()
    await ports.room_log.follow(room_log(A), ear.receive, ear.miss)
    stray = metrics.BROKER_ERRORS.labels("stray_message")._value.get()
    await over_nats(ports).client.publish("agentlink.room.room-a.event", b"[]")
    await over_nats(ports).client.publish("agentlink.room.room-a.event", b"[]", headers={"Nats-Sequence": "99"})
    await over_nats(ports).client.publish("agentlink.room.room-a.other.thing", b"[]", headers={"Nats-Stream": "ROOMS"})
    stored = await ports.signals.post(signal("room-b"))  # and answered to where another room's events are heard
    asked = json.dumps({"seq": stored.position}).encode()
    await over_nats(ports).client.publish("$JS.API.DIRECT.GET.ROOMS", asked, "agentlink.room.room-a.event")
    sequence = await begin(ports, A)
    await eventually(ear.hears(sequence), "the true entry is heard")
    assert ear.positions == [sequence]
    assert metrics.BROKER_ERRORS.labels("stray_message")._value.get() == stray + 4
    await ports.connection.close()
    await server.stop()


async def test_a_broken_stranger_does_not_deafen(tmp_path: Path) -> None:
    """A message with headers that make no sense, or a body that is no batch, leaves the follower hearing."""
    server = OpenNats(tmp_path / "nats")
    await server.start()
    ports = await nats_ports.connect(Broker(server.url, None, None, 5.0, streams=Streams(1 << 26)), "test")
    ear = Ear()
    await ports.room_log.follow(room_log(A), ear.receive, ear.miss)
    await over_nats(ports).client.publish("agentlink.room.room-a.event", b"[]", headers={"Nats-Stream": "ROOMS"})
    await over_nats(ports).client.publish(
        "agentlink.room.room-a.event", b"[]", headers={"Nats-Stream": "ROOMS", "Nats-Sequence": "x"}
    )
    await over_nats(ports).client.publish("agentlink.log.room-a.event", b"\xff")
    sequence = await begin(ports, A, after=1)
    await eventually(ear.hears(sequence), "the true entry is heard")
    assert [len(entry.events) for entry in events_of(ear.heard)] == [0, 1]
    await ports.connection.close()
    await server.stop()


# -- of no use ---------------------------------------------------------------------------------------------------------


async def test_a_wrong_password_is_said_in_a_sentence(embedded: EmbeddedNats) -> None:
    """No waiting, no traceback: one sentence with the address, and without the password."""
    url = embedded.url.replace("nats://", "nats://someone:s3cret@")
    with pytest.raises(BrokerError) as caught:
        async with asyncio.timeout(10):
            await nats_ports.connect(Broker(url, "rooms", "wrong-canary", 5.0), "test")
    said = str(caught.value)
    assert f"127.0.0.1:{embedded.port}" in said
    assert "does not let us in" in said
    assert "canary" not in said
    assert "s3cret" not in said


async def test_a_server_that_is_too_old_is_said_in_a_sentence() -> None:
    """The sentence names its version and the one that is needed."""

    async def old_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.10.29","proto":1,"headers":true,"max_payload":1048576}\r\n')
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
        writer.close()

    server = await asyncio.start_server(old_server, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(BrokerError, match=r"2\.10\.29 is too old; Parley needs 2\.14"):
        async with asyncio.timeout(10):
            await nats_ports.connect(Broker(f"nats://127.0.0.1:{port}", None, None, 5.0), "test")
    server.close()
