"""Makes the ports over NATS: one connection, and the adapters that use it."""

from nats.aio.client import Client

from shared.broker.nats.connection import Broker, NatsConnection
from shared.broker.nats.leases import NatsLeases
from shared.broker.nats.log import NatsLog
from shared.broker.nats.marks import NatsMarks
from shared.broker.nats.requests import NatsRequests
from shared.broker.nats.room_notes import NatsRoomNotes
from shared.broker.nats.signals import NatsSignals
from shared.broker.nats.snapshots import NatsSnapshots
from shared.broker.nats.storage import NatsStorage
from shared.broker.nats.timers import NatsTimers
from shared.broker.ports import Ports
from shared.broker.room_log import ROOM_LOG


def connection_to(broker: Broker, name: str) -> NatsConnection:
    """A connection under this name, not started."""
    return NatsConnection(Client(), broker, name)


async def connected(broker: Broker, name: str) -> NatsConnection:
    """A connection under this name. Waits while there is no broker. Raises BrokerError when the broker cannot be used."""
    connection = connection_to(broker, name)
    await connection.start()
    return connection


def ports_over(connection: NatsConnection) -> Ports:
    """All ports of a process over its connection."""
    return Ports(
        connection=connection,
        requests=NatsRequests(connection),
        room_log=NatsLog(connection, ROOM_LOG),
        signals=NatsSignals(connection),
        timers=NatsTimers(connection),
        leases=NatsLeases(connection),
        marks=NatsMarks(connection),
        notes=NatsRoomNotes(connection),
        snapshots=NatsSnapshots(connection),
        storage=NatsStorage(connection),
        watch=connection.watch,
        clock=connection.time.clock,
    )


async def connect(broker: Broker, name: str) -> Ports:
    """Connect, and make all ports. Waits and raises as `connected`."""
    return ports_over(await connected(broker, name))
