"""The public model of a room and its participants: the fields of protocol section 4."""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, StringConstraints, model_serializer

from shared.values import names
from shared.values.ids import AgentId, DeviceIdField, ParticipantId, RoomId
from shared.values.model import Strict, Tolerant

ROOM_SEATS = 250

Kind = Literal["human", "agent", "service"]
Role = Literal["owner", "moderator", "participant"]
RoomType = Literal["voice", "video"]
Access = Literal["open", "token"]
ConnectionState = Literal["connected", "reconnecting"]
# The advice for calls in the room: connect everyone with everyone, or use a selective forwarding unit.
Topology = Literal["mesh", "sfu_advised"]
LeaveReason = Literal["left", "timeout", "replaced", "kicked", "banned", "room_closed", "token_expired", "revoked"]
CloseReason = Literal["deleted", "max_duration", "empty"]


def _shown(name: str) -> str:
    if fault := names.fault(name):
        raise ValueError(fault)
    return name


Name = Annotated[str, StringConstraints(min_length=1, max_length=names.NAME_CHARACTERS), AfterValidator(_shown)]
Seats = Annotated[int, Field(ge=1, le=ROOM_SEATS)]
Minutes = Annotated[int, Field(ge=1, le=7 * 24 * 60)]


class Track(Strict):
    """One kind of media of a participant."""

    state: Literal["on", "muted", "off"] = "off"


class Media(Strict):
    """What a participant sends. Absent kinds are `off`."""

    audio: Track = Track()
    video: Track = Track()
    screen: Track = Track()


class MediaPatch(Strict):
    """A change of `Media` by key (RFC 7396): absent keeps, `null` removes (so: `off`)."""

    audio: Track | None = None
    video: Track | None = None
    screen: Track | None = None

    @model_serializer(mode="wrap")
    def _as_given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave absent kinds out when the patch is sent to another process: as `null` they would turn that kind off."""
        return {kind: track for kind, track in handler(self).items() if kind in self.model_fields_set}

    def apply(self, media: Media) -> Media:
        """The media after this change."""
        return media.model_copy(update={kind: getattr(self, kind) or Track() for kind in self.model_fields_set})


class RoomSettings(Strict):
    """What the creator chose. `max_duration` is minutes from the first join; the room then closes."""

    mute_on_entry: bool = False
    allow_recording: bool = False
    max_duration: Minutes | None = None


class Room(Tolerant):
    """A room's public properties. `participant_count` is as of the event or snapshot that carries it.

    `topology` is one of `Topology`, or a word of a newer version, which is passed on as it is.
    """

    room_id: RoomId
    name: str
    type: RoomType
    max_participants: int
    created_by: AgentId
    created_at: str
    access: Access = "open"
    settings: RoomSettings = RoomSettings()
    participant_count: int = 0
    locked: bool = False
    topology: Topology | str = "mesh"


class Participant(Tolerant):
    """One stay of a session in a room. `order` grows with every join; the higher one offers and is the polite peer."""

    id: ParticipantId
    agent_id: AgentId
    device_id: DeviceIdField
    name: str
    kind: Kind = "human"
    role: Role = "participant"
    order: int
    joined_at: str
    connection: ConnectionState = "connected"
    media: Media = Media()
    metadata: dict[str, Any] = {}


def merge_patch(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """RFC 7396: objects merge by key, `null` removes a key, anything else replaces. Neither argument is changed."""
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            below = merged.get(key)
            merged[key] = merge_patch(below if isinstance(below, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def json_bytes(value: object) -> int:
    """Size of a value as compact JSON in UTF-8, in bytes: what metadata limits count."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
