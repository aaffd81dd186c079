"""When a room's log is trimmed and up to where, decided without a log."""

from dataclasses import replace

from services.rooms.trimming import (
    CONSUMER_SECONDS,
    Delete,
    Extent,
    Limits,
    Mark,
    Wait,
    Write,
    next_step,
    state_of,
)
from shared.rooms.events import Stamp
from shared.rooms.roster import SNAPSHOT_FOLD, Entry, Snapshot
from shared.values.position import EVERYWHERE, NOWHERE, Position
from tests.support.orders import NOW, LoggedRoom, close, create, grant, join, leave
from tests.support.trimmed import snapshot_of

LIMITS = Limits(size=1000, seconds=3600, kept_seconds=60, closed_seconds=30, consumer_seconds=600)
MARK = Mark(Position(5), NOW, Position(4))
CHANGES = Extent(first=Position(1), newest=Position(3), size=999, since=NOW)
MARKED = Extent(first=Position(1), newest=Position(5), mark=MARK)
TRIMMED = replace(MARKED, first=Position(5))
CLOSED = Extent(first=Position(1), newest=Position(5), mark=Mark(Position(5), NOW), closed=True)


def step(log: Extent, after: float = 0.0, taken: int = EVERYWHERE, limits: Limits = LIMITS) -> Write | Delete | Wait:
    return next_step(log, limits, NOW + after, Position(taken))


def test_a_snapshot_is_due_by_bytes_and_by_age() -> None:
    """At the limit and not before; each can be switched off."""
    assert step(CHANGES) == Wait(NOW + 3600)
    assert step(replace(CHANGES, size=1000)) == Write()
    assert step(CHANGES, 3599.9) == Wait(NOW + 3600)
    assert step(CHANGES, 3600) == Write(aged=True)
    assert step(replace(CHANGES, size=10**9), limits=replace(LIMITS, size=0)) == Wait(NOW + 3600)
    assert step(CHANGES, 10**9, limits=replace(LIMITS, seconds=0)) == Wait()
    assert step(replace(CHANGES, size=1000), limits=replace(LIMITS, seconds=0)) == Write()


def test_nothing_younger_than_it_is_kept_for_is_deleted() -> None:
    """What is before a snapshot goes when the snapshot has been there long enough: then all of it is older."""
    assert step(MARKED) == step(MARKED, 59.9) == Wait(NOW + 60)
    assert step(MARKED, 60) == Delete(MARK)


def test_while_a_snapshot_waits_no_other_is_written() -> None:
    """However much comes behind it, or how long that takes: at most what two of them stand for is kept."""
    assert step(replace(MARKED, size=10**9, since=NOW - 10**6), 59) == Wait(NOW + 60)


def test_a_trimmed_log_is_like_a_new_one() -> None:
    """Nothing to do until there are changes behind the snapshot, and these count anew."""
    assert step(TRIMMED, 10**6) == Wait()
    assert step(replace(TRIMMED, size=999, since=NOW + 1), 10) == Wait(NOW + 3601)
    assert step(replace(TRIMMED, size=1000, since=NOW + 1), 10) == Write()


def test_consumers_are_waited_for_so_long_and_no_longer() -> None:
    """One that has not taken the snapshot holds the deletion up, and is looked at again; the limit comes all the same."""
    assert step(MARKED, 60, taken=4) == Wait(NOW + 60 + CONSUMER_SECONDS)
    assert step(MARKED, 60, taken=5) == Delete(MARK)
    assert step(MARKED, 655, taken=NOWHERE) == Wait(NOW + 660)
    assert step(MARKED, 660, taken=NOWHERE) == Delete(MARK)
    assert step(MARKED, 60, taken=4, limits=replace(LIMITS, consumer_seconds=0)) == Delete(MARK)


def test_a_closed_room_keeps_its_end() -> None:
    """After its own time a snapshot of it is written and the rest is deleted at once; then there is nothing to do."""
    assert step(CLOSED, 29) == Wait(NOW + 30)
    assert step(CLOSED, 30) == Write(aged=True)
    assert step(replace(CLOSED, first=Position(5)), 30) == Write(aged=True)
    end = Mark(Position(7), NOW, Position(6))
    ended = replace(CLOSED, newest=Position(7), mark=end)
    assert step(ended, 30) == Delete(end)
    assert step(replace(ended, first=Position(7)), 10**9) == Wait()
    assert step(CLOSED, 10**9, limits=replace(LIMITS, closed_seconds=0)) == Wait()


def extent(*entries: Entry, size: int = 100) -> Extent:
    found = Extent()
    for entry in entries:
        found.take(entry, size)
    return found


def test_what_a_log_consists_of() -> None:
    """Bytes and age are those of the changes behind the newest snapshot; what cannot be read counts as a change."""
    room = LoggedRoom(create(), join("a"))
    one, two = room.log
    assert extent(one, two) == Extent(first=Position(1), newest=Position(2), size=200, since=NOW)
    snapshot = Entry(Position(9), [snapshot_of(room.fold, 8)], Stamp(""))
    mark = Mark(Position(9), NOW + 3600, Position(8))
    marked = Extent(first=Position(1), newest=Position(9), mark=mark)
    assert extent(one, two, snapshot) == marked
    unread = Entry(Position(10), [], Stamp(""))
    room.now += 5000
    room.do(join("b"))
    change = replace(room.log[-1], sequence=Position(11))
    expected = replace(marked, first=Position(9), newest=Position(11), size=200, since=NOW + 5000)
    assert extent(snapshot, unread, change) == expected


def test_the_close_of_a_room_is_a_mark() -> None:
    """It has no state, and is the newest mark also behind a snapshot. The snapshot that follows it is as old as it."""
    room = LoggedRoom(create(), join("a"))
    snapshot = Entry(Position(3), [snapshot_of(room.fold, 2)], Stamp(""))
    room.do(close())
    end = replace(room.log[-1], sequence=Position(4))
    found = extent(*room.log[:2], snapshot, end)
    assert (found.closed, found.mark, found.first) == (True, Mark(Position(4), NOW), 1)
    after = Entry(Position(6), [snapshot_of(room.fold, 5)], Stamp(""))
    found.take(after, 100)
    assert (found.closed, found.mark) == (True, Mark(Position(6), NOW, Position(5)))
    assert extent(after).mark == Mark(Position(6), NOW + 3600, Position(5))


def test_the_state_has_all_that_is_decided_on() -> None:
    """Sessions, operations, used join tokens, who left; a closed room decides on none of these any more."""
    room = LoggedRoom(create(), join("a", grant=grant("a")), join("b"), leave("p_b_1"))
    kept = state_of(room.fold, SNAPSHOT_FOLD)
    assert kept == room.fold.snapshot(whole=True)
    assert isinstance(kept, Snapshot)
    assert kept.grants
    assert kept.operations
    assert kept.departed
    room.fold.also["another"] = NOW
    room.do(close())
    ended = state_of(room.fold, SNAPSHOT_FOLD)
    assert (ended.operations, ended.also, ended.grants, ended.departed, ended.seats) == ({}, {}, {}, {}, [])
    assert (ended.closed, ended.origin) == ("deleted", room.fold.origin)
