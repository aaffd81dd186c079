"""What a session missed: the part of the log after its cursor says what a live member would have been told, all of it, once."""

import json
from typing import Any

import pytest

from services.gateway.replica.replay import Backlog, first_missed, replay, usable
from services.gateway.replica.replica import Delivery, Push, Replica
from services.rooms.deadlines import GatewayLost
from shared.broker.room_log import StoredEvents
from shared.rooms.roster import Roster, Snapshot
from shared.values.cursor import Cursor
from shared.values.ids import GatewayId, ParticipantId
from shared.values.position import NOWHERE, Position
from tests.support.absence import G1, drop, resume
from tests.support.orders import ROOM, close, create, join, leave, update
from tests.support.tape import Tape

ME = ParticipantId("p_me_1")


def state(tape: Tape, position: int) -> Snapshot:
    """The room as of a position."""
    roster = Roster(ROOM, "tape")
    for entry in tape.entries:
        if entry.position <= position and isinstance(entry, StoredEvents):
            roster.apply(entry.entry())
    return roster.snapshot()


def live(tape: Tape, start: int) -> list[Push | Delivery]:
    """All that a member hears who came in at this position and stayed connected."""
    replica = Replica(ROOM)
    replica.start(state(tape, start))
    items = [item for entry in tape.entries if entry.position > start for item in replica.receive(entry)]
    return [item for item in items if isinstance(item, Push) or item.to == ME]


def cursor_of(item: Push | Delivery) -> Cursor:
    """What the client has in its hands after this item."""
    cursor = item.cursor if isinstance(item, Delivery) else Cursor.parse(json.loads(item.payload)["cursor"])
    assert cursor is not None
    return cursor


def missed(tape: Tape, cursor: Cursor, end: int, known: int | None = None) -> Backlog | None:
    """What is replayed up to `end`, for a session that came back when the room was as of `known`."""
    entries = [entry for entry in tape.entries if entry.position >= first_missed(cursor)]
    return replay(entries, cursor, ME, state(tape, end if known is None else known), Position(end))


def told(found: Backlog | None) -> list[Any]:
    """The type of a push, the body of a signal."""
    assert found is not None
    return [json.loads(item.payload)["type"] if isinstance(item, Push) else item.body for item in found.items]


def room(*names: str) -> tuple[Tape, Cursor]:
    """A room with these and me, and the cursor of my snapshot."""
    tape = Tape(create(), *(join(name) for name in names), join("me"))
    return tape, Cursor("tape", tape.entries[-1].position)


def test_what_was_missed_and_deleted_is_not_made_up() -> None:
    """A cursor below a snapshot in the log, with changes between that are gone: nothing, so the client gets the room."""
    tape, cursor = room("a")
    tape.do(join("b"))
    tape.checkpoint()
    end = tape.do(join("c"))
    assert missed(tape, cursor, end.position) is None


def test_a_snapshot_in_the_log_is_passed_over() -> None:
    """What is whole is told: when the changes before the snapshot are there, and when the cursor is at the last of them."""
    tape, cursor = room("a")
    before = tape.do(join("b"))
    tape.checkpoint(trim=False)
    end = tape.do(join("c"))
    assert told(missed(tape, cursor, end.position)) == ["user_joined", "user_joined"]
    tape.entries = [entry for entry in tape.entries if entry.position > before.position]
    assert told(missed(tape, Cursor("tape", before.position), end.position)) == ["user_joined"]
    assert missed(tape, cursor, end.position) is None


def test_a_batch_seen_in_part_of_which_the_rest_is_gone() -> None:
    """A cursor inside an entry that was deleted is below the snapshot, too."""
    tape, _ = room("a")
    replaced = tape.do(join("a", n=2))
    tape.checkpoint()
    end = tape.do(join("c"))
    assert missed(tape, Cursor("tape", replaced.position, 1), end.position) is None
    assert told(missed(tape, Cursor("tape", replaced.position), end.position)) == ["user_joined"]


