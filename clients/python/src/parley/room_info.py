"""A room's public properties."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class RoomInfo:
    """The protocol's room object (docs/protocol.md, section 4). `raw` is the object as it came.

    `topology` is `mesh`, or `sfu_advised` when more are in the room than a full mesh is good for.
    """

    id: str
    name: str
    type: str
    max_participants: int
    created_by: str
    created_at: str
    access: str
    settings: Mapping[str, Any]
    participant_count: int
    locked: bool
    topology: str
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """A room from the protocol's object; fields of newer versions stay in `raw`."""
        return cls(
            id=raw["roomId"],
            name=raw.get("name", raw["roomId"]),
            type=raw.get("type", "video"),
            max_participants=raw.get("maxParticipants", 0),
            created_by=raw.get("createdBy", ""),
            created_at=raw.get("createdAt", ""),
            access=raw.get("access", "open"),
            settings=raw.get("settings", {}),
            participant_count=raw.get("participantCount", 0),
            locked=raw.get("locked", False),
            topology=raw.get("topology", "mesh"),
            raw=raw,
        )
