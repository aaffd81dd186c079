"""What both buses promise about what is kept: which gateway is in which room, the end of a log, the newest position."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.broker import subjects
from shared.broker.bus import Bus, Conflict
from shared.broker.subjects import event_log
from shared.values.ids import GatewayId, RoomId
from tests.support.logs import begin, signal

Connect = Callable[[str], Awaitable[Bus]]
A, B = RoomId("room-a"), RoomId("room-b")


# -- whose participants are where --------------------------------------------------------------------------------------


async def test_rooms_are_noted(connect: Connect) -> None:
    """Each room of a gateway once, however often it is noted; letting go forgets this gateway's and no other's."""
    rooms = await connect("rooms")
    one, two = GatewayId("g_1"), GatewayId("g_12")
    assert await rooms.noted_rooms(one) == []
    for _ in range(3):
        await rooms.note_room(one, A)
    await rooms.note_room(one, B)
    await rooms.note_room(two, A)
    assert sorted(await rooms.noted_rooms(one)) == [A, B]
    await rooms.forget_rooms(one)
    assert await rooms.noted_rooms(one) == []
    assert await rooms.noted_rooms(two) == [A]
    await rooms.forget_rooms(one)
    await rooms.note_room(one, A)
    assert await rooms.noted_rooms(one) == [A]


async def test_very_many_rooms_are_noted(connect: Connect) -> None:
    """More rooms than the server answers in one direct get (1,024), with the notes of others in between."""
    rooms = await connect("rooms")
    one, two = GatewayId("g_1"), GatewayId("g_2")
    names = [RoomId(f"room-{n}") for n in range(1150)]
    await asyncio.gather(*(rooms.note_room(gateway, name) for name in names for gateway in (one, two)))
    assert sorted(await rooms.noted_rooms(one)) == sorted(names)
    await rooms.forget_rooms(one)
    assert await rooms.noted_rooms(one) == []
    assert len(await rooms.noted_rooms(two)) == len(names)


# -- logs that were kept long enough -----------------------------------------------------------------------------------


async def test_the_end_of_a_trimmed_log_is_kept(connect: Connect) -> None:
    """Its last entry stays where it was, so that the room's id is taken; trimming again, or an empty log, does nothing."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    last = other = 0
    for _ in range(4):
        last, other = await begin(rooms, A, after=last), await begin(rooms, B, after=other)
    sent = (await gateway.post(signal(A))).sequence
    for _ in range(2):
        await rooms.trim(A)
        assert [entry.sequence for entry in await rooms.read(event_log(A), after=0, limit=10)] == [last]
    await rooms.trim(RoomId("unknown"))
    assert [entry.sequence for entry in await rooms.last([event_log(A)])] == [last]
    assert await rooms.position(event_log(A)) == last
    assert await rooms.position(subjects.room_log(A)) == sent, "signals are not its business"
    assert len(await rooms.read(event_log(B), after=0, limit=10)) == 4
    with pytest.raises(Conflict):
        await begin(rooms, A)
    assert await begin(rooms, A, after=last) > last


async def test_the_newest_position(connect: Connect) -> None:
    """Of all subjects that match, without lag; 0 where nothing is."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    assert await rooms.position(event_log(A)) == 0
    last = 0
    for _ in range(50):
        last = await begin(rooms, A, after=last)
        assert await rooms.position(event_log(A)) == await gateway.position(subjects.room_log(A)) == last
    sent = (await gateway.post(signal(A))).sequence
    assert (await rooms.position(event_log(A)), await rooms.position(subjects.room_log(A))) == (last, sent)
    assert await rooms.position(subjects.room_log(B)) == 0
