"""What both adapters promise about snapshots."""

from collections.abc import Awaitable, Callable

from shared.broker.ports import Ports
from shared.rooms.roster import Snapshot
from shared.values.ids import RoomId
from shared.values.position import Position
from tests.support.logs import created
from tests.support.patience import eventually_async

Connect = Callable[[str], Awaitable[Ports]]
A, B = RoomId("room-a"), RoomId("room-b")


def snapshot(ports: Ports, revision: int, incarnation: str | None = None) -> Snapshot:
    room = created(A).events[0].change.room
    return Snapshot(
        room_id=A,
        incarnation=incarnation or ports.room_log.incarnation,
        sequence=Position(revision),
        revision=revision,
        room=room,
        seats=[],
        operations={"op": 1.5},
    )


async def test_the_newest_snapshot_is_kept(connect: Connect) -> None:
    """Another process finds the newest one, whole; a room that has none has none."""
    one, two = await connect("rooms"), await connect("rooms")
    assert await one.snapshots.load(A) is None
    for revision in (1, 2, 3):
        await one.snapshots.save(snapshot(one, revision))

    async def newest_is_there() -> bool:
        return await two.snapshots.load(A) == snapshot(two, 3)

    await eventually_async(newest_is_there, "the newest snapshot is found")
    assert await two.snapshots.load(B) is None


async def test_a_snapshot_of_another_log_means_nothing(connect: Connect) -> None:
    """What was folded from another incarnation of the log is not loaded."""
    rooms = await connect("rooms")
    await rooms.snapshots.save(snapshot(rooms, 3))

    async def there() -> bool:
        return await rooms.snapshots.load(A) is not None

    await eventually_async(there, "the snapshot is found")
    await rooms.snapshots.save(snapshot(rooms, 4, incarnation="before"))

    async def not_there() -> bool:
        return await rooms.snapshots.load(A) is None

    await eventually_async(not_there, "the other log's snapshot is ignored")
