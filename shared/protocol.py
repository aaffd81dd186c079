"""The messages of the wire protocol, version 1 (docs/protocol.md): what clients may send, what they are sent.

Messages from clients are `Strict`: an unknown field is an error. The bytes of a push are made here, once per push.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import to_json

from shared import strict_json
from shared.errors import Code, Refused
from shared.ids import AgentId, DeviceIdField, ParticipantId, RoomId, RoomIdField, SessionId
from shared.model import Strict
from shared.room import CloseReason, LeaveReason, MediaPatch, Name, Participant, Room

RequestId = Annotated[str, StringConstraints(min_length=1, max_length=64)]
To = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Negotiation = Annotated[str, StringConstraints(max_length=64)]
RoomRef = RoomIdField | None


class ClientMessage(Strict):
    """What every message from a client has."""

    id: RequestId | None = None


class Resume(Strict):
    """The proof of a session and the last cursor seen in each of its rooms."""

    token: str
    cursors: dict[str, str]


class Authenticate(ClientMessage):
    """The first message; on a live session it renews."""

    type: Literal["authenticate"]
    token: str
    device_id: DeviceIdField | None = None
    resume: Resume | None = None


class Ping(ClientMessage):
    """Is the connection alive?"""

    type: Literal["ping"]


class JoinRoom(ClientMessage):
    """Enter a room."""

    type: Literal["join_room"]
    room_id: RoomIdField
    token: str | None = None
    name: Name | None = None
    metadata: dict[str, Any] | None = None
    media: MediaPatch | None = None


class GetRoom(ClientMessage):
    """The room anew, for a client that lost count."""

    type: Literal["get_room"]
    room_id: RoomRef = None


class LeaveRoom(ClientMessage):
    """Leave a room."""

    type: Literal["leave_room"]
    room_id: RoomRef = None


class UpdateSelf(ClientMessage):
    """Change what one says of oneself. Objects merge by key; `null` removes a key."""

    type: Literal["update_self"]
    room_id: RoomRef = None
    media: MediaPatch | None = None
    name: Name | None = None
    metadata: dict[str, Any] | None = None


class Description(ClientMessage):
    """`RTCPeerConnection.localDescription.toJSON()` with an address."""

    type: Literal["offer", "answer"]
    to: To | None = None
    room_id: RoomRef = None
    sdp: str
    negotiation: Negotiation | None = None


class IceCandidate(Strict):
    """`RTCIceCandidate.toJSON()` (W3C webrtc-pc, RTCIceCandidateInit)."""

    candidate: str
    sdp_mid: Annotated[str, StringConstraints(max_length=256)] | None = None
    sdp_m_line_index: Annotated[int, Field(ge=0, le=65535)] | None = None
    username_fragment: Annotated[str, StringConstraints(max_length=256)] | None = None


class Candidate(ClientMessage):
    """One ICE candidate; `null` is the end of candidates."""

    type: Literal["candidate"]
    to: To | None = None
    room_id: RoomRef = None
    candidate: IceCandidate | None
    negotiation: Negotiation | None = None


Signal = Description | Candidate
Message = Authenticate | Ping | JoinRoom | GetRoom | LeaveRoom | UpdateSelf | Description | Candidate
_message: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])
CLIENT_TYPES = frozenset(
    {"authenticate", "ping", "join_room", "get_room", "leave_room", "update_self", "offer", "answer", "candidate"}
)


@dataclass(frozen=True, slots=True)
class Address:
    """What an error about a message repeats of it, so that its sender knows which one is meant."""

    id: str | None
    details: dict[str, Any]


def decode(text: str) -> Message:
    """A client's message. Raises BadMessage, which knows as much of the address as could be read."""
    try:
        value = strict_json.loads(text)
    except strict_json.InvalidJson as error:
        raise BadMessage(str(error), Address(None, {})) from None
    if not isinstance(value, dict):
        raise BadMessage("a message is a JSON object", Address(None, {}))
    try:
        return _message.validate_python(value, by_alias=True, by_name=False)
    except ValidationError as error:
        raise BadMessage(_sentence(error), address(value)) from None


