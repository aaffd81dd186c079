"""The messages of a client about its rooms, as they come over the wire (protocol, section 4)."""

from typing import Any, Literal

from shared.rooms.model import MediaPatch, Name
from shared.values.ids import RoomIdField
from shared.wire.protocol import ClientMessage, RoomRef


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
