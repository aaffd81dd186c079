"""What both adapters promise about the broker's storage."""

import contextlib
import re
from collections.abc import Awaitable, Callable

import pytest

from shared.broker import subjects
from shared.broker.memory.broker import MemoryBroker
from shared.broker.memory.ports import connect as connect_in_memory
from shared.broker.ports import Ports
from shared.broker.storage import LOG
from shared.broker.subjects import NO_ROOM_EVENTS, NO_TIMERS
from shared.rooms.reserve import Place
from shared.values.errors import Refused
from shared.values.ids import TOKEN_PATTERN, RoomId
from tests.support.broker import connector
from tests.support.logs import begin, signal
from tests.support.shared_nats import SharedNats

Connect = Callable[[str], Awaitable[Ports]]
A = RoomId("room-a")
SIZE = 1 << 16


@pytest.fixture
async def make_ports(broker_kind: str, _shared_nats: SharedNats) -> Connect:
    """A broker whose log takes 64 KiB."""
    if broker_kind == "nats":
        server = await _shared_nats.empty()
        return connector(server.url, server.passwords, max_bytes=SIZE)
    broker = MemoryBroker()
    broker.size = SIZE

    async def in_memory(_user: str) -> Ports:
        return connect_in_memory(broker)

    return in_memory


async def log_of(rooms: Ports) -> Place:
    (found,) = [place for place in (await rooms.storage.look()).places if place.name == LOG]
    return found


async def test_the_log_fills(connect: Connect) -> None:
    """The log's place has its size and grows with what is stored; once it is nearly full it refuses, and is not broken."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    empty = await log_of(rooms)
    assert (empty.size, empty.used) == (SIZE, 0)
    await begin(rooms, A)
    before = await log_of(rooms)
    assert 0 < before.used < SIZE / 10
    with contextlib.suppress(Refused):
        while True:
            await gateway.signals.post(signal(A, body=bytes(1000)))
    full = await log_of(rooms)
    assert 0.95 < full.share <= 1
    stock = await rooms.storage.look()
    assert stock.refusal is None
    assert stock.stored >= full.used


async def test_looking_changes_nothing(connect: Connect) -> None:
    """However often it is looked at, the log keeps what it had."""
    rooms = await connect("rooms")
    position = await begin(rooms, A)
    for _ in range(12):
        await rooms.storage.look()
    assert [entry.position for entry in await rooms.room_log.read("agentlink.log.*.event", limit=10)] == [position]


def test_nobody_has_the_subjects_that_are_purged() -> None:
    """NATS is asked to purge the events of a room that cannot exist, and what no timer is called."""
    assert not re.fullmatch(TOKEN_PATTERN, NO_ROOM_EVENTS.split(".")[2])
    names = [*vars(subjects).values()]
    assert [name for name in names if isinstance(name, str) and "~" in name] == [NO_TIMERS, NO_ROOM_EVENTS]
