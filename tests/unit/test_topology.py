"""The topology that a room advises, by how many are in it."""

import json
from typing import Any

import pytest

from services.rooms.decision import Decision, Rules
from shared.rooms.commands import DropParticipant
from shared.rooms.events import Stamp, decode, encode
from shared.rooms.model import RoomSettings
from shared.rooms.roster import Entry, Roster
from shared.rooms.timers import GraceEnds
from shared.values.position import Position
from tests.support.orders import (
    NOW,
    OWNER,
    ROOM,
    LoggedRoom,
    caller,
    close,
    create,
    join,
    leave,
    told,
    update,
    update_room,
)

SMALL = Rules(mesh_participants=2)


def small(*names: str, rules: Rules = SMALL, **fields: Any) -> LoggedRoom:
    """A room in which more than two are too many for a mesh."""
    return LoggedRoom(create(**fields), *(join(name) for name in names), rules=rules)


def topology(room: LoggedRoom) -> str:
    assert room.fold.room is not None
    return room.fold.room.topology


def test_a_new_room_is_a_mesh() -> None:
    """So it says from its first event on, and as long as there are no more than the setting allows."""
    room = small("a", "b")
    assert topology(room) == "mesh"
    assert not [event for entry in room.log for event in entry.events if event.type == "updated"]


def test_one_too_many_changes_the_advice_in_the_same_entry() -> None:
    """The join is told first, then the room with the other topology; nobody asked for that, so there is no `by`."""
    room = small("a", "b")
    done = room.do(join("c"))
    assert told(done) == [("participant_joined", "p_c_1", None), ("updated", None, None)]
    joined, updated = done.events
    assert (joined.change.room.topology, updated.change.room.topology) == ("mesh", "sfu_advised")
    assert updated.change.by is None
    assert updated.change.room.participant_count == 3
    assert told(room.do(join("d"))) == [("participant_joined", "p_d_1", None)]


def test_it_turns_back_at_the_setting() -> None:
    """Whoever leaves, by whatever reason, so that no more than the setting are left, makes it a mesh again."""
    room = small("a", "b", "c", "d")
    assert told(room.do(leave("p_d_1"))) == [("participant_left", "p_d_1", "left")]
    assert told(room.do(leave("p_c_1"))) == [("participant_left", "p_c_1", "left"), ("updated", None, None)]
    assert topology(room) == "mesh"


def test_whose_grace_ended_counts_as_well() -> None:
    """A participant that did not come back leaves the advice right behind it."""
    room = small("a", "b", "c", rules=Rules(mesh_participants=2, grace_seconds=1.0))
    room.do(DropParticipant(room_id=ROOM, session="s_c_1", gateway="g1", epoch=1))
    assert topology(room) == "sfu_advised"
    done = room.do(GraceEnds(due=NOW, room_id=ROOM, participant_id="p_c_1", epoch=1))
    assert [event.type for event in done.events] == ["participant_left", "updated"]
    assert topology(room) == "mesh"


def test_who_takes_its_own_seat_over_changes_nothing() -> None:
    """The same device joining again leaves as many as there were."""
    room = small("a", "b", "c")
    done = room.do(join("c", n=2))
    assert [event.type for event in done.events] == ["participant_left", "participant_joined"]
    assert topology(room) == "sfu_advised"


def test_a_closing_room_gives_no_advice() -> None:
    """Nothing comes after a room's `closed`, though nobody is left in it."""
    room = small("a", "b", "c")
    assert room.do(close()).events[-1].type == "closed"


def test_other_changes_leave_it_alone() -> None:
    """What participants say of themselves, and the owner's changes of the room, neither change nor repeat the advice."""
    room = small("a", "b", "c")
    assert [event.type for event in room.do(update("p_a_1", name="Ann")).events] == ["participant_updated"]
    done = room.do(update_room(OWNER, name="Other"))
    assert [event.type for event in done.events] == ["updated"]
    assert topology(room) == "sfu_advised"


def test_another_setting_counts_from_the_next_coming_or_going_on() -> None:
    """After a restart with another setting, the room is advised anew when its count changes, not before."""
    room = small("a", "b", "c")
    room.rules = Rules(mesh_participants=8)
    room.do(update("p_a_1", name="Ann"))
    assert topology(room) == "sfu_advised"
    room.do(join("d"))
    assert topology(room) == "mesh"


def test_a_clock_that_was_armed_is_not_armed_anew() -> None:
    """The advice is no change of the owner's, so the room's end is not looked at again."""
    room = small("a", "b", settings=RoomSettings(max_duration=5))
    assert room.do(join("c")).timers == []


def test_created_on_the_way() -> None:
    """A room that a join creates is advised as well, should already one participant be too many."""
    room = LoggedRoom(rules=Rules(creates_on_join=True, mesh_participants=1))
    room.do(join("a"))
    done = room.do(join(caller("b")))
    assert [event.type for event in done.events] == ["participant_joined", "updated"]


# -- reading what others wrote -----------------------------------------------------------------------------------------


def rewritten(decision: Decision, **room: Any) -> Roster:
    """The fold of these events, their rooms having these fields instead; None removes one."""
    batch = json.loads(encode(decision.events))
    for event in batch:
        changed = {**event["data"]["room"], **room}
        event["data"]["room"] = {key: value for key, value in changed.items() if value is not None}
    fold = Roster(ROOM, "test")
    fold.apply(Entry(Position(1), decode(json.dumps(batch).encode()), Stamp("create")))
    return fold


def test_older_logs_are_meshes() -> None:
    """Events from before there was a topology are read as those of a mesh."""
    fold = rewritten(LoggedRoom().do(create()), topology=None)
    assert fold.room is not None
    assert fold.room.topology == "mesh"


@pytest.mark.filterwarnings("error::UserWarning")  # as pydantic warns
def test_a_word_of_a_newer_version_passes() -> None:
    """A topology that this version does not know is kept and passed on as it is, without a word of warning."""
    fold = rewritten(LoggedRoom().do(create()), topology="sfu")
    assert fold.room is not None
    assert fold.room.wire()["topology"] == "sfu"
    assert json.loads(fold.room.model_dump_json())["topology"] == "sfu"
