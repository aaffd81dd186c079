"""A gateway's copy of a room: order, holes, and who is told what."""

import json
from typing import Any

from services.gateway.replica.replica import Delivery, Push, Replica, State
from shared.broker import headers
from shared.broker.room_log import RoomEntry, StoredEvents, StoredSignal, StoredState
from shared.rooms.events import Stamp, encode
from shared.values.cursor import Cursor
from shared.values.ids import GatewayId, ParticipantId, SessionKey
from shared.values.position import NOWHERE, Position
from tests.support.orders import ROOM, close, create, join, leave, update
from tests.support.stored import events_of
from tests.support.tape import Tape


def room(*names: str) -> tuple[Tape, Replica]:
    """A room with these participants, and a replica as of now."""
    tape = Tape(create(), *(join(name) for name in names))
    replica = Replica(ROOM)
    assert replica.start(tape.snapshot()) == []
    return tape, replica


def told(items: list[Push | Delivery]) -> list[Any]:
    """What clients would be told: the type of a push, the body of a signal."""
    return [json.loads(item.payload)["type"] if isinstance(item, Push) else item.body for item in items]


def test_entries_become_pushes_in_order() -> None:
    """Each event is one push with its revision and cursor; a signal goes to its receiver with the cursor added."""
    tape, replica = room("a")
    joined = tape.do(join("b"))
    (push,) = replica.receive(joined)
    assert isinstance(push, Push)
    message = json.loads(push.payload)
    assert (message["type"], message["revision"], message["participant"]["id"]) == ("user_joined", 3, "p_b_1")
    assert message["cursor"] == Cursor("tape", joined.position).text()
    signal = tape.signal("p_b_1", "p_a_1", b"offer")
    assert replica.receive(signal) == [
        Delivery(
            signal.position,
            ParticipantId("p_a_1"),
            ParticipantId("p_b_1"),
            1,
            b"offer",
            Cursor("tape", signal.position, events=joined.position),
        )
    ]


def test_what_was_seen_is_old() -> None:
    """An entry that comes again, or one the snapshot contains, says nothing."""
    tape, replica = room("a", "b")
    entries: list[RoomEntry] = [tape.do(update("p_a_1", name="New")), tape.signal("p_a_1", "p_b_1")]
    for entry in entries:
        assert replica.receive(entry)
    for entry in tape.entries:
        assert replica.receive(entry) == []
    assert replica.state is State.LIVE


def test_before_the_snapshot_everything_waits() -> None:
    """What comes live before the snapshot follows it if it is above, and is dropped if it is contained."""
    tape = Tape(create(), join("a"))
    replica = Replica(ROOM)
    assert replica.receive(tape.entries[-1]) == []
    snapshot = tape.snapshot()
    assert replica.receive(tape.do(join("b"))) == []
    assert told(replica.start(snapshot)) == ["user_joined"]


def test_a_revision_shows_a_hole() -> None:
    """When a revision is missing nothing is pushed until it was read; then everything comes, in order, once."""
    tape, replica = room("a")
    tape.do(join("b"))
    assert replica.receive(tape.do(update("p_a_1", name="New"))) == []
    assert (replica.state, replica.gap) == (State.CATCHING_UP, "revision")
    assert replica.receive(tape.do(leave("p_b_1"))) == []
    assert told(replica.fill_gap(tape.above(replica.read_from))) == ["user_joined", "user_updated", "user_left"]
    assert replica.state is State.LIVE


def test_a_signal_shows_a_hole() -> None:
    """A signal names the one before it to the same receiver; if that was not seen, both wait for the log."""
    tape, replica = room("a", "b")
    tape.signal("p_a_1", "p_b_1", b"offer")
    assert replica.receive(tape.signal("p_a_1", "p_b_1", b"candidate")) == []
    assert (replica.state, replica.gap) == (State.CATCHING_UP, "signal")
    assert told(replica.fill_gap(tape.above(replica.read_from))) == [b"offer", b"candidate"]


