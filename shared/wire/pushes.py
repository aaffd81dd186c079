"""The messages to clients (docs/protocol.md): replies and pushes. Their bytes are made once per push."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import Field
from pydantic_core import to_json

from shared.auth.ice_server import IceServer
from shared.rooms.model import CloseReason, LeaveReason, Participant, Room
from shared.values.errors import Code, Refused
from shared.values.ids import AgentId, ParticipantId, RoomId, SessionId
from shared.values.model import Strict
from shared.wire.ice_candidate import IceCandidate
from shared.wire.protocol import Address


class Push(Strict):
    """A message to a client. A field named in `left_out` does not appear while it is None; any other is `null` then."""

    left_out: ClassVar[frozenset[str]] = frozenset({"id"})

    @classmethod
    def kinds(cls) -> "list[type[Push]]":
        """Every push that has been defined, here or in the folder of a feature, in that order."""
        below = [kind for one in cls.__subclasses__() for kind in (one, *one.kinds())]
        return [kind for kind in below if "type" in kind.model_fields]


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
    features: list[str] = ["resume"]
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


class RoomUsers(Push):
    """A room and everyone in it, at one revision."""

    left_out = frozenset({"id", "recovered", "expires_at"})
    type: Literal["room_users"] = "room_users"
    id: str | None = None
    room_id: RoomId
    revision: int
    cursor: str
    self: ParticipantId
    room: Room
    participants: list[Participant]
    ice_servers: list[IceServer] = []
    expires_at: str | None = None
    recovered: bool | None = None


class IceServers(Push):
    """Other ICE servers than the client was told, to be used from now on (`RTCPeerConnection.setConfiguration`).

    `expires_at` (RFC 3339) is the end of their credentials, if they have any. No change of the room, so no cursor.
    """

    left_out = frozenset({"expires_at"})
    type: Literal["ice_servers"] = "ice_servers"
    room_id: RoomId
    ice_servers: list[IceServer]
    expires_at: str | None = None


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
    """The room, revision and cursor that a push about a room carries."""

    room_id: RoomId
    revision: int
    cursor: str


def user_joined(at: At, participant: Participant) -> UserJoined:
    """See UserJoined."""
    return UserJoined(room_id=at.room_id, revision=at.revision, cursor=at.cursor, participant=participant)


def user_updated(at: At, participant: Participant) -> UserUpdated:
    """See UserUpdated."""
    return UserUpdated(room_id=at.room_id, revision=at.revision, cursor=at.cursor, participant=participant)


def user_left(at: At, participant_id: ParticipantId, agent_id: AgentId, reason: str | None) -> UserLeft:
    """See UserLeft. A reason of a newer version passes as it is."""
    return UserLeft.model_construct(
        type="user_left",
        room_id=at.room_id,
        revision=at.revision,
        cursor=at.cursor,
        participant_id=participant_id,
        agent_id=agent_id,
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
    """A push as it goes over the wire."""
    unset = {name for name in message.left_out if getattr(message, name, "") is None}
    return message.model_dump_json(by_alias=True, exclude=unset).encode()


def ok(request_id: str) -> bytes:
    """`Ok` for this request. It is the most frequent message, so it is made without a model."""
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


def delivered(body: bytes, cursor: str) -> bytes:
    """A stored signal as the push for its receiver. `cursor` must have only characters that JSON need not escape."""
    return b'%b,"cursor":"%b"}' % (body, cursor.encode())
