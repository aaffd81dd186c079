"""Takes streams from a broker that runs on: as whoever may do anything, since no service may."""

from nats.aio.client import Client

from shared.broker.memory.connection import MemoryConnection
from shared.broker.ports import Ports
from shared.broker.subjects import TIMER_STREAM
from tests.support.broker import over_nats
from tests.support.patience import eventually_async
from tests.support.shared_nats import EMPTIER, SharedNats


async def lose_timers(rooms: Ports, nats: SharedNats) -> None:
    """The stream of timers is deleted. When this returns, rooms has made another one."""
    if isinstance(rooms.connection, MemoryConnection):
        rooms.connection.broker.lose_timers()
        return
    before = await rooms.timers.incarnation()
    server = nats.running
    client = Client()
    await client.connect(server.url, user=EMPTIER, password=server.passwords[EMPTIER])
    try:
        await client.jetstream().delete_stream(TIMER_STREAM)
    finally:
        await client.close()
    over_nats(rooms).repair()

    async def another() -> bool:
        return await rooms.timers.incarnation() != before

    await eventually_async(another, "the stream of timers is made anew")
