"""A log of another kind than a room's is a second instance of the same port: another stream, other subjects, other entries."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.broker.log import Conflict, Log, LogFormat
from shared.broker.memory.broker import MemoryBroker
from shared.broker.memory.connection import MemoryConnection
from shared.broker.memory.log import MemoryLog
from shared.broker.nats.connection import Broker
from shared.broker.nats.log import NatsLog
from shared.broker.nats.ports import connected
from shared.broker.nats.streams import Streams
from shared.broker.room_log import ROOM_LOG, RoomsLog
from shared.broker.tail import read_up_to
from shared.rooms.events import Batch
from shared.values.ids import RoomId
from shared.values.position import NOWHERE, Position
from tests.support.logs import created
from tests.support.open_nats import OpenNats
from tests.support.patience import eventually


@dataclass(frozen=True, slots=True)
class Line:
    """An entry of this log: who said what."""

    position: Position
    author: str
    body: bytes


def _encode(said: tuple[str, str]) -> tuple[dict[str, str], bytes]:
    author, text = said
    return {"Test-Author": author}, text.encode()


def _decode(_subject: str, position: Position, headers: Mapping[str, str], body: bytes) -> Line | None:
    author = headers.get("Test-Author")
    return None if author is None else Line(position, author, body)


LINES: LogFormat[tuple[str, str], Line] = LogFormat(
    stream="LINES",
    description="What was said, for a test.",
    prefix="agentlink.said.",
    live="agentlink.heard.",
    encode=_encode,
    decode=_decode,
)
A, B = "agentlink.said.a", "agentlink.said.b"


@dataclass(frozen=True, slots=True)
class Logs:
    """Both over one connection."""

    lines: Log[tuple[str, str], Line]
    rooms: RoomsLog


@pytest.fixture(params=["memory", "nats"])
async def logs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Logs]:
    """A log of lines beside that of rooms."""
    if request.param == "memory":
        here = MemoryConnection(MemoryBroker())
        yield Logs(MemoryLog(here, LINES), MemoryLog(here, ROOM_LOG))
        return
    server = OpenNats(tmp_path / "nats")
    await server.start()
    streams = Streams(max_bytes=1 << 26, logs=(ROOM_LOG, LINES))
    used = (ROOM_LOG.stream, LINES.stream)
    connection = await connected(Broker(server.url, None, None, 5.0, logs=used, streams=streams), "test")
    yield Logs(NatsLog(connection, LINES), NatsLog(connection, ROOM_LOG))
    await connection.close()
    await server.stop()


async def test_it_is_appended_followed_and_read(logs: Logs) -> None:
    """Compare and set, the live copies in order, and reading to a position, all in entries of its own type."""
    heard: list[Line] = []
    following = await logs.lines.follow(A, heard.append, lambda: None)
    first = await logs.lines.append(A, ("ann", "hello"), after=NOWHERE)
    for wrong in (NOWHERE, Position(first + 1)):
        with pytest.raises(Conflict):
            await logs.lines.append(A, ("bob", "me too"), after=wrong)
    await logs.lines.append(B, ("eve", "elsewhere"), after=NOWHERE)
    last = await logs.lines.append(A, ("bob", "ä 😀"), after=first)
    said = [Line(first, "ann", b"hello"), Line(last, "bob", "ä 😀".encode())]
    await eventually(lambda: heard == said, "what was said is heard")
    await following.stop()
    assert await read_up_to(logs.lines, A, NOWHERE, await logs.lines.position(A)) == said
    assert await logs.lines.last([A, B]) == [Line(Position(2), "eve", b"elsewhere"), said[-1]]
    assert [line.author for line in await logs.lines.newest_of_each(LINES.subjects)] == ["eve", "bob"]
    await logs.lines.trim(A)
    assert await logs.lines.read(A, limit=10) == said[-1:]


async def test_the_two_know_nothing_of_each_other(logs: Logs) -> None:
    """Each has positions of its own, and who follows all of one hears nothing of the other."""
    heard: list[object] = []
    await logs.lines.follow(LINES.subjects, heard.append, lambda: None)
    decision = created("room-a")
    subject = f"{ROOM_LOG.prefix}{RoomId('room-a')}.event"
    for _ in range(3):
        after = await logs.rooms.position(subject)
        await logs.rooms.append(subject, Batch(decision.events, decision.stamp), after=after)
    assert await logs.lines.position(LINES.subjects) == NOWHERE
    assert await logs.lines.append(A, ("ann", "hello"), after=NOWHERE) == 1
    await eventually(lambda: heard == [Line(Position(1), "ann", b"hello")], "the line is heard, and nothing else")
    assert await logs.rooms.position(subject) == 3
    assert logs.lines.incarnation
    assert logs.rooms.incarnation