class BadMessage(Refused):
    """A message that cannot be understood."""

    def __init__(self, message: str, about: Address) -> None:
        super().__init__(Code.BAD_MESSAGE, message, details={} if about.id else about.details)
        self.about = about


def address(value: dict[str, Any]) -> Address:
    """The id of a message, or else what names it: only values that have the form they should have."""
    id_ = value.get("id")
    details: dict[str, Any] = {"type": value["type"]} if _is_type(value.get("type")) else {}
    for key in ("to", "roomId"):
        named = value.get(key)
        if isinstance(named, str) and 0 < len(named) <= 64:
            details[key] = named
    return Address(id_ if isinstance(id_, str) and 0 < len(id_) <= 64 else None, details)


def _is_type(value: object) -> bool:
    return isinstance(value, str) and value in CLIENT_TYPES


def _sentence(error: ValidationError) -> str:
    problem = error.errors(include_input=False, include_url=False, include_context=False)[0]
    if problem["type"].startswith("union_tag"):
        return "the type is missing or unknown"
    # The first part of the location is the message's type; a key of the client's own is not repeated.
    where = ".".join(str(part) for part in problem["loc"][1:])
    if problem["type"] == "extra_forbidden":
        return "there is a field that this message does not have"
    return f"{where}: {problem['msg']}" if where else str(problem["msg"])


# -- what clients are sent ---------------------------------------------------------------------------------------------


class Push(Strict):
    """A message to a client."""


class AuthOk(Push):
    """The session is open, or renewed."""

    type: Literal["auth_ok"] = "auth_ok"
    id: str | None = None
    agent_id: AgentId
    session_id: SessionId
    resume_token: str
    expires_at: str
    resumed: bool = False
    heartbeat_ms: int
    features: list[str] = []
    limits: dict[str, int] = {}


class AuthError(Push):
    """The token is not accepted; the connection closes."""

    type: Literal["auth_error"] = "auth_error"
    id: str | None = None
    code: Code
    message: str


class Error(Push):
    """A request is refused; the connection lives."""

    type: Literal["error"] = "error"
    id: str | None = None
    code: Code
    message: str
    retryable: bool
    retry_after_ms: int | None = None
    details: dict[str, Any] = {}


class Ok(Push):
    """A request is done."""

    type: Literal["ok"] = "ok"
    id: str


class Pong(Push):
    """The connection is alive."""

    type: Literal["pong"] = "pong"
    id: str | None = None
    server_time: str


class TokenExpiring(Push):
    """Authenticate again before then."""

    type: Literal["token_expiring"] = "token_expiring"
    expires_at: str


class GoAway(Push):
    """Open another connection after that time."""

    type: Literal["go_away"] = "go_away"
    reason: str
    reconnect_after_ms: int


class IceServer(Push):
    """An RTCIceServer."""

    urls: list[str]
    username: str | None = None
    credential: str | None = None


class RoomUsers(Push):
    """A room and everyone in it, at one revision."""

    type: Literal["room_users"] = "room_users"
    id: str | None = None
    room_id: RoomId
    revision: int
    cursor: str
    self: ParticipantId
    room: Room
    participants: list[Participant]
    ice_servers: list[IceServer] = []
    recovered: bool | None = None


class RoomPush(Push):
    """What every push about a room has."""

    room_id: RoomId
    revision: int
    cursor: str


class UserJoined(RoomPush):
    """Somebody came."""

    type: Literal["user_joined"] = "user_joined"
    participant: Participant


class UserLeft(RoomPush):
    """Somebody left, and why."""

    type: Literal["user_left"] = "user_left"
    participant_id: ParticipantId
    agent_id: AgentId
    reason: LeaveReason


class UserUpdated(RoomPush):
    """A participant changed what it says of itself."""

    type: Literal["user_updated"] = "user_updated"
    participant: Participant


class RoomUpdated(RoomPush):
    """The room's properties changed."""

    type: Literal["room_updated"] = "room_updated"
    room: Room


