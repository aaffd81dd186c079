"""What every log promises, on both adapters, by the log of rooms: appending, following, reading, its end."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.rooms.decision import Context, Rules
from services.rooms.rules import decide
from shared.broker import subjects
from shared.broker.log import Conflict
from shared.broker.ports import Ports
from shared.broker.room_log import StoredEvents
from shared.broker.subjects import event_log, room_log
from shared.rooms.events import Batch
from shared.rooms.roster import Roster
from shared.values.ids import RoomId
from shared.values.position import NOWHERE, Position
from tests.support.logs import Ear, begin, created, signal
from tests.support.orders import NOW, join
from tests.support.patience import eventually
from tests.support.stored import events_of, signals_of

Connect = Callable[[str], Awaitable[Ports]]
A, B = RoomId("room-a"), RoomId("room-b")


# -- append ------------------------------------------------------------------------------------------------------------


async def test_an_append_is_stored_as_it_is(connect: Connect) -> None:
    """Events and stamp are read back as they were appended, at the position the append told."""
    rooms = await connect("rooms")
    decision = decide(Roster(A, ""), join("bob", A), Context(NOW, Rules(creates_on_join=True)))
    position = await rooms.room_log.append(event_log(A), Batch(decision.events, decision.stamp), after=NOWHERE)
    (entry,) = await rooms.room_log.read(event_log(A), limit=10)
    assert isinstance(entry, StoredEvents)
    assert (entry.position, entry.room_id) == (position, A)
    assert (list(entry.entry().events), entry.entry().stamp) == (decision.events, decision.stamp)


async def test_an_append_needs_the_newest_position(connect: Connect) -> None:
    """Too low, too high and 0 are conflicts that write nothing; the newest is accepted."""
    rooms = await connect("rooms")
    first = await begin(rooms, A)
    for after in (0, first - 1, first + 1, first + 1000):
        with pytest.raises(Conflict):
            await begin(rooms, A, after=after)
    assert [entry.position for entry in await rooms.room_log.read(event_log(A), limit=10)] == [first]
    assert await begin(rooms, A, after=first) > first


async def test_a_first_append_needs_an_empty_log(connect: Connect) -> None:
    """A position in a room without events is a conflict; other rooms and signals are not its business."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    with pytest.raises(Conflict):
        await begin(rooms, A, after=1)
    other = await begin(rooms, B)
    await gateway.signals.post(signal(A))
    assert await begin(rooms, A) > other
    assert await begin(rooms, B, after=other) > other


async def test_of_racing_appends_one_wins(connect: Connect) -> None:
    """Of many at once, from two processes, exactly one is accepted and the others know that they were not."""
    one, two = await connect("rooms"), await connect("rooms")
    after = 0
    for _ in range(5):
        racing = [begin(ports, A, after=after) for ports in (one, two) for _ in range(10)]
        outcomes = await asyncio.gather(*racing, return_exceptions=True)
        won = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        assert len(won) == 1
        assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 19
        after = won[0]
    assert len(await one.room_log.read(event_log(A), limit=100)) == 5


# -- follow ------------------------------------------------------------------------------------------------------------


async def test_a_follower_hears_the_logs_order(connect: Connect) -> None:
    """Events and signals of one room, from several processes, in the order of their positions, whole, without a hole."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    ear = Ear()
    await gateway.room_log.follow(room_log(A), ear.receive, ear.miss)
    after = 0
    for n in range(30):
        after = await begin(rooms, A, after=after)
        await asyncio.gather(*(gateway.signals.post(signal(A, body=b"%d" % (10 * n + i))) for i in range(5)))
    await eventually(lambda: len(ear.heard) == 180, "everything is heard")
    stored = await rooms.room_log.read(room_log(A), limit=1000)
    assert ear.positions == sorted(ear.positions) == [entry.position for entry in stored]
    assert [e.body for e in ear.heard] == [e.body for e in stored]
    assert [type(e) for e in ear.heard] == [type(e) for e in stored]
    assert [entry.events[0].type for entry in events_of(ear.heard)] == ["created"] * 30
    assert events_of(ear.heard)[0].stamp == created(A).stamp
    sent = [signal.position for signal in signals_of(stored)]
    assert [signal.previous for signal in signals_of(ear.heard)] == [0, *sent[:-1]], "each names the one before"
    assert ear.missed == 0


async def test_nothing_is_missed_after_follow_returned(connect: Connect) -> None:
    """What is appended right after `follow` returned, by another process, is heard."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    for n in range(100):
        ear = Ear()
        await gateway.room_log.follow(room_log(RoomId(f"room-{n}")), ear.receive, ear.miss)
        sequence = await begin(rooms, f"room-{n}")
        await eventually(ear.hears(sequence), "the entry is heard")
        assert ear.positions == [sequence]


