"""What we say of ourselves in a room: kept, so that we can come back as who we were. Pure but for asking for the token."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from parley.credentials import TokenSource, ask
from parley.merge_patch import merge_patch


@dataclass(slots=True)
class Profile:
    """Name, metadata and media of the own participant, and the join token's source."""

    room_id: str
    name: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    media: dict[str, Any] = field(default_factory=dict)
    token: TokenSource | None = field(default=None, repr=False)

    async def fields(self) -> dict[str, Any]:
        """Those of `join_room`. Raises what the token function raises."""
        token = None if self.token is None else await ask(self.token)
        given = {
            "roomId": self.room_id,
            "token": token,
            "name": self.name,
            "metadata": self.metadata or None,
            "media": self.media or None,
        }
        return {name: value for name, value in given.items() if value is not None}

    def fold(self, update: Mapping[str, Any]) -> None:
        """Take the fields of an `update_self`: metadata merges, each kind of media is replaced."""
        if "name" in update:
            self.name = update["name"]
        self.metadata = merge_patch(self.metadata, update.get("metadata") or {})
        kinds = {**self.media, **(update.get("media") or {})}
        self.media = {kind: track for kind, track in kinds.items() if track is not None}
