"""Makes the ports in memory: one connection, and the adapters that use it."""

from shared.broker.memory.broker import MemoryBroker
from shared.broker.memory.connection import MemoryConnection
from shared.broker.memory.leases import MemoryLeases
from shared.broker.memory.log import MemoryLog
from shared.broker.memory.marks import MemoryMarks
from shared.broker.memory.requests import MemoryRequests
from shared.broker.memory.room_notes import MemoryRoomNotes
from shared.broker.memory.signals import MemorySignals
from shared.broker.memory.snapshots import MemorySnapshots
from shared.broker.memory.storage import MemoryStorage
from shared.broker.memory.timers import MemoryTimers
from shared.broker.memory.watch import MemoryWatch
from shared.broker.ports import Ports
from shared.broker.room_log import ROOM_LOG


def ports_over(connection: MemoryConnection) -> Ports:
    """All ports of a process over its connection."""
    return Ports(
        connection=connection,
        requests=MemoryRequests(connection),
        room_log=MemoryLog(connection, ROOM_LOG),
        signals=MemorySignals(connection),
        timers=MemoryTimers(connection),
        leases=MemoryLeases(connection),
        marks=MemoryMarks(connection),
        notes=MemoryRoomNotes(connection),
        snapshots=MemorySnapshots(connection),
        storage=MemoryStorage(connection),
        watch=MemoryWatch(connection.broker),
        clock=connection.broker.clock,
    )


def connect(broker: MemoryBroker) -> Ports:
    """The ports of one more process."""
    return ports_over(MemoryConnection(broker))