async def test_what_was_refused_is_not_heard(connect: Connect) -> None:
    """A conflict, and a repeat of a signal, reach no follower."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    ear = Ear()
    await gateway.room_log.follow(room_log(A), ear.receive, ear.miss)
    first = await begin(rooms, A)
    for _ in range(3):
        with pytest.raises(Conflict):
            await begin(rooms, A)
    sent = (await gateway.signals.post(signal(A, key="k"))).position
    await gateway.signals.post(signal(A, key="k"))
    last = await begin(rooms, A, after=first)
    await eventually(lambda: last in ear.positions, "the last is heard")
    assert ear.positions == [first, sent, last]


async def test_other_rooms_are_not_heard(connect: Connect) -> None:
    """A room's follower hears that room, whatever other names begin the same; a follower of all events no signals."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    ear, all_events = Ear(), Ear()
    await gateway.room_log.follow(room_log(A), ear.receive, ear.miss)
    await rooms.room_log.follow(subjects.ALL_EVENTS, all_events.receive, all_events.miss)
    elsewhere = [await begin(rooms, f"{A}-2"), await begin(rooms, B)]
    await gateway.signals.post(signal(B))
    here = await begin(rooms, A)
    await eventually(lambda: bool(ear.heard) and len(all_events.heard) == 3, "it is heard")
    assert ear.positions == [here]
    assert all_events.positions == [*elsewhere, here]


async def test_who_stopped_hears_no_more(connect: Connect) -> None:
    """After `stop` returned nothing is called; other followers of the room go on."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    ear, other = Ear(), Ear()
    following = await gateway.room_log.follow(room_log(A), ear.receive, ear.miss)
    await gateway.room_log.follow(room_log(A), other.receive, other.miss)
    first = await begin(rooms, A)
    await eventually(lambda: bool(ear.heard), "the first is heard")
    await following.stop()
    second = await begin(rooms, A, after=first)
    await eventually(lambda: len(other.heard) == 2, "the other one hears the second")
    assert (ear.positions, other.positions) == ([first], [first, second])
    await following.stop()


# -- read --------------------------------------------------------------------------------------------------------------


async def test_reading_pages_through_a_room(connect: Connect) -> None:
    """`after` and `limit` page through events and signals in order; past the end and in unknown rooms there is nothing."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    stored: list[int] = []
    event = other = 0
    for _ in range(4):
        event, other = await begin(rooms, A, after=event), await begin(rooms, B, after=other)
        stored += [event, (await gateway.signals.post(signal(A))).position]

    async def positions(subject: str, after: int, limit: int) -> list[int]:
        return [entry.position for entry in await gateway.room_log.read(subject, after=Position(after), limit=limit)]

    assert await positions(room_log(A), 0, 100) == stored
    assert await positions(room_log(A), 0, 3) == stored[:3]
    assert await positions(room_log(A), stored[2], 3) == stored[3:6]
    assert await positions(room_log(A), stored[-2], 1) == stored[-1:]
    assert await positions(event_log(A), stored[0], 100) == stored[2::2]
    assert await positions(room_log(A), stored[-1], 100) == []
    assert await positions(room_log(A), stored[-1] + 1000, 100) == []
    assert await positions(room_log(RoomId("unknown")), 0, 100) == []


