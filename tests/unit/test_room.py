"""The rules of a room: creation, admission, seats. (Changes and endings: test_room_changes.py.)"""

from typing import Any

import pytest

from services.rooms.decision import RoomInput, Rules
from shared.rooms.model import Media, RoomSettings, Track
from shared.values.errors import Code, Refused
from tests.support.absence import resume
from tests.support.orders import NOW, OWNER, ROOM, LoggedRoom, caller, close, create, grant, join, leave, told

ON = Media(audio=Track(state="on"), video=Track(state="on"))


def refusal(room: LoggedRoom, command: RoomInput) -> Refused:
    """How a command is refused; and that it left no trace in the log."""
    before = len(room.log)
    with pytest.raises(Refused) as caught:
        room.do(command)
    assert len(room.log) == before
    return caught.value


def test_a_created_room_is_what_was_asked_for() -> None:
    """The first event carries the room with the asked properties, the defaults for the rest, and nobody in it."""
    room = LoggedRoom()
    event = room.do(create(access="token", settings=RoomSettings(max_duration=30))).events[0]
    assert (event.type, event.change.revision, event.change.by) == ("created", 1, OWNER.agent_id)
    assert event.change.room.wire() == {
        "roomId": ROOM,
        "name": "Voice",
        "type": "voice",
        "maxParticipants": 10,
        "createdBy": "owner",
        "createdAt": "2026-02-11T10:00:00.000Z",
        "access": "token",
        "settings": {"muteOnEntry": False, "allowRecording": False, "maxDuration": 30},
        "participantCount": 0,
        "locked": False,
        "topology": "mesh",
    }


def test_creating_again_with_the_same_operation_changes_nothing() -> None:
    """A repeated creation (lost answer, Idempotency-Key) writes nothing, even after others changed the room."""
    room = LoggedRoom(create(), join("bob"))
    assert room.do(create()).events == []


def test_creation_stays_idempotent_for_ever() -> None:
    """The room remembers its own creation longer than the minute in which other operations are remembered."""
    room = LoggedRoom(create())
    room.now += 3600
    room.do(join("bob"))
    assert room.do(create()).events == []


@pytest.mark.parametrize("ended", [False, True])
def test_a_taken_id_is_refused(ended: bool) -> None:
    """Another creation under a taken id is `room_exists`, whether that room is open or closed."""
    room = LoggedRoom(create(), *([close()] if ended else []))
    assert refusal(room, create(operation="other", by=caller("eve"))).code is Code.ROOM_EXISTS


def test_creation_asked_again_after_the_end_is_refused() -> None:
    """Whoever made the room is not told that it is there when it has been closed meanwhile."""
    assert refusal(LoggedRoom(create(), close()), create()).code is Code.ROOM_CLOSED


def test_creating_needs_the_permission() -> None:
    """Without `rooms:create` no room is made."""
    assert refusal(LoggedRoom(), create(by=caller("a", "rooms:join"))).code is Code.FORBIDDEN


def test_joining_creates_only_where_it_may() -> None:
    """An unknown room is created by joining if the setting and both permissions allow; creator and owner are the same."""
    room = LoggedRoom(rules=Rules(creates_on_join=True, default_max_participants=3))
    done = room.do(join("bob"))
    assert [event.type for event in done.events] == ["created", "participant_joined"]
    assert room.seat("p_bob_1").participant.role == "owner"
    assert done.events[0].change.room.max_participants == 3
    for permissions in (["rooms:join"], ["rooms:create"], ["rooms:observe"]):
        unborn = LoggedRoom(rules=Rules(creates_on_join=True))
        assert refusal(unborn, join(caller("eve", *permissions))).code is Code.ROOM_NOT_FOUND
    assert refusal(LoggedRoom(), join("bob")).code is Code.ROOM_NOT_FOUND
    token = grant("bob")  # of a room that was there once: it must not make a new one
    assert refusal(LoggedRoom(rules=room.rules), join("bob", grant=token)).code is Code.ROOM_NOT_FOUND


def test_a_newcomer_is_described() -> None:
    """The participant has the agent's id and kind, its own name, device, media and metadata, and the room's clock."""
    room = LoggedRoom(create())
    bob = caller("bob", kind="agent")
    room.do(join(bob, name="Bobby", media=ON, metadata={"a": 1, "gone": None}))
    assert room.seat("p_bob_1").participant.wire() == {
        "id": "p_bob_1",
        "agentId": "bob",
        "deviceId": "bob-laptop",
        "name": "Bobby",
        "kind": "agent",
        "role": "participant",
        "order": 1,
        "joinedAt": "2026-02-11T10:00:00.000Z",
        "connection": "connected",
        "media": {"audio": {"state": "on"}, "video": {"state": "on"}, "screen": {"state": "off"}},
        "metadata": {"a": 1},
    }
    room.do(join("carol"))
    assert room.seat("p_carol_1").participant.name == "Carol"