def test_a_hole_that_shows_late_is_filled() -> None:
    """What was committed behind a hole may have been taken before it shows: reading starts at the hole, not there."""
    tape, replica = room("a", "b")
    tape.signal("p_a_1", "p_b_1", b"lost")
    assert told(replica.receive(tape.do(update("p_a_1", name="New")))) == ["user_updated"]
    replica.receive(tape.signal("p_a_1", "p_b_1", b"next"))
    assert told(replica.fill_gap(tape.above(replica.read_from))) == [b"lost", b"next"]
    tape.do(update("p_a_1", "u2", name="B"))
    assert told(replica.receive(tape.signal("p_b_1", "p_a_1", b"back"))) == [b"back"]
    assert replica.receive(tape.do(update("p_a_1", "u3", name="C"))) == []
    assert told(replica.fill_gap(tape.above(replica.read_from))) == ["user_updated", "user_updated"]


def test_a_hole_of_one_does_not_hide_that_of_another() -> None:
    """When a hole is read, signals to others that were lost before it are read too: the next to them may be in there."""
    tape, replica = room("a", "b", "c")
    tape.signal("p_a_1", "p_b_1", b"lost")
    assert told(replica.receive(tape.signal("p_b_1", "p_c_1", b"heard"))) == [b"heard"]
    tape.signal("p_a_1", "p_b_1", b"next")
    replica.resync("connection")
    assert told(replica.fill_gap(tape.above(replica.read_from))) == [b"lost", b"next"]


def test_reading_goes_back_as_far_as_signals_are_kept() -> None:
    """What was there when signals were last forgotten is read no more: nobody was told it, and nobody can be."""
    tape, replica = room("a", "b")
    for n in range(3):
        replica.receive(tape.do(update("p_a_1", f"u{n}", name=f"name {n}")))
    replica.resync("connection")
    assert replica.read_from == replica.started_at
    replica.fill_gap([])
    replica.turn_page()
    middle = replica.position
    replica.receive(tape.do(update("p_a_1", "last", name="last")))
    replica.turn_page()
    replica.resync("connection")
    assert replica.read_from == middle < replica.position


def test_a_signal_from_a_stranger_shows_a_missing_join() -> None:
    """Somebody who never was here writes: the join was missed, and is read first."""
    tape, replica = room("a")
    tape.do(join("b"))
    assert replica.receive(tape.signal("p_b_1", "p_a_1", b"hello")) == []
    assert (replica.state, replica.gap) == (State.CATCHING_UP, "stranger")
    assert told(replica.fill_gap(tape.above(replica.read_from))) == ["user_joined", b"hello"]


def test_a_read_that_lags_leaves_the_hole() -> None:
    """Reads may lag: as long as they do not show what is missing, the replica goes on reading."""
    tape, replica = room("a")
    tape.do(join("b"))
    replica.receive(tape.do(update("p_a_1", name="New")))
    assert replica.fill_gap([]) == []
    assert told(replica.fill_gap(tape.above(replica.read_from, up_to=2))) == []
    assert told(replica.fill_gap(tape.above(replica.read_from, up_to=3))) == ["user_joined", "user_updated"]
    assert replica.state is State.LIVE


def test_suspected_while_waiting() -> None:
    """A suspicion before the snapshot changes nothing; a second one can only make the reading start earlier."""
    replica = Replica(ROOM)
    replica.resync("connection")
    assert replica.state is State.STARTING
    tape, replica = room("a")
    replica.resync("connection")
    replica.resync("silence", Position(replica.position - 1))
    assert (replica.gap, replica.read_from) == ("connection", replica.position - 1)
    replica.resync("silence", Position(replica.position + 1))
    assert replica.read_from == replica.position - 1
    assert tape.above(replica.position) == []


def test_it_can_start_again() -> None:
    """A later snapshot takes the place of everything, what waited above it follows."""
    tape, replica = room("a")
    tape.do(join("b"))
    replica.receive(tape.do(join("c")))
    snapshot = tape.snapshot()
    replica.receive(tape.do(leave("p_c_1")))
    assert told(replica.start(snapshot)) == ["user_left"]
    assert replica.state is State.LIVE
    assert replica.contains(tape.fold.sequence)
    assert replica.seat(ParticipantId("p_b_1")) is not None
    assert replica.seat(ParticipantId("p_c_1")) is None


