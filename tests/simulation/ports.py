"""A simulated process's ports: the doubles in memory, over a faulty connection."""

from functools import partial

from shared.broker.marks import Mark, Marked
from shared.broker.memory.marks import MemoryMarks
from shared.broker.memory.room_notes import MemoryRoomNotes
from shared.broker.memory.signals import MemorySignals
from shared.broker.memory.snapshots import MemorySnapshots
from shared.broker.memory.storage import MemoryStorage
from shared.broker.memory.watch import MemoryWatch
from shared.broker.ports import Ports
from shared.broker.signals import Posted, Signal
from shared.rooms.roster import Snapshot
from shared.values.ids import GatewayId, RoomId
from shared.values.position import Position
from tests.simulation.connection import FaultyConnection
from tests.simulation.leases import FaultyLeases
from tests.simulation.log import FaultyLog
from tests.simulation.requests import FaultyRequests
from tests.simulation.timers import FaultyTimers


class FaultySignals(MemorySignals):
    """See Signals."""

    def __init__(self, connection: FaultyConnection) -> None:
        super().__init__(connection)
        self._faulty = connection

    async def post(self, signal: Signal) -> Posted:
        """See Signals."""
        return await self._faulty.ask("post", partial(super().post, signal))


class FaultyRoomNotes(MemoryRoomNotes):
    """See RoomNotes."""

    def __init__(self, connection: FaultyConnection) -> None:
        super().__init__(connection)
        self._faulty = connection

    async def note_room(self, gateway: GatewayId, room_id: RoomId) -> None:
        """See RoomNotes."""
        await self._faulty.ask("note", partial(super().note_room, gateway, room_id))

    async def noted_rooms(self, gateway: GatewayId) -> list[RoomId]:
        """See RoomNotes."""
        return await self._faulty.ask("noted", partial(super().noted_rooms, gateway))

    async def gateways(self) -> frozenset[GatewayId]:
        """See RoomNotes."""
        return await self._faulty.ask("gateways", super().gateways)

    async def forget_room(self, gateway: GatewayId, room_id: RoomId) -> None:
        """See RoomNotes."""
        await self._faulty.ask("forget", partial(super().forget_room, gateway, room_id))

    async def forget_rooms(self, gateway: GatewayId) -> None:
        """See RoomNotes."""
        await self._faulty.ask("forget", partial(super().forget_rooms, gateway))


class FaultyMarks(MemoryMarks):
    """See Marks."""

    def __init__(self, connection: FaultyConnection) -> None:
        super().__init__(connection)
        self._faulty = connection

    async def read(self, what: Marked) -> Mark | None:
        """See Marks."""
        return await self._faulty.ask("mark", partial(super().read, what))

    async def write(self, what: Marked, body: bytes, *, after: Position) -> Position:
        """See Marks."""
        return await self._faulty.ask("mark", partial(super().write, what, body, after=after))


class FaultySnapshots(MemorySnapshots):
    """See Snapshots."""

    def __init__(self, connection: FaultyConnection) -> None:
        super().__init__(connection)
        self._faulty = connection

    async def save(self, snapshot: Snapshot) -> None:
        """See Snapshots."""
        await self._faulty.ask("save", partial(super().save, snapshot))

    async def load(self, room_id: RoomId) -> Snapshot | None:
        """See Snapshots."""
        return await self._faulty.ask("load", partial(super().load, room_id))


def ports_over(connection: FaultyConnection) -> Ports:
    """All ports of a simulated process."""
    return Ports(
        connection=connection,
        requests=FaultyRequests(connection),
        room_log=FaultyLog(connection),
        signals=FaultySignals(connection),
        timers=FaultyTimers(connection),
        leases=FaultyLeases(connection),
        marks=FaultyMarks(connection),
        notes=FaultyRoomNotes(connection),
        snapshots=FaultySnapshots(connection),
        storage=MemoryStorage(connection),
        watch=MemoryWatch(connection.broker),
        clock=connection.broker.clock,
    )
