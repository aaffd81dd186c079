"""The port for notes of which gateway may have participants in which room: rooms looks there when a gateway is lost."""

from typing import Protocol

from shared.values.ids import GatewayId, RoomId


class RoomNotes(Protocol):
    """Notes by gateway. Every method raises `Refused(unavailable)` when the broker cannot answer."""

    async def note_room(self, gateway: GatewayId, room_id: RoomId) -> None:
        """Note that a gateway may have participants in a room."""

    async def noted_rooms(self, gateway: GatewayId) -> list[RoomId]:
        """The rooms noted of a gateway. May lag."""

    async def gateways(self) -> frozenset[GatewayId]:
        """Every gateway of which a room is noted."""

    async def forget_room(self, gateway: GatewayId, room_id: RoomId) -> None:
        """Forget one room that was noted of a gateway."""

    async def forget_rooms(self, gateway: GatewayId) -> None:
        """Forget what was noted of a gateway."""