def test_a_full_room_refuses() -> None:
    """The seat after the last is refused with the number of seats; a seat given up can be taken."""
    room = LoggedRoom(create(max_participants=2), join("a"), join("b"))
    refused = refusal(room, join("c"))
    assert (refused.code, refused.details) == (Code.ROOM_FULL, {"maxParticipants": 2})
    room.do(leave("p_a_1"))
    assert told(room.do(join("c"))) == [("participant_joined", "p_c_1", None)]


def test_the_owner_has_no_extra_seat() -> None:
    """Capacity holds for owner, managers and holders of join tokens too."""
    room = LoggedRoom(create(max_participants=1), join("a"))
    for late in (join(OWNER), join(caller("m", "rooms:manage")), join("g", grant=grant("g"))):
        assert refusal(room, late).code is Code.ROOM_FULL


def test_the_same_device_replaces_itself() -> None:
    """The same agent and device in a new session: the old stay leaves as `replaced`, then the new one joins."""
    room = LoggedRoom(create(max_participants=1), join("bob"))
    done = room.do(join("bob", n=2))
    assert told(done) == [("participant_left", "p_bob_1", "replaced"), ("participant_joined", "p_bob_2", None)]
    assert [event.change.room.participant_count for event in done.events] == [0, 1]
    assert [event.change.revision for event in done.events] == [3, 4]


def test_other_devices_and_agents_are_not_replaced() -> None:
    """Another device of the agent, and the same device name of another agent, take seats of their own."""
    room = LoggedRoom(create(), join("bob", device_id="tab"), join("bob", n=2, device_id="phone"))
    room.do(join("eve", device_id="tab"))
    assert len(room.fold.seats) == 3


def test_the_same_session_joins_once() -> None:
    """A join asked again changes nothing. Another one of the session moves its seat, whatever id or device it names."""
    room = LoggedRoom(create(), join("bob"))
    assert room.do(join("bob")).events == []
    again = room.do(join("bob", n=2, session="s_bob_1", device_id="other"))
    assert told(again) == [("participant_updated", "p_bob_1", None)]
    assert (again.stamp.epoch, again.events[0].change.participant) == (2, room.seat("p_bob_1").participant)
    assert room.do(join("bob", n=2, session="s_bob_1", device_id="other")).events == []


def test_who_joins_again_has_heard_nothing_since_it_first_asked() -> None:
    """However often a join is asked on the session's seat, all since the first of them is unheard; a resume has a cursor."""
    room = LoggedRoom(create(), join("bob"))
    first = room.seat("p_bob_1").moved_at
    for n in (2, 3):
        room.do(join("bob", n=n, session="s_bob_1"))
    assert (room.seat("p_bob_1").unheard_from, room.seat("p_bob_1").moved_at) == (first, first + 2)
    room.do(resume("bob"))
    room.do(join("bob", n=4, session="s_bob_1"))
    assert (room.seat("p_bob_1").unheard_from, room.seat("p_bob_1").moved_at) == (first + 3, first + 4)


def test_a_join_asked_again_after_leaving_is_refused() -> None:
    """The same participant id never gets a second stay."""
    room = LoggedRoom(create(), join("bob"), leave("p_bob_1"))
    assert refusal(room, join("bob")).code is Code.BAD_STATE


def test_order_grows_with_every_join() -> None:
    """No order is given twice, not even that of somebody who left."""
    room = LoggedRoom(create(), join("a"), join("b"), leave("p_b_1"), join("c"), join("a", n=2))
    assert [seat.participant.order for seat in room.fold.seats.values()] == [3, 4]


@pytest.mark.parametrize(("state", "becomes"), [("on", "muted"), ("muted", "muted"), ("off", "off")])
def test_mute_on_entry(state: Any, becomes: str) -> None:
    """A newcomer's `on` audio becomes `muted`; nothing else is touched, and others' audio is left alone."""
    room = LoggedRoom(create(settings=RoomSettings(mute_on_entry=True)))
    room.do(join("bob", media=Media(audio=Track(state=state), video=Track(state="on"))))
    media = room.seat("p_bob_1").participant.media
    assert (media.audio.state, media.video.state) == (becomes, "on")


def test_metadata_has_a_limit() -> None:
    """Exactly the limit in bytes of UTF-8 JSON passes; one more is `too_large`."""
    room = LoggedRoom(create(), rules=Rules(metadata_bytes=20))
    assert refusal(room, join("a", metadata={"k": "ä" * 7})).code is Code.TOO_LARGE
    room.do(join("a", metadata={"k": "ä" * 6}))


def test_a_late_request_is_refused() -> None:
    """A join whose sender has stopped waiting takes no seat; at the deadline itself it still does."""
    room = LoggedRoom(create())
    assert refusal(room, join("a", deadline=NOW - 0.001)).code is Code.UNAVAILABLE
    room.do(join("b", deadline=NOW))
    assert room.do(join("b", deadline=NOW - 1)).events == [], "the same join asked again is answered"
