"""The fold of a room's log."""

from collections.abc import Callable

import pytest

from shared.rooms.events import Change, RoomEvent, Stamp
from shared.rooms.operations import OPERATION_MEMORY
from shared.rooms.roster import GRANT_MEMORY_SECONDS, Entry, Roster, Snapshot
from shared.values.ids import GatewayId, SessionKey
from shared.values.position import Position
from tests.support.orders import (
    NOW,
    ROOM,
    LoggedRoom,
    close,
    create,
    grant,
    join,
    leave,
    update,
    update_room,
)


def lived_in() -> LoggedRoom:
    """A room in which everything happened once."""
    room = LoggedRoom(create(), join("a"), join("b", grant=grant("b")), join("a", n=2), update("p_b_1", name="B"))
    room.do(update_room(name="Other"))
    room.do(leave("p_b_1"))
    room.do(join("c"))
    return room


def fold(entries: list[Entry], start: Roster | None = None) -> Roster:
    roster = start or Roster(ROOM, "test")
    for entry in entries:
        roster.apply(entry)
    return roster


def state(roster: Roster) -> Snapshot:
    return roster.snapshot(whole=True)


def test_the_fold_is_the_room() -> None:
    """From the events alone one knows who is in, the room, the revision, and the highest order ever given."""
    roster = fold(lived_in().log)
    assert list(roster.seats) == ["p_a_2", "p_c_1"]
    assert roster.room is not None
    assert (roster.room.name, roster.room.participant_count) == ("Other", 2)
    assert (roster.revision, roster.last_order, roster.closed) == (8, 4, None)
    assert roster.started_at == "2026-02-11T10:00:00.000Z"


@pytest.mark.parametrize("cut", range(1, 9))
def test_snapshot_and_tail_are_the_whole_log(cut: int) -> None:
    """Wherever a snapshot was taken, it and what came after give the same state as the log from its start."""
    log = lived_in().log
    snapshot = Snapshot.model_validate_json(state(fold(log[:cut])).model_dump_json(by_alias=True))
    assert state(fold(log[cut:], Roster.of(snapshot))) == state(fold(log))


def test_a_snapshot_does_not_follow_its_roster() -> None:
    """What was handed out stays as it was when the room goes on."""
    room = lived_in()
    before = state(room.fold)
    copy = before.model_copy(deep=True)
    room.do(join("d", grant=grant("d", key="k9")))
    assert before == copy


@pytest.mark.parametrize("again", [lambda log: [*log, *log], lambda log: [e for e in log for _ in range(2)]])
def test_applying_again_changes_nothing(again: Callable[[list[Entry]], list[Entry]]) -> None:
    """Entries that come twice, or again from the start, are recognised by their position."""
    log = lived_in().log
    assert state(fold(again(log))) == state(fold(log))


def test_an_operation_stored_twice_counts_once() -> None:
    """A retry that was stored at another position moves the position and nothing else."""
    room = lived_in()
    before = state(room.fold)
    doubled = Entry(Position(99), room.log[-1].events, room.log[-1].stamp)
    assert room.fold.apply(doubled) is False
    assert state(room.fold) == before.model_copy(update={"sequence": 99})


def test_old_events_appended_again_are_ignored() -> None:
    """An entry whose revisions the fold has passed brings nobody back, even without its operation's memory."""
    room = lived_in()
    before = room.fold.snapshot()
    room.fold.apply(Entry(Position(99), room.log[1].events, Stamp("unknown")))
    assert room.fold.snapshot() == before.model_copy(update={"sequence": 99})


def test_events_of_a_newer_version_are_passed_over() -> None:
    """A type this version does not know still counts its revision and brings the room, and seats stay as they are."""
    room = lived_in()
    assert room.fold.room is not None
    renamed = room.fold.room.model_copy(update={"name": "New"})
    event = RoomEvent(type="poll_started", time="2026-02-11T10:00:09Z", change=Change(revision=9, room=renamed))
    assert room.fold.apply(Entry(Position(50), [event], Stamp("x")))
    assert (room.fold.revision, room.fold.room.name, len(room.fold.seats)) == (9, "New", 2)


