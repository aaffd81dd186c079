"""The rules of a room: leaving, changing, closing."""

from typing import Any

from services.rooms.decision import Rules
from shared.rooms.model import Media, MediaPatch, RoomSettings, Track
from shared.values.errors import Code
from tests.support.orders import (
    NOW,
    OWNER,
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
from tests.unit.test_room import refusal

# -- leaving -----------------------------------------------------------------------------------------------------------


def test_leaving_frees_the_seat() -> None:
    """One event with the reason; the participant is gone and the count is right."""
    room = LoggedRoom(create(), join("bob"))
    done = room.do(leave("p_bob_1", reason="timeout"))
    assert told(done) == [("participant_left", "p_bob_1", "timeout")]
    assert done.events[0].change.room.participant_count == 0
    assert room.fold.seats == {}


def test_who_is_not_in_cannot_leave() -> None:
    """Leaving twice, or without having been in, is `not_in_room` and writes nothing."""
    room = LoggedRoom(create(), join("bob"), leave("p_bob_1"))
    for who in ("p_bob_1", "p_nobody"):
        assert refusal(room, leave(who)).code is Code.NOT_IN_ROOM


def test_an_old_gateway_is_fenced() -> None:
    """What a gateway asks with an epoch the log has passed is refused; with the present one it is done."""
    room = LoggedRoom(create(), join("bob"))
    assert room.seat("p_bob_1").epoch == 1
    assert refusal(room, leave("p_bob_1", epoch=0)).code is Code.NOT_IN_ROOM
    assert refusal(room, update("p_bob_1", epoch=0, name="B")).code is Code.NOT_IN_ROOM
    room.do(leave("p_bob_1", epoch=1))


# -- update_participant ------------------------------------------------------------------------------------------------


def test_a_participant_changes_what_it_says_of_itself() -> None:
    """Name, media and metadata merge by key; `null` removes; what is absent stays; everything else is untouched."""
    media = Media(audio=Track(state="on"), video=Track(state="on"))
    room = LoggedRoom(create(), join("bob", metadata={"a": 1, "b": {"c": 2, "d": 3}}, media=media))
    before = room.seat("p_bob_1").participant
    patch = MediaPatch.model_validate({"audio": {"state": "muted"}, "video": None})
    done = room.do(update("p_bob_1", name="Bobby", media=patch, metadata={"a": None, "b": {"c": None}, "e": [None]}))
    after = done.events[0].change.participant
    assert told(done) == [("participant_updated", "p_bob_1", None)]
    assert after is not None
    assert after == before.model_copy(
        update={"name": "Bobby", "media": Media(audio=Track(state="muted")), "metadata": {"b": {"d": 3}, "e": [None]}}
    )
    assert room.seat("p_bob_1").session == "s_bob_1", "a change leaves the seat with its session"
    assert room.seat("p_bob_1").epoch == 1


def test_a_change_of_media_crosses_the_broker_as_it_was_given() -> None:
    """Between processes a kind that was not named stays unnamed: muting does not turn the camera off."""
    for given in ({"audio": {"state": "muted"}}, {"audio": {"state": "muted"}, "video": None}, {}):
        patch = MediaPatch.model_validate(given)
        arrived = MediaPatch.model_validate_json(patch.model_dump_json(by_alias=True))
        assert arrived.model_fields_set == given.keys()
        assert arrived == patch


def test_a_change_without_effect_is_no_event() -> None:
    """The revision counts changes: saying the same again writes nothing."""
    room = LoggedRoom(create(), join("bob", name="Bob", metadata={"a": 1}))
    assert room.do(update("p_bob_1", name="Bob", metadata={"a": 1, "b": None}, media=MediaPatch())).events == []


def test_a_repeated_change_has_no_second_effect() -> None:
    """The same operation again does not undo what came after it."""
    room = LoggedRoom(create(), join("bob"), update("p_bob_1", "u1", name="One"), update("p_bob_1", "u2", name="Two"))
    assert room.do(update("p_bob_1", "u1", name="One")).events == []
    assert room.seat("p_bob_1").participant.name == "Two"


def test_merged_metadata_has_the_limit() -> None:
    """The limit is about what is kept after merging, so removing makes room for adding."""
    room = LoggedRoom(create(), join("bob", metadata={"a": "1234"}), rules=Rules(metadata_bytes=16))
    assert refusal(room, update("p_bob_1", metadata={"b": "1234"})).code is Code.TOO_LARGE
    room.do(update("p_bob_1", metadata={"a": None, "b": "1234"}))


# -- update_room -------------------------------------------------------------------------------------------------------


def test_a_room_changes_what_is_named() -> None:
    """Only the named properties change; who created it, when, and who is in it do not."""
    room = LoggedRoom(create(), join("bob"))
    done = room.do(update_room(name="Video", type="video", access="token", max_participants=20))
    assert told(done) == [("updated", None, None)]
    after = done.events[0].change.room
    assert (after.name, after.type, after.access, after.max_participants) == ("Video", "video", "token", 20)
    assert (after.created_by, after.participant_count) == ("owner", 1)


def test_lowering_the_seats_evicts_nobody() -> None:
    """More may be in than fit from now on; nobody new comes in until there is a seat again."""
    room = LoggedRoom(create(), join("a"), join("b"), join("c"))
    assert told(room.do(update_room(max_participants=1))) == [("updated", None, None)]
    assert len(room.fold.seats) == 3
    room.do(leave("p_a_1"))
    room.do(leave("p_b_1"))
    assert refusal(room, join("d")).code is Code.ROOM_FULL
    room.do(leave("p_c_1"))
    room.do(join("d"))


def test_settings_merge_and_null_resets() -> None:
    """Settings merge by key; `null` puts the default back; an unknown or impossible setting is `bad_message`."""
    room = LoggedRoom(create(settings=RoomSettings(mute_on_entry=True, max_duration=30)))
    room.do(update_room(settings={"allowRecording": True, "maxDuration": None}))
    assert room.fold.room is not None
    assert room.fold.room.settings == RoomSettings(mute_on_entry=True, allow_recording=True, max_duration=None)
    bad: list[dict[str, Any]] = [{"colour": "red"}, {"maxDuration": 0}, {"maxDuration": "30"}, {"muteOnEntry": 1}]
    for settings in bad:
        assert refusal(room, update_room(operation="r2", settings=settings)).code is Code.BAD_MESSAGE


def test_only_owner_and_managers_change_or_close() -> None:
    """Others who may know of the room are told `forbidden`; a moderator's seat gives no right over the room."""
    room = LoggedRoom(create(), join("bob"))
    for other in (caller("bob"), caller("m", "rooms:join", "rooms:manage:voice-2")):
        assert refusal(room, update_room(by=other, name="Mine")).code is Code.FORBIDDEN
        assert refusal(room, close(by=other)).code is Code.FORBIDDEN
    room.do(update_room(by=caller("m", "rooms:manage:voice-1"), name="Ours"))


def test_a_repeated_room_change_has_no_second_effect() -> None:
    """The same operation again, or a change to what is already so, writes nothing."""
    room = LoggedRoom(create(), update_room(operation="r1", name="One"), update_room(operation="r2", name="Two"))
    assert room.do(update_room(operation="r1", name="One")).events == []
    assert room.do(update_room(operation="r3", name="Two")).events == []


# -- close_room --------------------------------------------------------------------------------------------------------


def test_a_room_closes_with_everyone_in_one_entry() -> None:
    """All who are in leave as `room_closed`, then the room closes: one entry, revisions and counts without holes."""
    room = LoggedRoom(create(), join("a"), join("b"))
    done = room.do(close())
    assert told(done) == [
        ("participant_left", "p_a_1", "room_closed"),
        ("participant_left", "p_b_1", "room_closed"),
        ("closed", None, "deleted"),
    ]
    assert [event.change.room.participant_count for event in done.events] == [1, 0, 0]
    assert [event.change.revision for event in done.events] == [4, 5, 6]
    assert {event.change.by for event in done.events} == {OWNER.agent_id}


def test_nothing_happens_in_a_closed_room() -> None:
    """After the close every command is refused and the log stays as it is."""
    room = LoggedRoom(create(), join("a"), close())
    codes = [refusal(room, command).code for command in (join("b"), update_room(name="x"), close(operation="c2"))]
    assert codes == [Code.ROOM_CLOSED] * 3
    for command in (leave("p_a_1"), update("p_a_1", name="x")):
        assert refusal(room, command).code is Code.NOT_IN_ROOM


def test_nothing_happens_in_a_room_that_was_never_made() -> None:
    """Changing or closing an unknown room is `room_not_found`, also for a manager of all rooms."""
    manager = caller("m", "rooms:manage")
    for command in (update_room(by=manager, name="x"), close(by=manager)):
        assert refusal(LoggedRoom(), command).code is Code.ROOM_NOT_FOUND


def test_times_are_the_deciders() -> None:
    """Every event of an entry carries the one moment at which it was decided."""
    room = LoggedRoom(create(), join("a"))
    room.now = NOW + 1.5
    assert {event.time for event in room.do(close()).events} == {"2026-02-11T10:00:01.500Z"}
