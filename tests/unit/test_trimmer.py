"""What a trim must never lose, and how one that was interrupted goes on; at a broker in memory."""

from dataclasses import replace
from typing import Any

import pytest

from services.rooms import trimmer as rooms_trimmer
from services.rooms.trimmer import TRIMS
from shared.broker.memory.broker import MemoryBroker
from shared.broker.memory.ports import connect
from shared.broker.room_log import StateDraft, StoredEvents
from shared.broker.subjects import event_log, state_log
from shared.rooms.timers import LogKept
from shared.values.errors import Code, Refused
from shared.values.ids import RoomId
from shared.values.position import EVERYWHERE, NOWHERE, Position
from tests.support.absence import resume
from tests.support.orders import NOW, ROOM, close, create, grant, join, leave, update
from tests.support.patience import eventually_async
from tests.support.trimming import SMALL, TrimmingReplica


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker(clock=lambda: NOW)


@pytest.fixture
def rooms(broker: MemoryBroker) -> TrimmingReplica:
    return TrimmingReplica(connect(broker))


async def left(rooms: TrimmingReplica) -> tuple[int, int]:
    """How many entries and states."""
    return len(await rooms.entries()), len(await rooms.states())


def armed(broker: MemoryBroker) -> list[float]:
    """When logs are looked at next."""
    return sorted(timer.due for _, timer in broker.timers._waiting.values() if isinstance(timer, LogKept))


async def _entries(rooms: TrimmingReplica) -> list[StoredEvents]:
    return [entry for entry in await rooms.entries() if isinstance(entry, StoredEvents)]


# -- interrupted -------------------------------------------------------------------------------------------------------


async def test_a_state_without_its_snapshot(broker: MemoryBroker, rooms: TrimmingReplica) -> None:
    """The writer died between the two: the room is as it was, the next trim is done whole, and takes the orphan away."""
    await rooms.do(create(), join("a"))
    await rooms.ports.room_log.append(state_log(ROOM), StateDraft(b"half"), after=NOWHERE)
    other = TrimmingReplica(connect(broker))
    await other.trim()
    assert await left(rooms) == (1, 1)
    assert (await other.do(join("b"))).revision == 3


async def test_a_snapshot_before_which_nothing_was_deleted(broker: MemoryBroker, rooms: TrimmingReplica) -> None:
    """The writer died after it: another replica deletes, by the timer that was armed, and writes no second one."""
    await rooms.do(create(), join("a"))
    await rooms.look(after=2)
    assert await left(rooms) == (3, 1)
    other = TrimmingReplica(connect(broker))
    other.now = rooms.now
    (due,) = armed(broker)
    assert due == pytest.approx(rooms.now + SMALL.kept_seconds)
    await other.look(after=SMALL.kept_seconds)
    assert await left(rooms) == (1, 1)


async def test_states_that_were_left(broker: MemoryBroker, rooms: TrimmingReplica) -> None:
    """The deleter died between entries and states: whoever looks next deletes these."""
    await rooms.do(create(), join("a"))
    await rooms.ports.room_log.append(state_log(ROOM), StateDraft(b"half"), after=NOWHERE)
    await rooms.look(after=2)
    broker.rooms.trim(event_log(ROOM))
    assert await left(rooms) == (1, 2)
    await TrimmingReplica(connect(broker)).look(after=3600)
    assert await left(rooms) == (1, 1)


async def test_nothing_is_deleted_that_the_snapshot_cannot_stand_for(
    broker: MemoryBroker, rooms: TrimmingReplica
) -> None:
    """Its state is gone or is another one: what is before it is all there is, and stays."""
    await rooms.do(create(), join("a"))
    await rooms.look(after=2)
    broker.rooms.trim(state_log(ROOM), EVERYWHERE)
    await TrimmingReplica(connect(broker)).look(after=3600)
    assert len(await rooms.entries()) == 3


