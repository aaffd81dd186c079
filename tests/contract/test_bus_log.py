"""What both buses promise about the log: appending, following, reading, snapshots."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.rooms.decision import Context, Rules
from services.rooms.rules import decide
from shared.broker import subjects
from shared.broker.bus import Bus, Conflict
from shared.broker.subjects import LogSubject, event_log, live_room, room_log, signal_log
from shared.rooms.events import decode
from shared.rooms.roster import Roster, Snapshot
from shared.values.ids import ParticipantId, RoomId
from tests.support.logs import Ear, begin, created, signal
from tests.support.orders import NOW, join
from tests.support.patience import eventually, eventually_async

Connect = Callable[[str], Awaitable[Bus]]
A, B = RoomId("room-a"), RoomId("room-b")


# -- append ------------------------------------------------------------------------------------------------------------


async def test_an_append_is_stored_as_it_is(connect: Connect) -> None:
    """Events and stamp are read back as they were appended, at the position the append told."""
    rooms = await connect("rooms")
    decision = decide(Roster(A, ""), join("bob", A), Context(NOW, Rules(creates_on_join=True)))
    sequence = await rooms.append(A, decision.events, decision.stamp, after=0)
    (entry,) = await rooms.read(event_log(A), after=0, limit=10)
    assert (entry.sequence, entry.subject) == (sequence, LogSubject(A, "event"))
    assert (list(entry.events().events), entry.events().stamp) == (decision.events, decision.stamp)


async def test_an_append_needs_the_newest_position(connect: Connect) -> None:
    """Too low, too high and 0 are conflicts that write nothing; the newest is accepted."""
    rooms = await connect("rooms")
    first = await begin(rooms, A)
    for after in (0, first - 1, first + 1, first + 1000):
        with pytest.raises(Conflict):
            await begin(rooms, A, after=after)
    assert [entry.sequence for entry in await rooms.read(event_log(A), after=0, limit=10)] == [first]
    assert await begin(rooms, A, after=first) > first


async def test_a_first_append_needs_an_empty_log(connect: Connect) -> None:
    """A position in a room without events is a conflict; other rooms and signals are not its business."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    with pytest.raises(Conflict):
        await begin(rooms, A, after=1)
    other = await begin(rooms, B)
    await gateway.post(signal(A))
    assert await begin(rooms, A) > other
    assert await begin(rooms, B, after=other) > other


async def test_of_racing_appends_one_wins(connect: Connect) -> None:
    """Of many at once, from two processes, exactly one is accepted and the others know that they were not."""
    one, two = await connect("rooms"), await connect("rooms")
    after = 0
    for _ in range(5):
        racing = [begin(bus, A, after=after) for bus in (one, two) for _ in range(10)]
        outcomes = await asyncio.gather(*racing, return_exceptions=True)
        won = [outcome for outcome in outcomes if isinstance(outcome, int)]
        assert len(won) == 1
        assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 19
        after = won[0]
    assert len(await one.read(event_log(A), after=0, limit=100)) == 5


# -- post --------------------------------------------------------------------------------------------------------------


async def test_a_signal_is_stored_for_its_receiver(connect: Connect) -> None:
    """Body verbatim, sender and epoch in the headers, under the receiver's subject."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    body = bytes(range(256))
    sequence = (await gateway.post(signal(A, "p_bob", body, epoch=3))).sequence
    (entry,) = await rooms.read(signal_log(A, ParticipantId("p_bob")), after=0, limit=10)
    assert (entry.sequence, entry.body) == (sequence, body)
    assert entry.subject == LogSubject(A, "signal", ParticipantId("p_bob"))
    assert (entry.headers["Parley-From"], entry.headers["Parley-Epoch"]) == ("p_ann", "3")


async def test_a_repeated_signal_is_stored_once(connect: Connect) -> None:
    """The same key gives the first one's position, from another process and at the same time too."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    other = await connect("gateway")
    repeats = [bus.post(signal(A, key="k1")) for bus in (gateway, other, gateway, other)]
    posted = await asyncio.gather(*repeats)
    assert len({one.sequence for one in posted}) == 1
    assert sorted(one.again for one in posted) == [False, True, True, True]
    assert await gateway.post(signal(A, key="k2")) != await gateway.post(signal(A, key="k1"))
    assert len({await gateway.post(signal(A)), await gateway.post(signal(A))}) == 2, "without a key nothing is a repeat"
    assert len(await rooms.read(room_log(A), after=0, limit=10)) == 4


