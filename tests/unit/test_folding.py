"""A room whose log begins with a snapshot, and rooms that this version cannot fold: they are never taken for empty."""

import json
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.rooms.decision import RoomInput, Rules
from services.rooms.executor import RoomExecutor
from services.rooms.folding import UNFOLDABLE
from services.rooms.log import RoomLog
from shared.broker.memory.broker import MemoryBroker
from shared.broker.memory.ports import connect
from shared.broker.room_log import StoredEvents
from shared.broker.subjects import event_log
from shared.rooms.roster import FOLD_VERSION, Roster, Snapshot
from shared.values.errors import Code, Refused
from shared.values.ids import ParticipantId, SessionKey
from tests.support.absence import resume
from tests.support.orders import NOW, ROOM, close, create, grant, join, leave, update
from tests.support.rooms import listed, serve_rooms
from tests.support.stored import events_of
from tests.support.trimmed import write_snapshot


class Replica:
    """One replica of rooms at a broker."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.log = RoomLog(connect(broker), capacity=10, snapshot_every=1000, waiting=10)
        self.executor = RoomExecutor(self.log, Rules(), lambda: NOW)

    async def do(self, *commands: RoomInput) -> Roster:
        """Do these; the room after them."""
        for command in commands:
            roster = await self.executor.execute(command)
        return roster

    async def refuses(self, command: RoomInput) -> Code:
        """With which code."""
        with pytest.raises(Refused) as caught:
            await self.executor.execute(command)
        return caught.value.code


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


async def lived_in(broker: MemoryBroker) -> Roster:
    """A room in which somebody came with a join token, somebody went, and two are left."""
    replica = Replica(broker)
    return await replica.do(create(), join("a", grant=grant("a")), join("b"), join("c"), leave("p_b_1"))


def whole(fold: Roster) -> Snapshot:
    return fold.snapshot(whole=True)


async def test_a_room_folds_from_its_snapshot_alone(broker: MemoryBroker) -> None:
    """Nothing of the log before is needed: seats with their sessions, used join tokens, operations, who left and why."""
    before = whole(await lived_in(broker))
    at = write_snapshot(broker, await Replica(broker).log.load(ROOM))
    assert [one.entry.position for one in broker.rooms.messages if one.subject == event_log(ROOM)] == [at]
    fold = await Replica(broker).log.load(ROOM)
    assert whole(fold) == before.model_copy(update={"sequence": at})


async def test_a_room_goes_on_from_its_snapshot(broker: MemoryBroker) -> None:
    """What is decided on it is what would have been decided on the log: revisions go on, a session finds its seat, a used
    join token stays used, an operation is not done twice, and whoever left is told so.
    """
    write_snapshot(broker, await lived_in(broker))
    replica = Replica(broker)
    assert await replica.refuses(join("a", n=2, grant=grant("a"))) is Code.FORBIDDEN
    assert await replica.refuses(resume("b")) is Code.NOT_IN_ROOM
    fold = await replica.do(resume("a"), join("c"), join("d"))
    assert [seat.epoch for seat in fold.seats.values()] == [2, 1, 1]
    assert (fold.revision, fold.last_order) == (7, 4)
    again = await Replica(broker).log.load(ROOM)
    assert whole(again) == whole(fold)
    seat = again.of_session(SessionKey("s_a_1"))
    assert seat is not None
    assert seat.participant.id == "p_a_1"


async def test_a_replica_that_knows_all_of_it_passes_over_a_snapshot(broker: MemoryBroker) -> None:
    """It moves the position and nothing else, in a replica that was there and in one that reads the whole log."""
    replica = Replica(broker)
    await replica.do(create(), join("a"))
    before = whole(await replica.do(join("b")))
    at = write_snapshot(broker, await replica.log.load(ROOM), trim=False)
    assert whole(await replica.executor.read(ROOM)) == before.model_copy(update={"sequence": at})
    assert whole(await Replica(broker).log.load(ROOM)) == before.model_copy(update={"sequence": at})
    assert (await replica.do(join("c"))).revision == 4


async def test_a_replica_that_is_behind_takes_the_snapshot(broker: MemoryBroker) -> None:
    """What it has not seen is gone; the snapshot has it."""
    behind, ahead = Replica(broker), Replica(broker)
    await behind.do(create(), join("a"))
    write_snapshot(broker, await ahead.do(join("b"), leave("p_a_1")))
    fold = await behind.do(join("c"))
    assert list(fold.seats) == ["p_b_1", "p_c_1"]
    assert fold.seats[ParticipantId("p_b_1")].session == "s_b_1"


async def test_a_snapshot_of_an_older_fold_stays_readable(broker: MemoryBroker) -> None:
    """Its log is gone, so whatever later folds add, they read it: what is new has its default."""
    fold = await lived_in(broker)
    state = json.loads(whole(fold).model_dump_json(by_alias=True)) | {"foldVersion": FOLD_VERSION - 1}
    del state["emptySince"], state["lastOrder"]
    write_snapshot(broker, fold, body=json.dumps(state).encode(), fold_version=FOLD_VERSION - 1)
    assert list((await Replica(broker).log.load(ROOM)).seats) == ["p_a_1", "p_c_1"]


@pytest.mark.parametrize("trim", [True, False])
async def test_a_snapshot_of_a_newer_fold_makes_the_room_unavailable(broker: MemoryBroker, trim: bool) -> None:
    """An older replica cannot know what it means: it refuses whatever is asked, also where it knows the room already, and
    nothing is appended. It says so once, and counts.
    """
    knows = Replica(broker)
    fold = await knows.do(create(), join("a"))
    write_snapshot(broker, fold, trim=trim, fold_version=FOLD_VERSION + 1)
    stored, counted = len(broker.rooms.messages), UNFOLDABLE._value.get()
    with capture_logs() as lines:
        for replica in (knows, Replica(broker)):
            assert await replica.refuses(join("b")) is Code.UNAVAILABLE
            assert await replica.refuses(create()) is Code.UNAVAILABLE
            assert await replica.refuses(leave("p_a_1")) is Code.UNAVAILABLE
            with pytest.raises(Refused):
                await replica.executor.read(ROOM)
    assert len(broker.rooms.messages) == stored
    assert UNFOLDABLE._value.get() == counted + 8
    assert [(line["room_id"], line["why"]) for line in lines] == [(ROOM, "it has a snapshot of fold 2")] * 2


@pytest.mark.parametrize(
    ("changed", "body", "why"),
    [
        ({"state": 1}, None, "the state beside its snapshot is missing"),
        ({}, b"{}", "the state beside its snapshot cannot be read"),
        ({"as_of": 99}, None, "the state beside its snapshot is another one"),
    ],
)
async def test_a_snapshot_without_its_state_makes_the_room_unavailable(
    broker: MemoryBroker, changed: dict[str, Any], body: bytes | None, why: str
) -> None:
    """The public half is not enough to decide on: without sessions and used join tokens nobody is let in."""
    write_snapshot(broker, await lived_in(broker), body=body, **changed)
    with capture_logs() as lines:
        assert await Replica(broker).refuses(join("d")) is Code.UNAVAILABLE
    assert [line["why"] for line in lines] == [why]


@pytest.mark.parametrize("kept", ["the end", "garbage", "a snapshot that cannot be read"])
async def test_a_log_that_does_not_begin_is_not_an_empty_room(broker: MemoryBroker, kept: str) -> None:
    """The first entry that can be read is neither `created` nor a snapshot: the room is there, and cannot be folded."""
    replica = Replica(broker)
    await replica.do(create(), join("a"), join("b"))
    if kept == "garbage":
        broker.rooms.store(event_log(ROOM), {}, b"{}")
    elif kept != "the end":
        broker.rooms.store(
            event_log(ROOM), {}, b'[{"type":"agentlink.room.snapshot","time":"soon","data":{"foldVersion":9}}]'
        )
    broker.rooms.trim(event_log(ROOM))
    for command in (create(), join("a"), update("p_a_1")):
        assert await Replica(broker).refuses(command) is Code.UNAVAILABLE


async def test_missing_changes_make_the_room_unavailable(broker: MemoryBroker) -> None:
    """An entry that this version cannot read hides a change: it goes no further, or it would number its own like that one."""
    replica = Replica(broker)
    await replica.do(create(), join("a"), join("b"), join("c"))
    messages = broker.rooms.messages
    changed = StoredEvents(messages[2].entry.position, ROOM, b'[{"type":"agentlink.room.x"}]')
    messages[2] = replace(messages[2], entry=changed)
    assert await Replica(broker).refuses(join("d")) is Code.UNAVAILABLE


# A change as a later release may write it: this one cannot read it.
UNREAD = b'[{"type":"agentlink.room.locked","time":"2026-01-01T00:00:00Z","data":{"revision":6,"locked":true}}]'


async def test_a_newest_entry_that_cannot_be_read_makes_the_room_unavailable(broker: MemoryBroker) -> None:
    """Nothing shows that it was no change: a replica that decided without it would give its revision away again. That holds
    for a replica that knew the room, for one that did not, and for one that only asks.
    """
    warm = Replica(broker)
    await warm.do(create(), join("a"), join("b"))
    broker.rooms.store(event_log(ROOM), {}, UNREAD)
    for replica in (warm, Replica(broker)):
        assert await replica.refuses(join("c")) is Code.UNAVAILABLE
        assert await replica.refuses(leave("p_nobody_1")) is Code.UNAVAILABLE
        with pytest.raises(Refused):
            await replica.executor.read(ROOM)
    assert broker.rooms.messages[-1].body == UNREAD


async def test_what_was_no_change_is_left_out(broker: MemoryBroker) -> None:
    """When the next entry has the next revision, the one that cannot be read was none: the room goes on."""
    elsewhere = MemoryBroker()
    expected = await Replica(elsewhere).do(create(), join("a"), join("b"))
    *before, last = [one for one in elsewhere.rooms.messages if one.subject == event_log(ROOM)]
    for one in before:
        broker.rooms.store(one.subject, dict(one.headers), one.body)
    broker.rooms.store(event_log(ROOM), {}, UNREAD)
    broker.rooms.store(last.subject, dict(last.headers), last.body)
    fold = await Replica(broker).do(join("c"))
    assert fold.revision == expected.revision + 1
    assert list(fold.seats) == ["p_a_1", "p_b_1", "p_c_1"]


async def test_the_end_of_a_closed_room_is_enough(broker: MemoryBroker) -> None:
    """Of a room closed long ago only the last entry is kept: its id is still taken, and it is closed."""
    replica = Replica(broker)
    await replica.do(create(), join("a"), join("b"), close())
    broker.rooms.trim(event_log(ROOM))
    assert await Replica(broker).refuses(create(operation="again")) is Code.ROOM_EXISTS
    assert await Replica(broker).refuses(join("c")) is Code.ROOM_CLOSED


async def test_a_room_whose_newest_entry_is_a_snapshot_is_listed(broker: MemoryBroker) -> None:
    """The list reads the newest entry of every room: a snapshot shows the room as it is, of any fold; not a closed one."""
    fold = await lived_in(broker)
    directory = await serve_rooms(connect(broker))
    write_snapshot(broker, fold, fold_version=FOLD_VERSION + 1)
    other = await serve_rooms(connect(broker))
    assert await listed(directory) == await listed(other) == [ROOM]
    write_snapshot(broker, fold, closed="deleted")
    late = await serve_rooms(connect(broker))
    assert await listed(directory) == await listed(late) == []
    for each in (directory, other, late):
        await each.stop()


async def test_the_public_half_is_a_fold_too(broker: MemoryBroker) -> None:
    """Whoever reads only events has the room and who is in it from the snapshot."""
    fold = await lived_in(broker)
    write_snapshot(broker, fold)
    read = Roster(ROOM, "test")
    for entry in events_of(message.entry for message in broker.rooms.messages):
        read.apply(entry)
    assert (read.revision, read.room, read.closed) == (fold.revision, fold.room, None)
    assert [seat.participant for seat in read.seats.values()] == [seat.participant for seat in fold.seats.values()]
    assert all(seat.session is None for seat in read.seats.values())
