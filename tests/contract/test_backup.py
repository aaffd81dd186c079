"""What the table of services says is backed up: taken from one NATS server as `nats stream backup` does, and restored."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from nats.aio.client import Client

from services.registry import REGISTRY
from shared.broker import subjects
from shared.broker.nats import ports as nats_ports
from shared.broker.nats.connection import Broker
from shared.broker.nats.streams import Streams
from shared.broker.ports import Ports
from shared.rooms.timers import LeaseEnds, Timer
from shared.values.ids import GatewayId, RoomId
from tests.support.backup import Backup
from tests.support.logs import begin
from tests.support.open_nats import OpenNats
from tests.support.patience import eventually

KEPT = [store.name for service in REGISTRY for store in service.stores if store.backed_up]


@asynccontextmanager
async def server(folder: Path) -> AsyncIterator[tuple[str, Client]]:
    """A server on which anybody may do anything, as its administrator may."""
    nats = OpenNats(folder)
    await nats.start()
    client = Client()
    await client.connect(nats.url)
    yield nats.url, client
    await client.close()
    await nats.stop()


async def rooms(url: str) -> Ports:
    """Connected as rooms, who makes the streams that are not there."""
    return await nats_ports.connect(Broker(url, None, None, 5.0, streams=Streams(max_bytes=1 << 20)), "rooms")


async def test_a_restored_installation_goes_on(tmp_path: Path) -> None:
    """On an empty server that gets the streams that are backed up, and no others: rooms are there again as they were,
    under another incarnation, and the lease of a gateway that was there ends, however long ago it was due."""
    lease = LeaseEnds(due=time.time() + 1, gateway=GatewayId("g1"))
    async with server(tmp_path / "old") as (url, client):
        ports = await rooms(url)
        await begin(ports, RoomId("kept"))
        await ports.timers.arm(lease)
        backups = {stream: await Backup.take(client, stream) for stream in KEPT}
        await begin(ports, RoomId("later"))
        before = ports.room_log.incarnation
        await ports.connection.close()
    async with server(tmp_path / "new") as (url, client):
        for stream, backup in backups.items():
            await backup.restore(client, stream)
        ports = await rooms(url)
        assert ports.room_log.incarnation != before
        assert [entry.room_id for entry in await ports.room_log.read(subjects.ALL_EVENTS, limit=10)] == ["kept"]
        due: list[Timer] = []

        async def take(timer: Timer) -> None:
            due.append(timer)

        taking = await ports.timers.take(take, 5.0)
        await eventually(lambda: due == [lease], "the lease ends", within=10)
        await taking.stop()
        await ports.connection.close()