# -- follow ------------------------------------------------------------------------------------------------------------


async def test_a_follower_hears_the_logs_order(connect: Connect) -> None:
    """Events and signals of one room, from several processes, in the order of their positions, whole, without a hole."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    ear = Ear()
    await gateway.follow(live_room(A), ear.receive, ear.miss)
    after = 0
    for n in range(30):
        after = await begin(rooms, A, after=after)
        await asyncio.gather(*(gateway.post(signal(A, body=b"%d" % (10 * n + i))) for i in range(5)))
    await eventually(lambda: len(ear.heard) == 180, "everything is heard")
    stored = await rooms.read(room_log(A), after=0, limit=1000)
    assert ear.positions == sorted(ear.positions) == [entry.sequence for entry in stored]
    assert [(e.subject, e.body) for e in ear.heard] == [(e.subject, e.body) for e in stored]
    assert [decode(e.body)[0].type for e in ear.heard if e.subject.kind == "event"] == ["created"] * 30
    assert ear.heard[0].events().stamp == created(A).stamp
    assert ear.missed == 0


async def test_nothing_is_missed_after_follow_returned(connect: Connect) -> None:
    """What is appended right after `follow` returned, by another process, is heard."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    for n in range(100):
        ear = Ear()
        await gateway.follow(live_room(RoomId(f"room-{n}")), ear.receive, ear.miss)
        sequence = await begin(rooms, f"room-{n}")
        await eventually(ear.hears(sequence), "the entry is heard")
        assert ear.positions == [sequence]


async def test_what_was_refused_is_not_heard(connect: Connect) -> None:
    """A conflict, and a repeat of a signal, reach no follower."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    ear = Ear()
    await gateway.follow(live_room(A), ear.receive, ear.miss)
    first = await begin(rooms, A)
    for _ in range(3):
        with pytest.raises(Conflict):
            await begin(rooms, A)
    sent = (await gateway.post(signal(A, key="k"))).sequence
    await gateway.post(signal(A, key="k"))
    last = await begin(rooms, A, after=first)
    await eventually(lambda: last in ear.positions, "the last is heard")
    assert ear.positions == [first, sent, last]


async def test_other_rooms_are_not_heard(connect: Connect) -> None:
    """A room's follower hears that room, whatever other names begin the same; a follower of all events no signals."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    ear, all_events = Ear(), Ear()
    await gateway.follow(live_room(A), ear.receive, ear.miss)
    await rooms.follow(subjects.ALL_EVENTS_LIVE, all_events.receive, all_events.miss)
    elsewhere = [await begin(rooms, f"{A}-2"), await begin(rooms, B)]
    await gateway.post(signal(B))
    here = await begin(rooms, A)
    await eventually(lambda: bool(ear.heard) and len(all_events.heard) == 3, "it is heard")
    assert ear.positions == [here]
    assert all_events.positions == [*elsewhere, here]


