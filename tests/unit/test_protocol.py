"""The messages of the wire protocol: what clients may say, and the bytes they get."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.features import FEATURES
from services.gateway.signaling.messages import Candidate, Description, signal_body
from shared.rooms.model import Participant, Room
from shared.values.errors import Code, Refused
from shared.values.ids import AgentId, ParticipantId, RoomId, SessionId
from shared.wire import pushes
from shared.wire.protocol import Address, BadMessage, Decoder
from shared.wire.pushes import At, delivered, encode

DECODER = Decoder(handled.message for feature in FEATURES for handled in feature.handled)
decode = DECODER.decode
CANDIDATE = {"candidate": "candidate:1 1 udp 1 192.0.2.1 1 typ host", "sdpMid": "0", "sdpMLineIndex": 0}
MESSAGES: list[dict[str, Any]] = [
    {"type": "authenticate", "id": "1", "token": "t"},
    {
        "type": "authenticate",
        "token": "t",
        "deviceId": "laptop",
        "resume": {"token": "r", "cursors": {"voice-1": "c.1"}},
    },
    {"type": "ping"},
    {"type": "join_room", "roomId": "voice-1"},
    {
        "type": "join_room",
        "id": "x" * 64,
        "roomId": "r" * 64,
        "token": "j",
        "name": "Fawzi ☎ 👩‍💻",
        "metadata": {"a": [1, {"b": None}]},
        "media": {"audio": {"state": "on"}, "screen": {"state": "muted"}},
    },
    {"type": "get_room"},
    {"type": "get_room", "roomId": "voice-1"},
    {"type": "leave_room", "id": "3"},
    {"type": "update_self", "media": {"audio": None, "video": {"state": "off"}}, "name": None, "metadata": {"k": None}},
    {"type": "offer", "sdp": "v=0", "to": "p_1", "roomId": "voice-1", "negotiation": ""},
    {"type": "answer", "sdp": "", "negotiation": "n" * 64},
    {"type": "candidate", "candidate": None},
    {"type": "candidate", "candidate": CANDIDATE | {"usernameFragment": None}, "to": "p_1"},
]
ROOM = Room(room_id=RoomId("r"), name="R", type="voice", max_participants=2, created_by=AgentId("a"), created_at="t")
WHO = Participant(id=ParticipantId("p_1"), agent_id=AgentId("a"), device_id="d", name="A", order=1, joined_at="t")
AT = At(RoomId("r"), 7, "i.9")


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: m["type"])
def test_every_message_of_a_client(message: dict[str, Any]) -> None:
    """Each is understood, and says on the wire what it said before; each kind is tried."""
    read = decode(json.dumps(message))
    assert read.model_dump()["type"] == message["type"]
    assert read.model_dump(by_alias=True, exclude_unset=True) == message
    assert {m["type"] for m in MESSAGES} == DECODER.types, "MESSAGES above has an example of each"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the text is not JSON"),
        ("[]", "a message is a JSON object"),
        ('{"type":"join_room","roomId":"r","metadata":{"n":9007199254740992}}', "an integer is beyond"),
        ('{"type":"join_room","roomId":"r","metadata":{"n":[{"deep":-9007199254740992}]}}', "an integer is beyond"),
        ('{"type":"join_room","roomId":"r","metadata":{"n":' + "9" * 5000 + "}}", "an integer is beyond"),
        ('"ping"', "a message is a JSON object"),
        ("{}", "the type is missing or unknown"),
        ('{"type":"nonsense"}', "the type is missing or unknown"),
        ('{"type":["ping"]}', "the type is missing or unknown"),
        ('{"type":"ping","extra":1}', "there is a field that this message does not have"),
        ('{"type":"ping","id":""}', "id: must have at least 1 character"),
        ('{"type":"ping","id":7}', "id: must be a text"),
        ('{"type":"join_room"}', "roomId: is required"),
        ('{"type":"join_room","room_id":"r"}', "roomId: is required"),
        ('{"type":"join_room","roomId":"r","media":{"audio":{"state":"loud"}}}', "media.audio.state: "),
        ('{"type":"offer","sdp":1}', "sdp: must be a text"),
        ('{"type":"offer","sdp":"v=0","from":"p_1"}', "there is a field that this message does not have"),
        ('{"type":"candidate"}', "candidate: is required"),
        ('{"type":"candidate","candidate":{"candidate":"","sdpMLineIndex":true}}', "candidate.sdpMLineIndex: "),
        ('{"type":"candidate","candidate":{"candidate":"","sdpMLineIndex":65536}}', "candidate.sdpMLineIndex: "),
        ('{"type":"candidate","candidate":{"candidate":"","address":"1.2.3.4"}}', "there is a field"),
    ],
)
def test_a_bad_message_is_told_why(text: str, sentence: str) -> None:
    """The sentence names the field and repeats no value."""
    with pytest.raises(BadMessage) as bad:
        decode(text)
    assert bad.value.code is Code.BAD_MESSAGE
    assert bad.value.message.startswith(sentence)


def test_a_bad_message_is_told_which() -> None:
    """An error repeats the id, or else type, `to` and `roomId`, of those that have the form they should have."""
    with pytest.raises(BadMessage) as bad:
        decode('{"type":"offer","id":"5","to":"p_1"}')
    assert bad.value.about.id == "5"
    assert bad.value.details == {}
    with pytest.raises(BadMessage) as bad:
        decode('{"type":"offer","to":"p_1","roomId":"voice-1","nonsense":1}')
    assert bad.value.about == Address(None, {"type": "offer", "to": "p_1", "roomId": "voice-1"})
    assert bad.value.details == bad.value.about.details
    with pytest.raises(BadMessage) as bad:
        decode(json.dumps({"type": "x" * 10240, "id": "i" * 65, "to": ["p"], "roomId": "r" * 65}))
    assert bad.value.about == Address(None, {})


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda below: st.lists(below) | st.dictionaries(st.text(), below),
        max_leaves=10,
    )
)
def test_any_json_is_understood_or_refused(value: Any) -> None:
    """Whatever arrives ends in a message or in BadMessage."""
    try:
        decode(json.dumps(value))
    except BadMessage:
        return


@given(st.text(max_size=200))
def test_any_text_is_understood_or_refused(text: str) -> None:
    """The same for what is no JSON."""
    try:
        decode(text)
    except BadMessage:
        return


def test_what_clients_are_sent() -> None:
    """Every push and reply, with its fields under their wire names; what is not there is left out."""
    about_a_room = "roomId revision cursor"
    auth_ok = pushes.AuthOk(
        agent_id=AgentId("a"), session_id=SessionId("s"), resume_token="r", expires_at="t", heartbeat_ms=1
    )
    room_users = pushes.RoomUsers(
        room_id=RoomId("r"), revision=1, cursor="c", self=WHO.id, room=ROOM, participants=[WHO]
    )
    sent: list[tuple[pushes.Push, str]] = [
        (auth_ok, "agentId sessionId resumeToken expiresAt resumed heartbeatMs features limits"),
        (pushes.AuthError(id="1", code=Code.INVALID_TOKEN, message="no"), "id code message"),
        (
            pushes.Error(id="1", code=Code.INTERNAL, message="no", retryable=False),
            "id code message retryable retryAfterMs details",
        ),
        (pushes.Ok(id="1"), "id"),
        (pushes.Pong(server_time="t"), "serverTime"),
        (pushes.TokenExpiring(expires_at="t"), "expiresAt"),
        (pushes.GoAway(reason="shutdown", reconnect_after_ms=5), "reason reconnectAfterMs"),
        (room_users, f"{about_a_room} self room participants iceServers"),
        (pushes.user_joined(AT, WHO), f"{about_a_room} participant"),
        (pushes.user_updated(AT, WHO), f"{about_a_room} participant"),
        (pushes.user_left(AT, WHO.id, WHO.agent_id, None), f"{about_a_room} participantId agentId reason"),
        (pushes.room_updated(AT, ROOM), f"{about_a_room} room"),
        (pushes.room_closed(AT, "deleted"), f"{about_a_room} reason"),
        (pushes.RoomResumed(room_id=RoomId("r"), revision=1, cursor="c"), about_a_room),
    ]
    for push, fields in sent:
        assert json.loads(encode(push)).keys() == {"type", *fields.split()}, push
    participant = json.loads(encode(pushes.user_joined(AT, WHO)))["participant"]
    fields = "id agentId deviceId name kind role order joinedAt connection media metadata"
    assert participant.keys() == set(fields.split())
    assert participant["media"] == {"audio": {"state": "off"}, "video": {"state": "off"}, "screen": {"state": "off"}}
    assert set(DECODER.messages) == {type(decode(json.dumps(m))) for m in MESSAGES}


def test_reasons_of_newer_versions_pass() -> None:
    """A log may hold reasons this version does not know; clients are told them as they are."""
    assert json.loads(encode(pushes.user_left(AT, WHO.id, WHO.agent_id, "abducted")))["reason"] == "abducted"
    assert json.loads(encode(pushes.room_closed(AT, "sold")))["reason"] == "sold"


def test_errors() -> None:
    """With an id the details are those of the refusal; without, they say first which message is meant."""
    refused = Refused(Code.RATE_LIMITED, "slow down", details={"x": 1}, retry_after_ms=200)
    with_id = json.loads(pushes.error(refused, Address("7", {"type": "offer"})))
    assert with_id == {
        "type": "error",
        "id": "7",
        "code": "rate_limited",
        "message": "slow down",
        "retryable": True,
        "retryAfterMs": 200,
        "details": {"x": 1},
    }
    without = json.loads(pushes.error(refused, Address(None, {"type": "offer", "to": "p_1"})))
    assert "id" not in without
    assert without["details"] == {"type": "offer", "to": "p_1", "x": 1}


@given(st.text(min_size=1, max_size=64))
def test_ok_is_what_the_model_says(request_id: str) -> None:
    """The short way to `ok` gives the same bytes as the long one."""
    assert pushes.ok(request_id) == encode(pushes.Ok(id=request_id))


TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.text('"\\/\b\f\n\r\t\0\x1f\x7f\u2028\ud7ff😀,{}:')


@given(TEXT, st.none() | TEXT.map(lambda text: text[:64]), st.sampled_from(["offer", "answer"]))
def test_a_description_arrives_verbatim(sdp: str, negotiation: str | None, kind: str) -> None:
    """Whatever the text holds, the push is valid JSON, in UTF-8, with the same text; only the gateway's fields are added."""
    fields = {"type": kind, "id": "1", "to": "p_2", "sdp": sdp} | (
        {} if negotiation is None else {"negotiation": negotiation}
    )
    message = decode(json.dumps(fields))
    assert isinstance(message, Description)
    body = signal_body(message, RoomId("voice-1"), ParticipantId("p_1"), AgentId('a@"b'))
    push = json.loads(delivered(body, "i.9").decode())
    del fields["id"], fields["to"]
    assert push == fields | {"roomId": "voice-1", "from": "p_1", "agentId": 'a@"b', "cursor": "i.9"}


@given(
    st.none()
    | st.fixed_dictionaries(
        {"candidate": TEXT},
        optional={
            "sdpMid": st.none() | TEXT.map(lambda text: text[:256]),
            "sdpMLineIndex": st.none() | st.integers(0, 65535),
            "usernameFragment": st.none() | TEXT.map(lambda text: text[:256]),
        },
    )
)
def test_a_candidate_arrives_verbatim(candidate: dict[str, Any] | None) -> None:
    """The same fields, with the same values, null and absent kept apart."""
    message = decode(json.dumps({"type": "candidate", "candidate": candidate}))
    assert isinstance(message, Candidate)
    push = json.loads(delivered(signal_body(message, RoomId("r"), ParticipantId("p"), AgentId("a")), "i.9"))
    assert push == {
        "type": "candidate",
        "roomId": "r",
        "from": "p",
        "agentId": "a",
        "candidate": candidate,
        "cursor": "i.9",
    }
