"""Room events as CloudEvents: what stands in the log, and who can read it."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.broker import headers
from shared.broker.room_log import StoredEvents
from shared.rooms.events import Change, RoomEvent, Stamp, decode, encode
from shared.rooms.model import Room
from shared.rooms.roster import FOLD_VERSION
from shared.telemetry import metrics
from shared.values.ids import AgentId, GatewayId, ParticipantId, SessionKey
from shared.values.moment import unix
from shared.values.position import Position
from tests.support.largest import ROOM_ID, LargestRoom
from tests.support.orders import ROOM, LoggedRoom, close, create, grant, join, update
from tests.support.trimmed import snapshot_of

MAX_PAYLOAD = 1 << 20  # of NATS, headers included
HEADERS = 2048  # more than the headers of an entry take

Json = dict[str, Any]


def everything() -> LoggedRoom:
    """A room whose log has every type of event but `updated`."""
    room = LoggedRoom(create(), join("a", grant=grant("a", key="grant-key")), join("a", n=2))
    room.do(update("p_a_2", "op-1", name="A"))
    room.do(close())
    return room


def cloud_events() -> list[Json]:
    return [event for entry in everything().log for event in json.loads(encode(entry.events))]


def test_events_are_cloud_events() -> None:
    """Every event satisfies CloudEvents 1.0: required attributes, their types, names, and unique source + id."""
    events = cloud_events()
    assert len(events) == 6
    for event in events:
        assert event["specversion"] == "1.0"
        for required in ("id", "source", "type"):
            assert isinstance(event[required], str)
            assert event[required]
        # RFC 3986 URI-reference, RFC 2046 media type, RFC 3339 timestamp with an offset
        assert re.fullmatch(r"/[a-z/]+", event["source"])
        assert event["datacontenttype"] == "application/json"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"])
        assert unix(event["time"]) > 0
        assert event["type"].startswith("agentlink.room.")
        assert event["subject"] == ROOM
        assert all(re.fullmatch(r"[a-z0-9]{1,20}", name) for name in event)
        assert "data_base64" not in event
        assert isinstance(event["data"], dict)
    assert len({(event["source"], event["id"]) for event in events}) == len(events)
    assert [event["id"] for event in events] == [f"{ROOM}:{n}" for n in range(1, 7)]


def test_an_event_says_what_the_protocol_says() -> None:
    """The data has exactly the fields of protocol section 9, in camelCase."""
    joined = next(event for event in cloud_events() if event["type"].endswith("participant_joined"))
    assert set(joined["data"]) == {"revision", "room", "participant", "by"}
    assert set(joined["data"]["participant"]) == {
        *("id", "agentId", "deviceId", "name", "kind", "role"),
        *("order", "joinedAt", "connection", "media", "metadata"),
    }
    left = next(event for event in cloud_events() if event["type"].endswith("participant_left"))
    assert left["data"]["reason"] == "replaced"
    created = cloud_events()[0]["data"]
    assert set(created) == {"revision", "room", "by"}
    assert created["room"]["settings"] == {"muteOnEntry": False, "allowRecording": False, "maxDuration": None}


def test_nothing_private_is_in_a_body() -> None:
    """Sessions, gateways, operations and join tokens are in no event's body, only in headers (of our services)."""
    for entry in everything().log:
        body = encode(entry.events).decode()
        for private in (
            "s_a_",
            "g1",
            "grant-key",
            "create-voice-1",
            "op-1",
            "session",
            "gateway",
            "grant",
            'token"',
            "epoch",
        ):
            assert private not in body


texts = st.text(st.characters(codec="utf-8"), max_size=40)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
metadata = st.dictionaries(texts, st.none() | st.booleans() | st.integers() | texts, max_size=4)


@given(st.integers(1, 10**15), names, texts, metadata)
def test_what_is_written_is_read(revision: int, name: str, reason: str, extra: Json) -> None:
    """Encoding and decoding gives the same events, whatever text is in them."""
    room = everything()
    joined = next(event for entry in room.log for event in entry.events if event.change.participant)
    participant = joined.change.participant
    assert participant is not None
    someone = participant.model_copy(update={"name": name, "metadata": extra})
    change = joined.change.model_copy(update={"revision": revision, "participant": someone, "reason": reason})
    event = joined.model_copy(update={"change": change})
    assert decode(encode([event, joined])) == [event, joined]


def newer(**fields: Any) -> bytes:
    event = cloud_events()[1]
    return json.dumps([event | fields]).encode()


def test_a_newer_version_can_be_read() -> None:
    """Unknown attributes and fields, at every level, are skipped; an unknown type is kept with its revision."""
    event = cloud_events()[1]
    data = event["data"]
    data["new"] = {"deep": [1]}
    data["room"]["new"] = 1
    data["room"]["settings"]["newSetting"] = {"x": 1}
    data["participant"]["new"] = 1
    data["participant"]["media"]["newKind"] = {"state": "on"}
    data["participant"]["media"]["audio"]["newField"] = 1
    (read,) = decode(newer(traceparent="00-1", data=data, type="agentlink.room.recording_started"))
    assert (read.type, read.change.revision) == ("recording_started", 2)
    assert read.change.participant == everything().log[1].events[0].change.participant


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[1]", b"\xff", b'[{"type":"x"}]', b"null", b'[{"type":"x","time":"t","data":{}}]']
)
def test_what_is_no_batch_changes_nothing(body: bytes) -> None:
    """A body no service of ours wrote is counted, and is an entry without events."""
    before = metrics.LOG_UNREADABLE._value.get()
    entry = StoredEvents(Position(7), ROOM, body, {"Parley-Operation": "x"}).entry()
    assert (entry.sequence, list(entry.events)) == (7, [])
    assert metrics.LOG_UNREADABLE._value.get() == before + 1


