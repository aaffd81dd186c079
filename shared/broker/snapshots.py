"""The port for snapshots of rooms: a cache of their logs. Losing it only makes loading slower."""

from typing import Protocol

from shared.rooms.roster import Snapshot
from shared.values.ids import RoomId


class Snapshots(Protocol):
    """Keeps the newest snapshot of each room. Both raise `Refused(unavailable)` when the broker cannot answer."""

    async def save(self, snapshot: Snapshot) -> None:
        """Keep this as the room's snapshot."""

    async def load(self, room_id: RoomId) -> Snapshot | None:
        """The room's snapshot, if there is one of this incarnation of the log. Raises ValueError when it cannot be read."""


def encode(snapshot: Snapshot) -> bytes:
    """The snapshot as it is stored."""
    return snapshot.model_dump_json(by_alias=True).encode()


def usable(stored: bytes | None, room_id: RoomId, incarnation: str) -> Snapshot | None:
    """The stored snapshot, if it is of this room and of this incarnation of the log.

    Raises ValueError when it cannot be read.
    """
    snapshot = Snapshot.model_validate_json(stored, extra="ignore") if stored else None
    if snapshot is None or (snapshot.room_id, snapshot.incarnation) != (room_id, incarnation):
        return None
    return snapshot
