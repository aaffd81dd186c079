"""What clients may send: the messages of the wire protocol, version 1 (docs/protocol.md).

They are `Strict`: an unknown field is an error. What clients are sent is in shared/wire/pushes.py.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from shared.rooms.model import MediaPatch, Name
from shared.values.errors import Code, Refused
from shared.values.ids import DeviceIdField, RoomIdField
from shared.values.model import Strict
from shared.wire import strict_json

RequestId = Annotated[str, StringConstraints(min_length=1, max_length=64)]
To = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Negotiation = Annotated[str, StringConstraints(max_length=64)]
CursorText = Annotated[str, StringConstraints(max_length=128)]
RoomRef = RoomIdField | None


class ClientMessage(Strict):
    """What every message from a client has."""

    id: RequestId | None = None


class Resume(Strict):
    """The proof of a session and the last cursor seen in each of its rooms."""

    token: str
    cursors: Annotated[dict[RoomIdField, CursorText], Field(max_length=100)]


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
