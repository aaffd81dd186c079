"""A participant of a room, as everybody in it sees it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Participant:
    """One stay in a room (docs/protocol.md, section 4). `raw` is the protocol's object as it came.

    `media` says what is sent: `{"audio": {"state": "on" | "muted" | "off"}, "video": …, "screen": …}`.
    """

    id: str
    agent_id: str
    device_id: str
    name: str
    kind: str
    role: str
    order: int
    joined_at: str
    connection: str
    media: Mapping[str, Any]
    metadata: Mapping[str, Any]
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """A participant from the protocol's object; fields of newer versions stay in `raw`."""
        return cls(
            id=raw["id"],
            agent_id=raw["agentId"],
            device_id=raw.get("deviceId", ""),
            name=raw.get("name", raw["agentId"]),
            kind=raw.get("kind", "human"),
            role=raw.get("role", "participant"),
            order=raw["order"],
            joined_at=raw.get("joinedAt", ""),
            connection=raw.get("connection", "connected"),
            media=raw.get("media", {}),
            metadata=raw.get("metadata", {}),
            raw=raw,
        )

    def state_of(self, kind: str) -> str:
        """`on`, `muted` or `off`, of `audio`, `video` or `screen`."""
        track = self.media.get(kind)
        return str(track.get("state", "off")) if isinstance(track, Mapping) else "off"