def test_a_snapshot_behind_the_end_shows_it_too() -> None:
    """The log was read further than is told: what is gone before the end shows itself by a snapshot behind it."""
    tape, cursor = room("a")
    end = tape.do(join("b"))
    known = state(tape, end.position)
    tape.checkpoint()
    entries = [entry for entry in tape.entries if entry.position >= first_missed(cursor)]
    assert replay(entries, cursor, ME, known, end.position) is None


def test_what_cannot_be_read_may_be_a_snapshot() -> None:
    """An entry of the event log that this version cannot read: nobody knows what is gone before it."""
    tape, cursor = room("a")
    tape.do(join("b"))
    at = tape.checkpoint()
    tape.entries[-1] = StoredEvents(at.position, ROOM, b'[{"type":"agentlink.room.snapshot"}]')
    end = tape.do(join("c"))
    entries = [entry for entry in tape.entries if entry.position >= first_missed(cursor)]
    assert replay(entries, cursor, ME, tape.snapshot(), end.position) is None


def test_nothing_was_missed() -> None:
    """At the end of the log there is nothing to tell, but how far it is."""
    tape, cursor = room("a")
    assert missed(tape, cursor, cursor.sequence) == Backlog([], cursor.sequence, 3)


def test_events_and_my_signals() -> None:
    """Everybody's changes and what was sent to me, in the log's order with its cursors; not what others were sent."""
    tape, cursor = room("a", "b")
    tape.signal("p_a_1", ME, b"offer")
    tape.signal("p_a_1", "p_b_1", b"not mine")
    tape.do(update("p_b_1", name="Bea"))
    end = tape.signal("p_b_1", ME, b"candidate")
    found = missed(tape, cursor, end.position)
    assert told(found) == [b"offer", "user_updated", b"candidate"]
    assert found is not None
    assert (found.sequence, found.revision) == (end.position, 5)
    assert cursor_of(found.items[-1]).sequence == end.position


def test_a_batch_that_was_seen_in_part() -> None:
    """Of an entry with several events the rest follows, wherever it was cut."""
    tape, cursor = room("a", "b")
    tape.do(close())
    end = tape.entries[-1].position
    types = ["user_left", "user_left", "user_left", "room_closed"]
    assert told(missed(tape, cursor, end)) == types
    for part in (1, 2, 3):
        assert told(missed(tape, Cursor("tape", end, part), end)) == types[part:]
    assert told(missed(tape, Cursor("tape", end), end)) == []


def test_senders_that_left() -> None:
    """What was sent before the sender left is told, also when it left meanwhile; what stands after it is not."""
    tape, cursor = room("a", "b")
    tape.signal("p_a_1", ME, b"before")
    tape.do(leave("p_a_1"))
    tape.signal("p_a_1", ME, b"after")
    between = Cursor("tape", tape.entries[-2].position)
    end = tape.signal("p_b_1", ME, b"b").position
    assert told(missed(tape, cursor, end)) == [b"before", "user_left", b"b"]
    assert told(missed(tape, between, end)) == [b"b"], "it had left before the cursor"


def test_a_sender_whose_leaving_was_told_before_its_signal() -> None:
    """A client that was shown the room after somebody left hears nothing older from it either; from others it does."""
    tape, cursor = room("a", "b")
    tape.signal("p_a_1", ME, b"of one who is gone")
    tape.signal("p_b_1", ME, b"of one who is there")
    shown = tape.do(leave("p_a_1")).position
    tape.do(update("p_b_1", name="New"))
    end = tape.entries[-1].position
    heard = missed(tape, Cursor("tape", cursor.sequence, events=shown), end)
    assert told(heard) == [b"of one who is there", "user_updated"]


def test_a_sender_that_moved() -> None:
    """From where a participant has another gateway, what the one before says for it is not believed; what came before is."""
    tape, cursor = room("a")
    tape.signal("p_a_1", ME, b"1", epoch=1)
    tape.do(drop("a"))
    tape.signal("p_a_1", ME, b"2", epoch=1)
    tape.do(resume("a"))
    tape.signal("p_a_1", ME, b"too late", epoch=1)
    tape.signal("p_a_1", ME, b"3", epoch=2)
    tape.do(resume("a", GatewayId("g3"), "r2"))
    tape.signal("p_a_1", ME, b"too late", epoch=2)
    end = tape.signal("p_a_1", ME, b"4", epoch=3).position
    moved = "user_updated"
    everything = [b"1", moved, b"2", moved, b"3", moved, b"4"]
    assert told(missed(tape, cursor, end)) == everything
    assert [item for item in live(tape, cursor.sequence) if isinstance(item, Delivery)] == [
        item for item in (missed(tape, cursor, end) or Backlog([], NOWHERE, 0)).items if isinstance(item, Delivery)
    ]
    tape.do(leave("p_a_1", epoch=3))
    assert told(missed(tape, cursor, tape.entries[-1].position)) == [*everything, "user_left"]