async def test_who_stopped_hears_no_more(connect: Connect) -> None:
    """After `stop` returned nothing is called; other followers of the room go on."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    ear, other = Ear(), Ear()
    following = await gateway.follow(live_room(A), ear.receive, ear.miss)
    await gateway.follow(live_room(A), other.receive, other.miss)
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
        stored += [event, (await gateway.post(signal(A))).sequence]

    async def positions(subject: str, after: int, limit: int) -> list[int]:
        return [entry.sequence for entry in await gateway.read(subject, after=after, limit=limit)]

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
    await asyncio.gather(*(gateway.post(signal(A, body=bytes(2000))) for _ in range(700)))
    assert len(await gateway.read(room_log(A), after=0, limit=500)) == 500
    assert len(await gateway.read(room_log(A), after=0, limit=1000)) == 701


async def test_the_newest_of_some_rooms(connect: Connect) -> None:
    """`last` gives the newest entry of each named subject that has any, by position."""
    rooms = await connect("rooms")
    first = await begin(rooms, A)
    second = await begin(rooms, B)
    newer = await begin(rooms, A, after=first)
    named = [event_log(A), event_log(B), event_log(RoomId("unknown"))]
    assert [entry.sequence for entry in await rooms.last(named)] == [second, newer]
    assert await rooms.last([event_log(RoomId("unknown"))]) == []
    assert await rooms.last([]) == []


async def test_the_newest_of_all(connect: Connect) -> None:
    """`position` is that of the one newest entry among all subjects that match; 0 in an empty log."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    assert await rooms.position(subjects.ALL_EVENTS) == 0
    await begin(rooms, A)
    newest = await begin(rooms, B)
    await gateway.post(signal(A))
    assert await rooms.position(subjects.ALL_EVENTS) == newest
    assert await gateway.position(subjects.room_log(A)) == newest + 1


async def test_the_newest_of_each_of_very_many(connect: Connect) -> None:
    """More rooms than the server answers in one direct get (1,024): each once, with its newest entry, oldest first."""
    rooms = await connect("rooms")
    assert await rooms.newest_of_each(subjects.ALL_EVENTS) == []
    names = [f"room-{n}" for n in range(1150)]
    firsts = await asyncio.gather(*(begin(rooms, name) for name in names))
    newer = await asyncio.gather(*(begin(rooms, name, after=n) for name, n in zip(names[:50], firsts, strict=False)))
    found = await rooms.newest_of_each(subjects.ALL_EVENTS)
    assert [entry.sequence for entry in found] == sorted([*firsts[50:], *newer])
    assert {entry.subject.room_id for entry in found} == set(names)
    assert found[0].events().events[0].type == "created"


# -- snapshots ---------------------------------------------------------------------------------------------------------


def snapshot(bus: Bus, revision: int, incarnation: str | None = None) -> Snapshot:
    room = created(A).events[0].change.room
    return Snapshot(
        room_id=A,
        incarnation=incarnation or bus.incarnation,
        sequence=revision,
        revision=revision,
        room=room,
        seats=[],
        operations={"op": 1.5},
    )


async def test_the_newest_snapshot_is_kept(connect: Connect) -> None:
    """Another process finds the newest one, whole; a room that has none has none."""
    one, two = await connect("rooms"), await connect("rooms")
    assert await one.load_snapshot(A) is None
    for revision in (1, 2, 3):
        await one.save_snapshot(snapshot(one, revision))

    async def newest_is_there() -> bool:
        return await two.load_snapshot(A) == snapshot(two, 3)

    await eventually_async(newest_is_there, "the newest snapshot is found")
    assert await two.load_snapshot(B) is None


async def test_a_snapshot_of_another_log_means_nothing(connect: Connect) -> None:
    """What was folded from another incarnation of the log is not loaded."""
    rooms = await connect("rooms")
    await rooms.save_snapshot(snapshot(rooms, 3))

    async def there() -> bool:
        return await rooms.load_snapshot(A) is not None

    await eventually_async(there, "the snapshot is found")
    await rooms.save_snapshot(snapshot(rooms, 4, incarnation="before"))

    async def not_there() -> bool:
        return await rooms.load_snapshot(A) is None

    await eventually_async(not_there, "the other log's snapshot is ignored")


async def test_all_speak_of_the_same_log(connect: Connect) -> None:
    """Every process gives the log the same incarnation, which is not empty."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    assert rooms.incarnation == gateway.incarnation != ""
    await gateway.check()