async def test_a_long_log_is_read_in_one_go(connect: Connect) -> None:
    """A limit of hundreds of entries is honoured exactly."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    await begin(rooms, A)
    await asyncio.gather(*(gateway.signals.post(signal(A, body=bytes(2000))) for _ in range(700)))
    assert len(await gateway.room_log.read(room_log(A), limit=500)) == 500
    assert len(await gateway.room_log.read(room_log(A), limit=1000)) == 701


async def test_the_newest_of_some_rooms(connect: Connect) -> None:
    """`last` gives the newest entry of each named subject that has any, by position."""
    rooms = await connect("rooms")
    first = await begin(rooms, A)
    second = await begin(rooms, B)
    newer = await begin(rooms, A, after=first)
    named = [event_log(A), event_log(B), event_log(RoomId("unknown"))]
    assert [entry.position for entry in await rooms.room_log.last(named)] == [second, newer]
    assert await rooms.room_log.last([event_log(RoomId("unknown"))]) == []
    assert await rooms.room_log.last([]) == []


async def test_the_newest_of_all(connect: Connect) -> None:
    """`position` is that of the one newest entry among all subjects that match; 0 in an empty log."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    assert await rooms.room_log.position(subjects.ALL_EVENTS) == 0
    await begin(rooms, A)
    newest = await begin(rooms, B)
    await gateway.signals.post(signal(A))
    assert await rooms.room_log.position(subjects.ALL_EVENTS) == newest
    assert await gateway.room_log.position(subjects.room_log(A)) == newest + 1


async def test_the_newest_of_each_of_very_many(connect: Connect) -> None:
    """More rooms than the server answers in one direct get (1,024): each once, with its newest entry, oldest first."""
    rooms = await connect("rooms")
    assert await rooms.room_log.newest_of_each(subjects.ALL_EVENTS) == []
    names = [f"room-{n}" for n in range(1150)]
    firsts = await asyncio.gather(*(begin(rooms, name) for name in names))
    newer = await asyncio.gather(*(begin(rooms, name, after=n) for name, n in zip(names[:50], firsts, strict=False)))
    found = await rooms.room_log.newest_of_each(subjects.ALL_EVENTS)
    assert [entry.position for entry in found] == sorted([*firsts[50:], *newer])
    assert {entry.room_id for entry in found} == set(names)
    assert events_of(found)[0].events[0].type == "created"


# -- the end, and which log it is ----------------------------------------------------------------------------------


async def test_the_end_of_a_trimmed_log_is_kept(connect: Connect) -> None:
    """Its last entry stays where it was, so that the room's id is taken; trimming again, or an empty log, does nothing."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    last = other = 0
    for _ in range(4):
        last, other = await begin(rooms, A, after=last), await begin(rooms, B, after=other)
    sent = (await gateway.signals.post(signal(A))).position
    for _ in range(2):
        await rooms.room_log.trim(event_log(A))
        assert [entry.position for entry in await rooms.room_log.read(event_log(A), limit=10)] == [last]
    await rooms.room_log.trim(event_log(RoomId("unknown")))
    assert [entry.position for entry in await rooms.room_log.last([event_log(A)])] == [last]
    assert await rooms.room_log.position(event_log(A)) == last
    assert await rooms.room_log.position(subjects.room_log(A)) == sent, "signals are not its business"
    assert len(await rooms.room_log.read(event_log(B), limit=10)) == 4
    with pytest.raises(Conflict):
        await begin(rooms, A)
    assert await begin(rooms, A, after=last) > last


async def test_the_newest_position(connect: Connect) -> None:
    """Of all subjects that match, without lag; 0 where nothing is."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    assert await rooms.room_log.position(event_log(A)) == 0
    last = 0
    for _ in range(50):
        last = await begin(rooms, A, after=last)
        assert (
            await rooms.room_log.position(event_log(A)) == await gateway.room_log.position(subjects.room_log(A)) == last
        )
    sent = (await gateway.signals.post(signal(A))).position
    assert (await rooms.room_log.position(event_log(A)), await rooms.room_log.position(subjects.room_log(A))) == (
        last,
        sent,
    )
    assert await rooms.room_log.position(subjects.room_log(B)) == 0


async def test_all_speak_of_the_same_log(connect: Connect) -> None:
    """Every process gives the log the same incarnation, which is not empty."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    assert rooms.room_log.incarnation == gateway.room_log.incarnation != ""
    await gateway.connection.check()