def test_from_before_the_stay() -> None:
    """A cursor from before the own join cannot be continued; nor can one within that entry."""
    tape, cursor = room("a")
    end = tape.do(update("p_a_1", name="Ann")).position
    for before in (0, 1, cursor.sequence - 1):
        assert missed(tape, Cursor("tape", Position(before)), end) is None
    assert missed(tape, Cursor("tape", cursor.sequence, 1), end) is None
    assert missed(tape, cursor, end) is not None


def test_no_further_than_the_end() -> None:
    """What stands above the end is another's to tell: it is heard live."""
    tape, cursor = room("a")
    for n in range(5):
        tape.do(update("p_a_1", f"u{n}", name=f"{n}"))
        tape.signal("p_a_1", ME)
    for n, entry in enumerate(tape.entries[3:]):
        found = missed(tape, cursor, entry.position)
        assert found is not None
        assert len(found.items) == n + 1
        assert (found.sequence, found.revision) == (entry.position, 4 + n // 2)


@pytest.mark.parametrize(
    ("cursor", "good"),
    [
        (Cursor("tape", Position(7)), True),
        (Cursor("tape", Position(7), 3), True),
        (Cursor("tape", Position(0)), True),
        (Cursor("tape", Position(8)), False),
        (Cursor("other", Position(5)), False),
        (None, False),
    ],
)
def test_what_a_cursor_must_be(cursor: Cursor | None, good: bool) -> None:
    """Of this log, and not from the future."""
    assert usable(cursor, "tape", Position(7)) is good


def test_where_to_read_from() -> None:
    """After the entry, or at it when it was seen in part."""
    assert (first_missed(Cursor("tape", Position(7))), first_missed(Cursor("tape", Position(7), 2))) == (8, 7)


def test_an_event_that_was_lost_before_a_signal() -> None:
    """A signal's cursor says which events were told before it: what was lost in between is missed, and nothing else."""
    tape, cursor = room("b")
    start = cursor.sequence
    lost = tape.do(update("p_b_1", "u1", name="Bob"))
    heard = tape.signal("p_b_1", ME, b"heard")
    behind = tape.signal("p_b_1", ME, b"behind")
    end = tape.entries[-1].position
    found = missed(tape, Cursor("tape", heard.position, events=start), end)
    assert found is not None
    assert [item.sequence for item in found.items] == [lost.position, behind.position], found.items
    assert [item.cursor for item in found.items if isinstance(item, Delivery)] == [
        Cursor("tape", behind.position, events=lost.position)
    ]
    late = Cursor("tape", heard.position, events=lost.position)
    found = missed(tape, late, end)
    assert found is not None
    assert [item.sequence for item in found.items] == [behind.position]


def test_a_batch_that_was_told_late() -> None:
    """A client hears one of its events after a signal that is behind it, and goes: the others follow, and no signal twice."""
    tape, cursor = room("a", "b")
    lost = tape.do(GatewayLost(ROOM, G1))
    tape.signal("p_a_1", ME, b"heard")
    behind = tape.signal("p_b_1", ME, b"behind")
    heard = tape.entries[-2].position
    pushes = [item for item in live(tape, cursor.sequence) if isinstance(item, Push)]
    assert [push.part for push in pushes] == [1, 2, 0]
    for n, push in enumerate(pushes):
        after = Cursor.parse(push.told_after(heard, "tape").text())
        assert after is not None
        found = missed(tape, after, behind.position)
        assert found is not None
        assert [item.sequence for item in found.items] == [*[lost.position] * (2 - n), behind.position]
