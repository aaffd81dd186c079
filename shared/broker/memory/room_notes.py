"""Notes of which gateway may be in which room, in memory."""

import asyncio

from shared.broker.memory.connection import MemoryConnection
from shared.values.ids import GatewayId, RoomId


class MemoryRoomNotes:
    """See RoomNotes."""

    def __init__(self, connection: MemoryConnection) -> None:
        self._connection = connection
        self._notes = connection.broker.notes

    async def note_room(self, gateway: GatewayId, room_id: RoomId) -> None:
        """See RoomNotes."""
        await asyncio.sleep(0)
        self._connection.reach()
        self._notes.setdefault(gateway, {})[room_id] = None

    async def noted_rooms(self, gateway: GatewayId) -> list[RoomId]:
        """See RoomNotes."""
        await asyncio.sleep(0)
        self._connection.reach()
        return list(self._notes.get(gateway, {}))

    async def gateways(self) -> frozenset[GatewayId]:
        """See RoomNotes."""
        await asyncio.sleep(0)
        self._connection.reach()
        return frozenset(gateway for gateway, rooms in self._notes.items() if rooms)

    async def forget_room(self, gateway: GatewayId, room_id: RoomId) -> None:
        """See RoomNotes."""
        await asyncio.sleep(0)
        self._connection.reach()
        self._notes.get(gateway, {}).pop(room_id, None)

    async def forget_rooms(self, gateway: GatewayId) -> None:
        """See RoomNotes."""
        await asyncio.sleep(0)
        self._connection.reach()
        self._notes.pop(gateway, None)
