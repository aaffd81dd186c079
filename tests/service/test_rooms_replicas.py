"""Several replicas of rooms, and one that starts anew: the same answers from each, at once."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import pytest

from services.rooms.log import RoomLog
from shared.broker import subjects
from shared.broker.ports import Ports
from shared.broker.room_log import RoomEntry, RoomsLog
from shared.broker.subjects import ADD_PARTICIPANT, CLOSE_ROOM, CREATE_ROOM, LIST_ROOMS, REMOVE_PARTICIPANT, event_log
from shared.rooms.commands import ListRooms
from shared.rooms.roster import Roster, Snapshot
from shared.values.errors import Code, Refused
from shared.values.ids import ParticipantId, RoomId
from shared.values.position import NOWHERE, Position
from tests.support.broker_kind import on_both
from tests.support.invariants import check_log
from tests.support.orders import ROOM, caller, close, create, join, leave
from tests.support.patience import eventually_async
from tests.support.rooms import EVERYBODY, listed
from tests.support.system import System

pytestmark = on_both

MakePorts = Callable[[str], Awaitable[Ports]]


async def gateway_of(system: System, make_ports: MakePorts) -> Ports:
    """Two replicas of rooms, and a gateway's ports."""
    await system.start(gateways=0, rooms=2)
    system.ports.append(await make_ports("gateway"))
    return system.ports[-1]


# -- the list ----------------------------------------------------------------------------------------------------------


async def test_a_new_room_is_in_every_list_at_once(system: System, make_ports: MakePorts) -> None:
    """Right after its creation was answered, whichever replica did it, every replica lists it; right after its close none."""
    gateway = await gateway_of(system, make_ports)
    for n in range(20):
        await gateway.requests.request(CREATE_ROOM, create(f"room-{n}"))
        for directory in [rooms.directory for rooms in system.rooms]:
            assert f"room-{n}" in await listed(directory)
        if n % 2:
            await gateway.requests.request(CLOSE_ROOM, close(room_id=f"room-{n}"))
            for directory in [rooms.directory for rooms in system.rooms]:
                assert f"room-{n}" not in await listed(directory)
    assert await listed(system.rooms[0].directory) == await listed(system.rooms[1].directory)


async def test_a_replica_that_starts_lists_what_there_is(system: System, make_ports: MakePorts) -> None:
    """A restarted replica knows every open room with its present count, and none that closed."""
    gateway = await gateway_of(system, make_ports)
    for n in range(12):
        await gateway.requests.request(CREATE_ROOM, create(f"room-{n}", name="before"))
    await gateway.requests.request(ADD_PARTICIPANT, join("bob", "room-3"))
    await gateway.requests.request(CLOSE_ROOM, close(room_id="room-4"))
    await system.start_rooms()
    page = await system.rooms[2].directory.page(ListRooms(caller=EVERYBODY, limit=100))
    assert {room.room_id: room.participant_count for room in page.rooms} == {
        f"room-{n}": int(n == 3) for n in range(12) if n != 4
    }
    assert await listed(system.rooms[2].directory) == await listed(system.rooms[0].directory)


async def test_the_list_is_paged_newest_first(system: System, make_ports: MakePorts) -> None:
    """Pages of any size give every room once, newest first; a room made meanwhile does not shift them."""
    gateway = await gateway_of(system, make_ports)
    made = [(await gateway.requests.request(CREATE_ROOM, create(f"room-{n}"))).room for n in range(7)]
    newest_first = [room.room_id for room in sorted(made, key=lambda r: (r.created_at, r.room_id), reverse=True)]
    for limit in (1, 2, 3, 7, 8):
        assert await listed(system.rooms[0].directory, limit=limit) == newest_first
    first = await gateway.requests.request(LIST_ROOMS, ListRooms(caller=EVERYBODY, limit=3))
    await asyncio.sleep(0.002)
    await gateway.requests.request(CREATE_ROOM, create("room-new"))
    second = await gateway.requests.request(LIST_ROOMS, ListRooms(caller=EVERYBODY, limit=100, cursor=first.cursor))
    assert [room.room_id for room in [*first.rooms, *second.rooms]] == newest_first


async def test_everybody_lists_what_they_may_find(system: System, make_ports: MakePorts) -> None:
    """Rooms one made or may join; a page is full of those, however many others lie between. A foreign cursor is refused."""
    gateway = await gateway_of(system, make_ports)
    for n in range(9):
        await gateway.requests.request(CREATE_ROOM, create(f"room-{n}", caller(f"agent-{n % 3}"), access="token"))
    await gateway.requests.request(CREATE_ROOM, create("open"))
    directory = system.rooms[0].directory
    assert set(await listed(directory, caller("agent-1"), limit=2)) == {"open", "room-1", "room-4", "room-7"}
    assert await listed(directory, caller("agent-1", "rooms:join:room-0", "rooms:create"), limit=1) != []
    assert await listed(directory, caller("x", "rooms:observe")) == []
    for cursor in ("?", "AAAA", "ä", "x" * 10000):
        try:
            await directory.page(ListRooms(caller=EVERYBODY, limit=5, cursor=cursor))
        except Refused as refused:
            assert refused.code is Code.BAD_MESSAGE  # noqa: PT017 - "AAAA" may as well be a position before all rooms


# -- the cache ---------------------------------------------------------------------------------------------------------