@pytest.mark.parametrize("strange", [{"Parley-Epoch": "x"}, {"Parley-Grant": "k soon"}])
def test_headers_of_strangers_change_nothing(strange: dict[str, str]) -> None:
    """Headers that are none of ours are treated like an unreadable body: no exception reaches a follower."""
    body = encode(everything().log[0].events)
    assert list(StoredEvents(Position(7), ROOM, body, strange).entry().events) == []


@pytest.mark.parametrize("time", ["yesterday", "", "2026-13-45T00:00:00Z", "2026-02-11T10:00:00"])
def test_an_event_without_a_real_time_is_unreadable(time: str) -> None:
    """The fold counts with the events' own time: what is no RFC 3339 time with an offset never gets into it."""
    with pytest.raises(ValueError, match="time"):
        decode(newer(time=time))


@pytest.mark.parametrize(
    "stamp",
    [
        Stamp("op"),
        Stamp("op", ParticipantId("p"), SessionKey("s"), GatewayId("g"), 7),
        Stamp("op", ParticipantId("p"), SessionKey("s"), GatewayId("g"), 1, "key", 1770804060),
    ],
)
def test_stamps_survive_headers(stamp: Stamp) -> None:
    """What our services need to know travels in headers and comes back as it was; older entries have fewer."""
    assert headers.stamp(headers.of_stamp(stamp)) == stamp
    assert headers.stamp({}) == Stamp("")


def test_the_largest_room_closes_in_one_message() -> None:
    """250 participants, every field as large as it may be: the entry of the close fits into one message of NATS."""
    room = LargestRoom()
    assert len(room.fold.seats) == 250
    decision = room.do(close(by=room.owner, room_id=ROOM_ID))
    assert len(decision.events) == 251
    assert len(encode(decision.events)) + HEADERS <= MAX_PAYLOAD


def test_the_largest_snapshot_fits_into_one_message() -> None:
    """The answer to a join of the largest room, and the snapshot rooms keeps of it, fit into one message each."""
    room = LargestRoom()
    assert len(room.fold.snapshot(whole=True).model_dump_json(by_alias=True).encode()) + HEADERS <= MAX_PAYLOAD


def test_an_event_knows_its_room() -> None:
    """The room id is the CloudEvents subject."""
    room = Room(
        room_id=ROOM,
        name="n",
        type="voice",
        max_participants=1,
        created_by=AgentId("a"),
        created_at="2026-02-11T10:00:00Z",
    )
    assert RoomEvent(type="created", time=room.created_at, change=Change(revision=1, room=room)).room_id == ROOM


def test_a_snapshot_in_the_log_is_a_cloud_event_of_its_own() -> None:
    """It has no `revision`, so that nobody counts it as a change; its id is the one of the change it is as of, under another
    source; and of what only rooms needs it says nothing but where it is.
    """
    fold = LoggedRoom(create(), join("a", grant=grant("a")), join("b")).fold
    (event,) = json.loads(encode([snapshot_of(fold, state=77)]))
    assert fold.room is not None
    assert event == {
        "specversion": "1.0",
        "id": f"{ROOM}:{fold.revision}",
        "source": "/agentlink/rooms/snapshots",
        "type": "agentlink.room.snapshot",
        "subject": ROOM,
        "time": "2026-02-11T11:00:00.000Z",
        "datacontenttype": "application/json",
        "data": {
            "foldVersion": FOLD_VERSION,
            "asOf": fold.revision,
            "after": fold.sequence,
            "state": 77,
            "room": fold.room.wire(),
            "participants": [seat.participant.wire() for seat in fold.seats.values()],
        },
    }
    with pytest.raises(ValueError, match="revision"):
        Change.model_validate(
            event["data"]
        )  # as releases before 0.4.0 read it: no event of theirs, and it changes nothing


def test_a_snapshot_in_the_log_survives_being_written() -> None:
    """Read back it is what was written; what a newer version added is skipped, and a fold of any version is told."""
    event = snapshot_of(LoggedRoom(create(), join("a")).fold, state=77, fold_version=9)
    (stored,) = json.loads(encode([event]))
    assert decode(json.dumps([stored | {"new": 1, "data": stored["data"] | {"new": {"x": 1}}}]).encode()) == [event]
    assert (event.change.revision, event.closes) == (2, False)
    assert snapshot_of(everything().fold).closes
    with pytest.raises(ValueError, match="time"):
        decode(json.dumps([stored | {"time": "soon"}]).encode())
    with pytest.raises(ValueError, match="tuple"):
        decode(json.dumps([stored, stored]).encode())
