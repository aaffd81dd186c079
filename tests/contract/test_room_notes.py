"""What both adapters promise about notes of which gateway is in which room."""

import asyncio
from collections.abc import Awaitable, Callable

from shared.broker.ports import Ports
from shared.values.ids import GatewayId, RoomId

Connect = Callable[[str], Awaitable[Ports]]
A, B = RoomId("room-a"), RoomId("room-b")


async def test_rooms_are_noted(connect: Connect) -> None:
    """Each room of a gateway once, however often it is noted; letting go forgets this gateway's and no other's."""
    rooms = await connect("rooms")
    one, two = GatewayId("g_1"), GatewayId("g_12")
    assert await rooms.notes.noted_rooms(one) == []
    for _ in range(3):
        await rooms.notes.note_room(one, A)
    await rooms.notes.note_room(one, B)
    await rooms.notes.note_room(two, A)
    assert sorted(await rooms.notes.noted_rooms(one)) == [A, B]
    await rooms.notes.forget_rooms(one)
    assert await rooms.notes.noted_rooms(one) == []
    assert await rooms.notes.noted_rooms(two) == [A]
    await rooms.notes.forget_rooms(one)
    await rooms.notes.note_room(one, A)
    assert await rooms.notes.noted_rooms(one) == [A]


async def test_one_room_is_forgotten(connect: Connect) -> None:
    """The note of this pair and no other one, also when there is none; it can be made again."""
    rooms = await connect("rooms")
    one, two = GatewayId("g_1"), GatewayId("g_12")
    for gateway in (one, two):
        for room_id in (A, B):
            await rooms.notes.note_room(gateway, room_id)
    for _ in range(2):
        await rooms.notes.forget_room(one, A)
    assert await rooms.notes.noted_rooms(one) == [B]
    assert sorted(await rooms.notes.noted_rooms(two)) == [A, B]
    await rooms.notes.note_room(one, A)
    assert sorted(await rooms.notes.noted_rooms(one)) == [A, B]
    await rooms.notes.forget_room(GatewayId("g_3"), A)


async def test_very_many_rooms_are_noted(connect: Connect) -> None:
    """More rooms than the server answers in one direct get (1,024), with the notes of others in between."""
    rooms = await connect("rooms")
    one, two = GatewayId("g_1"), GatewayId("g_2")
    names = [RoomId(f"room-{n}") for n in range(1150)]
    await asyncio.gather(*(rooms.notes.note_room(gateway, name) for name in names for gateway in (one, two)))
    assert sorted(await rooms.notes.noted_rooms(one)) == sorted(names)
    await rooms.notes.forget_rooms(one)
    assert await rooms.notes.noted_rooms(one) == []
    assert len(await rooms.notes.noted_rooms(two)) == len(names)
