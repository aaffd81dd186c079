"""Snapshots of rooms in memory."""

from shared.broker.memory.connection import MemoryConnection
from shared.broker.snapshots import encode, usable
from shared.rooms.roster import Snapshot
from shared.values.ids import RoomId


class MemorySnapshots:
    """See Snapshots."""

    def __init__(self, connection: MemoryConnection) -> None:
        self._connection = connection

    async def save(self, snapshot: Snapshot) -> None:
        """See Snapshots."""
        self._connection.reach()
        self._connection.broker.snapshots[snapshot.room_id] = encode(snapshot)

    async def load(self, room_id: RoomId) -> Snapshot | None:
        """See Snapshots."""
        self._connection.reach()
        broker = self._connection.broker
        return usable(broker.snapshots.get(room_id), room_id, broker.rooms.incarnation)