def test_nothing_to_or_from_those_who_left() -> None:
    """Positions decide: a signal above the user_left of its sender or receiver is dropped."""
    tape, replica = room("a", "b")
    replica.receive(tape.do(leave("p_b_1")))
    assert replica.receive(tape.signal("p_b_1", "p_a_1")) == []
    assert replica.receive(tape.signal("p_a_1", "p_b_1")) == []
    assert replica.state is State.LIVE


def test_a_lower_epoch_is_dropped() -> None:
    """A gateway that lost its participant to another one is fenced by the log's epoch."""
    tape, replica = room("a", "b")
    moved = tape.fold.seats[ParticipantId("p_b_1")].participant
    (*_, decision) = events_of(tape.entries)
    stamp = Stamp("move", moved.id, SessionKey("s"), GatewayId("g2"), 2)
    change = decision.events[-1].change.model_copy(update={"revision": tape.fold.revision + 1})
    event = decision.events[-1].model_copy(update={"type": "participant_updated", "change": change})
    replica.receive(StoredEvents(Position(900), ROOM, encode([event]), headers.of_stamp(stamp)))
    to = ParticipantId("p_a_1")
    old = StoredSignal(Position(901), ROOM, to, moved.id, 1, NOWHERE, b"")
    new = StoredSignal(Position(902), ROOM, to, moved.id, 2, NOWHERE, b"new")
    assert replica.receive(old) == []
    assert told(replica.receive(new)) == [b"new"]


def test_several_events_of_one_entry() -> None:
    """Each push of a batch but the last has a cursor with its part, so that a resume does not skip the rest."""
    tape, replica = room("a", "b")
    entry = tape.do(close())
    pushes = replica.receive(entry)
    assert told(pushes) == ["user_left", "user_left", "room_closed"]
    cursors = [json.loads(push.payload)["cursor"] for push in pushes if isinstance(push, Push)]
    assert cursors == [Cursor("tape", entry.position, part).text() for part in (1, 2, 0)]
    assert [push.ends for push in pushes if isinstance(push, Push)] == [False, False, True]


def test_what_is_no_entry_of_ours_changes_nothing() -> None:
    """An unreadable entry, and an event of a newer version, push nothing and are no hole."""
    tape, replica = room("a")
    assert replica.receive(StoredEvents(Position(500), ROOM, b"\xff{")) == []
    newer = events_of(tape.entries)[-1].events[0].model_copy(update={"type": "painted"})
    change = newer.change.model_copy(update={"revision": tape.fold.revision + 1})
    body = encode([newer.model_copy(update={"change": change})])
    assert replica.receive(StoredEvents(Position(501), ROOM, body)) == []
    assert (replica.state, replica.position) == (State.LIVE, 501)


def test_a_snapshot_in_the_log_tells_nothing() -> None:
    """A replica that followed knows all of it: nothing is pushed, the position moves, and what follows is no hole."""
    tape, replica = room("a")
    at = tape.checkpoint()
    assert replica.receive(StoredState(Position(at.position - 1), ROOM, b"only for rooms")) == []
    assert replica.receive(at) == []
    assert (replica.state, replica.position, replica.contains(at.position)) == (State.LIVE, at.position, True)
    assert told(replica.receive(tape.do(join("b")))) == ["user_joined"]


def test_a_snapshot_in_the_log_shows_a_hole() -> None:
    """A replica that missed a change before it reads on. If the change is still there it is told, as ever; if it is gone the
    replica stays in doubt: what clients were not told cannot be made up from a state.
    """
    tape, replica = room("a")
    missed = tape.do(join("b"))
    at = tape.checkpoint(trim=False)
    assert replica.receive(at) == []
    assert (replica.state, replica.gap) == (State.CATCHING_UP, "revision")
    assert told(replica.fill_gap(tape.above(replica.read_from))) == ["user_joined"]
    assert (replica.state, replica.position) == (State.LIVE, at.position)

    other, replica = room("a")
    other.do(join("b"))
    at = other.checkpoint()
    assert missed.position not in {entry.position for entry in other.entries}
    assert replica.receive(at) == []
    for _ in range(2):
        assert replica.fill_gap(other.above(replica.read_from)) == []
        assert replica.state is State.CATCHING_UP
    assert replica.start(other.snapshot()) == []
    assert told(replica.receive(other.do(leave("p_b_1")))) == ["user_left"]