async def test_a_snapshot_that_always_loses(rooms: TrimmingReplica, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others change the room each time before it is appended: it gives up for this time, and nothing is wrong."""
    await rooms.do(create(), join("a"))
    other = TrimmingReplica(rooms.ports)
    append, turn = rooms.ports.room_log.append, iter(range(1000))

    async def slower(subject: str, draft: Any, *, after: Position) -> Position:
        if isinstance(draft, StateDraft):
            await other.do(update("p_a_1", f"u{next(turn)}", name=f"A {next(turn)}"))
        return await append(subject, draft, after=after)

    monkeypatch.setattr(rooms.ports.room_log, "append", slower)
    before = TRIMS.labels("lost")._value.get()
    await rooms.look(after=2)
    assert TRIMS.labels("lost")._value.get() == before + 1
    monkeypatch.undo()
    await rooms.trim()
    assert await left(rooms) == (1, 1)
    assert (await other.do(join("b"))).revision == 2 + rooms_trimmer.ATTEMPTS + 1


# -- what is kept ------------------------------------------------------------------------------------------------------


async def test_what_is_decided_on_survives(broker: MemoryBroker, rooms: TrimmingReplica) -> None:
    """After a trim and without a cache: a used join token is used, an operation is not done twice, a session finds its
    seat, who left is told why.
    """
    await rooms.do(create(), join("a", grant=grant("a", until=10**10)), join("b"), leave("p_b_1"))
    await rooms.do(update("p_a_1", "once", name="Ada"), update("p_a_1", "then", name="Anna"))
    await rooms.trim()
    other = TrimmingReplica(connect(broker))
    again = await other.do(update("p_a_1", "once", name="Ada"))
    assert (again.revision, again.seats[next(iter(again.seats))].participant.name) == (6, "Anna")
    for refused in (join("a", n=2, grant=grant("a", until=10**10)), resume("b"), join("b")):
        with pytest.raises(Refused) as caught:
            await other.do(refused)
        assert caught.value.code in (Code.FORBIDDEN, Code.NOT_IN_ROOM, Code.BAD_STATE)
    assert (await other.do(resume("a"))).revision == 7


async def test_consumers_that_are_behind(broker: MemoryBroker) -> None:
    """One of those that are named keeps what it has not taken, and for so long; another's name means nothing."""
    limits = replace(SMALL, consumers=("notes", "never made"), consumer_seconds=600)
    rooms = TrimmingReplica(connect(broker), limits)
    await rooms.do(create(), join("a"))
    broker.rooms.consumers.update(notes=Position(1), somebody=NOWHERE)
    await rooms.trim()
    assert await left(rooms) == (3, 1)
    broker.rooms.consumers["notes"] = broker.rooms.position
    await rooms.look()
    assert await left(rooms) == (1, 1)
    await rooms.do(join("b"))
    await rooms.trim()
    assert await left(rooms) == (3, 2)
    await rooms.look(after=600)
    assert await left(rooms) == (1, 1)


async def test_a_closed_room(broker: MemoryBroker, rooms: TrimmingReplica) -> None:
    """A snapshot is left that says so: the id stays taken. It is small, however many were in, and nothing follows."""
    await rooms.do(create(max_participants=100), join("a"))
    await rooms.look(after=2)
    await rooms.do(*(join(f"a{n}") for n in range(60)), close())
    await rooms.look(after=SMALL.closed_seconds - 1)
    assert await left(rooms) == (64, 1)
    await rooms.look(after=1)
    (end,) = await _entries(rooms)
    assert (end.entry().events[-1].closes, len(await rooms.states())) == (True, 1)
    assert sum(len(one.body) for one in broker.rooms.messages) < 2000
    for _ in range(2):
        await rooms.look(after=10**6)
    assert await _entries(rooms) == [end]
    other = TrimmingReplica(connect(broker))
    for command, code in ((join("x"), Code.ROOM_CLOSED), (create(operation="again"), Code.ROOM_EXISTS)):
        with pytest.raises(Refused) as caught:
            await other.do(command)
        assert caught.value.code is code


async def test_a_closed_room_of_which_only_the_end_is_left(broker: MemoryBroker, rooms: TrimmingReplica) -> None:
    """An older release trimmed it, and has a timer for it yet: it becomes what it would be today."""
    await rooms.do(create(), join("a"), close())
    broker.rooms.trim(event_log(ROOM))
    await TrimmingReplica(connect(broker)).look(after=3600)
    (end,) = await _entries(rooms)
    assert end.entry().events[-1].closes
    with pytest.raises(Refused) as caught:
        await TrimmingReplica(connect(broker)).do(create(operation="again"))
    assert caught.value.code is Code.ROOM_EXISTS


async def test_a_snapshot_that_would_free_nothing_waits(broker: MemoryBroker) -> None:
    """A large room with few changes: its snapshot is larger than they are. By age it is written all the same."""
    rooms = TrimmingReplica(connect(broker), replace(SMALL, size=1000, seconds=3600))
    await rooms.do(create(max_participants=100), *(join(f"a{n}") for n in range(60)))
    await rooms.look()
    await rooms.look(after=SMALL.kept_seconds)
    assert await left(rooms) == (1, 1)
    for turn in range(3):
        await rooms.do(update("p_a1_1", f"u{turn}", name=f"A {turn}"))
    await rooms.look()
    assert await left(rooms) == (4, 1)
    await rooms.look(after=3600)
    await rooms.look(after=SMALL.kept_seconds)
    assert await left(rooms) == (1, 1)


async def test_a_state_too_large_says_less_about_who_left(
    broker: MemoryBroker, rooms: TrimmingReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing less about anything else."""
    monkeypatch.setattr(rooms_trimmer, "STATE_BYTES", 1)
    fold = await rooms.do(create(), join("a", grant=grant("a")), join("b"), leave("p_b_1"))
    before = fold.snapshot(whole=True)
    await rooms.trim()
    after = (await TrimmingReplica(connect(broker)).log.load(ROOM)).snapshot(whole=True)
    assert before.departed
    assert after == before.model_copy(update={"departed": {}, "sequence": after.sequence})


# -- by itself ---------------------------------------------------------------------------------------------------------


async def test_changes_lead_to_a_trim(broker: MemoryBroker) -> None:
    """In the background, once enough came together; and a room's first change arms the timer of its age."""
    rooms = TrimmingReplica(connect(broker), replace(SMALL, size=20_000, seconds=3600))
    await rooms.trimmer.start()
    await rooms.do(create(), join("a"))

    async def is_armed() -> bool:
        return armed(broker) == [rooms.now + 3600]

    await eventually_async(is_armed, "it will be looked at by its age")
    for turn in range(60):
        await rooms.do(update("p_a_1", f"u{turn}", name=f"A {turn}"))

    async def written() -> bool:
        return len(await rooms.states()) == 1

    await eventually_async(written, "a snapshot is written")
    rooms.now += SMALL.kept_seconds
    for turn in range(60, 90):
        await rooms.do(update("p_a_1", f"u{turn}", name=f"A {turn}"))

    async def trimmed() -> bool:
        return (await _entries(rooms))[0].entry().checkpoint is not None

    await eventually_async(trimmed, "the log begins with it")
    await rooms.trimmer.stop()
    fold = await TrimmingReplica(connect(broker)).log.load(RoomId(ROOM))
    assert fold.revision == 92