def test_an_unreadable_entry_moves_only_the_position() -> None:
    """It has a place in the log and changes nothing."""
    room = lived_in()
    before = state(room.fold)
    room.fold.apply(Entry(Position(50), [], Stamp("")))
    assert state(room.fold) == before.model_copy(update={"sequence": 50})


def test_a_move_belongs_to_the_participant_of_the_stamp() -> None:
    """A participant_updated that names a gateway moves that seat (session, gateway, epoch) and no other."""
    room = lived_in()
    seat = room.seat("p_c_1")
    assert room.fold.room is not None
    change = Change(revision=9, room=room.fold.room, participant=seat.participant)
    event = RoomEvent(type="participant_updated", time="2026-02-11T10:00:09Z", change=change)
    stamp = Stamp("op", seat.participant.id, SessionKey("s_new"), GatewayId("g2"), 2)
    untouched = room.seat("p_a_2")
    room.fold.apply(Entry(Position(50), [event], stamp))
    moved = room.seat("p_c_1")
    assert (moved.session, moved.gateway, moved.epoch) == ("s_new", "g2", 2)
    assert room.seat("p_a_2") == untouched


def test_a_join_seats_only_the_newcomer_with_the_session() -> None:
    """In an entry where one replaces another, the session belongs to the one who came."""
    room = LoggedRoom(create(), join("a"), join("b"), join("a", n=2))
    assert room.fold.of_session(SessionKey("s_a_1")) is None
    found = room.fold.of_session(SessionKey("s_a_2"))
    assert found is not None
    assert found.participant.id == "p_a_2"
    assert room.seat("p_b_1").session == "s_b_1"


def test_a_closed_room_is_empty() -> None:
    """After the close nobody is in, whatever the events before said."""
    room = LoggedRoom(create(), join("a"), close())
    assert (room.fold.seats, room.fold.closed) == ({}, "deleted")


def test_only_the_public_snapshot_leaves_rooms() -> None:
    """What gateways get has no session, operation, join token or origin in it; the seats are there."""
    public = lived_in().fold.snapshot()
    text = public.model_dump_json()
    assert len(public.seats) == 2
    for private in ("s_a_2", "s_c_1", "k1", "create-voice-1"):
        assert private not in text
    assert (public.operations, public.grants, public.origin) == ({}, {}, "")


def test_operations_are_forgotten_after_a_minute() -> None:
    """The memory of operations is bounded in time, by the events' own clock."""
    room = LoggedRoom(create(), join("a"))
    room.now = NOW + 61
    room.do(join("b"))
    assert list(room.fold.operations) == ["p_b_1"]


def test_operations_are_bounded_in_number() -> None:
    """However busy the room, it remembers so many operations and no more; the newest stay."""
    roster = LoggedRoom(create(), join("a")).fold
    assert roster.room is not None
    for n in range(3, OPERATION_MEMORY + 103):
        change = Change(revision=n, room=roster.room)
        roster.apply(
            Entry(Position(n), [RoomEvent(type="updated", time="2026-02-11T10:00:00Z", change=change)], Stamp(f"o{n}"))
        )
    assert len(roster.operations) == OPERATION_MEMORY
    assert f"o{OPERATION_MEMORY + 102}" in roster.operations
    assert "p_a_1" not in roster.operations


def test_used_join_tokens_are_forgotten_after_their_end() -> None:
    """The memory of join tokens is bounded by their life and a margin for clocks and messages on their way."""
    room = LoggedRoom(create(), join("a", grant=grant("a")))
    room.now = NOW + 60 + GRANT_MEMORY_SECONDS
    room.do(join("b", grant=grant("b", key="k2", until=int(room.now) + 60)))
    assert set(room.fold.grants) == {"k2"}


def test_an_empty_room_has_no_snapshot() -> None:
    """Nothing can be told of a room without events."""
    with pytest.raises(ValueError, match="without events"):
        Roster(ROOM, "test").snapshot()