class RoomClosed(RoomPush):
    """The room is no more."""

    type: Literal["room_closed"] = "room_closed"
    reason: CloseReason


class RoomResumed(Push):
    """The end of what was missed in a room."""

    type: Literal["room_resumed"] = "room_resumed"
    room_id: RoomId
    revision: int
    cursor: str


class SignalPush(Push):
    """An offer, answer or candidate from another participant. `from` is its participant id."""

    type: Literal["offer", "answer", "candidate"]
    room_id: RoomId
    from_: Annotated[ParticipantId, Field(alias="from")]
    agent_id: AgentId
    cursor: str
    sdp: str | None = None
    candidate: IceCandidate | None = None
    negotiation: str | None = None


@dataclass(frozen=True, slots=True)
class At:
    """Where a push about a room belongs."""

    room_id: RoomId
    revision: int
    cursor: str


def user_joined(at: At, participant: Participant) -> UserJoined:
    """See UserJoined."""
    return UserJoined(room_id=at.room_id, revision=at.revision, cursor=at.cursor, participant=participant)


def user_updated(at: At, participant: Participant) -> UserUpdated:
    """See UserUpdated."""
    return UserUpdated(room_id=at.room_id, revision=at.revision, cursor=at.cursor, participant=participant)


def user_left(at: At, participant: Participant, reason: str | None) -> UserLeft:
    """See UserLeft. A reason of a newer version passes as it is."""
    return UserLeft.model_construct(
        type="user_left",
        room_id=at.room_id,
        revision=at.revision,
        cursor=at.cursor,
        participant_id=participant.id,
        agent_id=participant.agent_id,
        reason=cast("LeaveReason", reason or "left"),
    )


def room_updated(at: At, room: Room) -> RoomUpdated:
    """See RoomUpdated."""
    return RoomUpdated(room_id=at.room_id, revision=at.revision, cursor=at.cursor, room=room)


def room_closed(at: At, reason: str | None) -> RoomClosed:
    """See RoomClosed. A reason of a newer version passes as it is."""
    return RoomClosed.model_construct(
        type="room_closed",
        room_id=at.room_id,
        revision=at.revision,
        cursor=at.cursor,
        reason=cast("CloseReason", reason or "deleted"),
    )


def encode(message: Push) -> bytes:
    """A push as it goes over the wire; optional fields that are not set are left out (`retryAfterMs` never is)."""
    unset = {name for name in ("id", "recovered") if getattr(message, name, "") is None}
    return message.model_dump_json(by_alias=True, exclude=unset).encode()


def ok(request_id: str) -> bytes:
    """`Ok`, which is most of what is sent: without the detour over a model."""
    return b'{"type":"ok","id":%b}' % to_json(request_id)


def error(refused: Refused, about: Address) -> bytes:
    """The `error` that answers a message. Without an id it names the message's type, `to` and `roomId` instead."""
    details = refused.details if about.id is not None else {**about.details, **refused.details}
    message = Error(
        id=about.id,
        code=refused.code,
        message=refused.message,
        retryable=refused.retryable,
        retry_after_ms=refused.retry_after_ms,
        details=details,
    )
    return encode(message)


def signal_body(message: Signal, room_id: RoomId, sender: ParticipantId, agent_id: AgentId) -> bytes:
    """A signal's push without its end: `delivered` adds the cursor. Made once, by the sender's gateway."""
    push: dict[str, Any] = {"type": message.type, "roomId": room_id, "from": sender, "agentId": agent_id}
    if isinstance(message, Description):
        push["sdp"] = message.sdp
    else:
        init = message.candidate
        push["candidate"] = None if init is None else init.model_dump(by_alias=True, exclude_unset=True)
    if message.negotiation is not None:
        push["negotiation"] = message.negotiation
    return to_json(push)[:-1]


def delivered(body: bytes, cursor: str) -> bytes:
    """A stored signal as the push its receiver gets. `cursor` consists of characters that need no escaping."""
    return b'%b,"cursor":"%b"}' % (body, cursor.encode())