async def test_a_cache_of_one_room_is_enough(system: System, make_ports: MakePorts) -> None:
    """Rooms that push each other out of the cache, on two replicas, lose nothing; the cache keeps its bound."""
    await system.start(gateways=0, rooms=2, cached_rooms=1, snapshot_every=3)
    system.ports.append(await make_ports("gateway"))
    gateway = system.ports[-1]
    names = [f"room-{n}" for n in range(4)]
    for name in names:
        await gateway.requests.request(CREATE_ROOM, create(name, max_participants=3))
    chance = random.Random(7)

    async def guest(i: int, name: str) -> None:
        for n in range(1, 5):
            await asyncio.sleep(chance.random() / 100)
            try:
                joined = await gateway.requests.request(ADD_PARTICIPANT, join(f"agent-{i}", name, n=n))
            except Refused as refused:
                assert refused.code is Code.ROOM_FULL  # noqa: PT017 - either is right here
            else:
                await gateway.requests.request(REMOVE_PARTICIPANT, leave(joined.participant_id, name))

    await asyncio.gather(*(guest(i, name) for i in range(5) for name in names))
    for rooms in system.rooms:
        assert len(rooms.log._folds) <= 1
        assert rooms.log._turns == {}
    for name in names:
        assert (await check_log(gateway, RoomId(name))).seats == {}


async def lived_in(ports: Ports) -> None:
    """A room with a log of forty entries and two participants."""
    await ports.requests.request(CREATE_ROOM, create())
    await ports.requests.request(ADD_PARTICIPANT, join("stays"))
    for n in range(1, 20):
        await ports.requests.request(ADD_PARTICIPANT, join("guest", n=n))
        if n < 19:
            await ports.requests.request(REMOVE_PARTICIPANT, leave(f"p_guest_{n}"))


class Readings:
    """What was asked to be read of a log."""

    def __init__(self, log: RoomsLog, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entries = 0
        self._read = log.read
        monkeypatch.setattr(log, "read", self.read)

    async def read(self, subject: str, *, after: Position = NOWHERE, limit: int) -> Sequence[RoomEntry]:
        """Read, and count."""
        found = await self._read(subject, after=after, limit=limit)
        self.entries += len(found)
        return found


async def test_a_snapshot_keeps_the_tail_short(
    system: System, make_ports: MakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that does not know the room reads its snapshot and fewer entries than one interval, not the whole log."""
    await system.start(gateways=0, rooms=1, snapshot_every=3)
    system.ports.append(await make_ports("gateway"))
    gateway = system.ports[-1]
    await lived_in(gateway)
    whole = await check_log(gateway, ROOM)
    assert len(await gateway.room_log.read(event_log(ROOM), limit=1000)) >= 39
    ports = await make_ports("rooms")
    system.ports.append(ports)

    async def snapshot_is_there() -> bool:
        found = await ports.snapshots.load(ROOM)
        return found is not None and found.revision > whole.revision - 3

    await eventually_async(snapshot_is_there, "the newest snapshot is written")
    readings = Readings(ports.room_log, monkeypatch)
    log = RoomLog(ports, capacity=10, snapshot_every=1000, waiting=10)
    async with log.turn(ROOM):
        fold = await log.load(ROOM)
    assert readings.entries < 3
    assert fold.snapshot(whole=True) == whole_of(whole, ports)
    assert {seat.participant.id for seat in fold.seats.values()} == {"p_stays_1", "p_guest_19"}
    assert fold.seats[ParticipantId("p_stays_1")].session == "s_stays_1"


def whole_of(fold: Roster, ports: Ports) -> Snapshot:
    """The state check_log found, as this broker would have it."""
    fold.incarnation = ports.room_log.incarnation
    return fold.snapshot(whole=True)


async def test_without_a_snapshot_the_log_is_enough(system: System, make_ports: MakePorts) -> None:
    """Snapshots are a cache: a replica that finds none comes to the same state from the log alone."""
    await system.start(gateways=0, rooms=1, snapshot_every=1000)
    system.ports.append(await make_ports("gateway"))
    await lived_in(system.ports[-1])
    ports = await make_ports("rooms")
    system.ports.append(ports)
    assert await ports.snapshots.load(ROOM) is None
    log = RoomLog(ports, capacity=10, snapshot_every=1000, waiting=10)
    fold = await log.load(ROOM)
    assert fold.snapshot(whole=True) == whole_of(await check_log(ports, ROOM), ports)
    assert fold.sequence == await ports.room_log.position(subjects.ALL_EVENTS)


async def test_too_many_at_one_room_are_refused(make_ports: MakePorts) -> None:
    """More commands than may wait for one room are `unavailable` at once; other rooms are not held up."""
    ports = await make_ports("rooms")
    log = RoomLog(ports, capacity=10, snapshot_every=100, waiting=2)
    async with log.turn(ROOM):
        waiting = asyncio.ensure_future(_take_turn(log, ROOM))
        await asyncio.sleep(0)
        with pytest.raises(Refused) as caught:
            await _take_turn(log, ROOM)
        assert caught.value.code is Code.UNAVAILABLE
        await _take_turn(log, RoomId("room-b"))
        assert not waiting.done()
    await waiting
    await ports.connection.close()


async def _take_turn(log: RoomLog, room_id: RoomId) -> None:
    async with log.turn(room_id):
        pass
