"""The list of rooms when what it follows and what it reads come late, or cross."""

import asyncio
from collections.abc import Callable

from services.rooms.directory import Directory
from shared.broker.following import Following
from shared.broker.memory.broker import MemoryBroker
from shared.broker.memory.connection import MemoryConnection
from shared.broker.memory.log import MemoryLog
from shared.broker.memory.ports import connect
from shared.broker.room_log import ROOM_LOG, RoomDraft, RoomEntry
from shared.broker.subjects import CLOSE_ROOM, CREATE_ROOM
from tests.simulation.clock import in_virtual_time
from tests.support.logs import begin
from tests.support.orders import close, create
from tests.support.patience import eventually
from tests.support.rooms import listed, serve_rooms


class SlowLog(MemoryLog[RoomDraft, RoomEntry]):
    """Answers with what was there when it was asked, later: as a fill of very many rooms does."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(MemoryConnection(broker), ROOM_LOG)
        self.asked = 0
        self.answer = asyncio.Event()

    async def newest_of_each(self, subject: str) -> list[RoomEntry]:
        """See Log."""
        entries = await super().newest_of_each(subject)
        self.asked += 1
        await self.answer.wait()
        return entries


@in_virtual_time
async def test_a_room_that_closes_while_the_list_is_filled_stays_closed() -> None:
    """What was read before the close, and comes after it, does not bring the room back."""
    broker = MemoryBroker()
    rooms, slow = connect(broker), SlowLog(broker)
    other = await serve_rooms(rooms)
    await rooms.requests.request(CREATE_ROOM, create())
    directory = Directory(slow)
    filling = asyncio.ensure_future(directory.start())
    await eventually(lambda: slow.asked == 1, "the fill has read")
    await rooms.requests.request(CLOSE_ROOM, close())
    await asyncio.sleep(0.01)
    slow.answer.set()
    await filling
    assert await listed(directory) == []
    await directory.stop()
    await other.stop()


@in_virtual_time
async def test_what_is_missed_while_the_list_is_filled_is_read_again() -> None:
    """A second report of a hole, during a refill, leads to another one: the first may have read too early."""
    broker = MemoryBroker()
    rooms, slow = connect(broker), SlowLog(broker)
    slow.answer.set()
    directory = Directory(slow)
    await directory.start()
    slow.answer.clear()
    directory.refill()
    await eventually(lambda: slow.asked == 2, "the refill has read")
    follower = broker.rooms.followers.pop()  # the slow consumer's loss
    await begin(rooms, "lost-1")
    broker.rooms.followers.append(follower)
    await begin(rooms, "heard")
    directory.refill()
    slow.answer.set()
    await eventually(lambda: slow.asked == 3, "it is read again")
    await asyncio.sleep(0.01)
    assert set(await listed(directory)) == {"lost-1", "heard"}
    await directory.stop()


class LateLog(MemoryLog[RoomDraft, RoomEntry]):
    """What is followed arrives a while after it was committed."""

    async def follow(self, subject: str, receive: Callable[[RoomEntry], None], on_gap: Callable[[], None]) -> Following:
        """See Log."""
        loop = asyncio.get_running_loop()
        return await super().follow(subject, lambda entry: void(loop.call_later(0.05, receive, entry)), on_gap)


def void(_: object) -> None:
    """A callback's result that nobody wants."""


@in_virtual_time
async def test_a_list_waits_for_what_was_committed_before_it_was_asked() -> None:
    """A replica that has not yet heard of a new room, or of a close, waits until it has."""
    broker = MemoryBroker()
    rooms = connect(broker)
    other = await serve_rooms(rooms)
    directory = Directory(LateLog(MemoryConnection(broker), ROOM_LOG))
    await directory.start()
    await rooms.requests.request(CREATE_ROOM, create())
    assert await listed(directory) == ["voice-1"]
    await rooms.requests.request(CLOSE_ROOM, close())
    assert await listed(directory) == []
    await directory.stop()
    await other.stop()


@in_virtual_time
async def test_a_list_that_hears_nothing_reads() -> None:
    """If what was committed does not arrive at all, the list reads it instead of waiting for ever."""
    broker = MemoryBroker()
    directory = Directory(connect(broker).room_log)
    await directory.start()
    broker.rooms.followers.clear()  # lost without a report
    await begin(connect(broker), "lost")
    assert await listed(directory) == ["lost"]
    await directory.stop()
