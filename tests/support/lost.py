"""Takes streams from a broker that runs on, and puts them back: as whoever may do anything, since no service may."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nats.aio.client import Client

from services.launcher.embedded_nats import EmbeddedNats
from shared.broker.memory.connection import MemoryConnection
from shared.broker.ports import Ports
from shared.broker.subjects import LOG_STREAM, TIMER_STREAM
from shared.values.position import NOWHERE, Position
from tests.support.backup import Backup, asked
from tests.support.broker import ContainerNats
from tests.support.patience import eventually
from tests.support.shared_nats import EMPTIER, SharedNats


class Taker:
    """What may be taken: over NATS, as its administrator."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def delete(self, stream: str) -> None:
        """The stream is gone, with all it held."""
        await asked(self.client, f"$JS.API.STREAM.DELETE.{stream}", {})

    async def purge(self, stream: str, subject: str | None = None) -> None:
        """All that it holds is gone, or all of one subject. The stream stays what it is, and goes on counting."""
        await asked(self.client, f"$JS.API.STREAM.PURGE.{stream}", {"filter": subject} if subject else {})

    async def backup(self, stream: str) -> Backup:
        """The stream as it is now."""
        return await Backup.take(self.client, stream)

    async def restore(self, stream: str, backup: Backup) -> None:
        """The stream is as it was."""
        await self.delete(stream)
        await backup.restore(self.client, stream)

    async def messages(self, stream: str) -> int:
        """How many it holds; 0 where there is none."""
        try:
            told = await asked(self.client, f"$JS.API.STREAM.INFO.{stream}", {})
        except AssertionError:
            return 0
        return int(told["state"]["messages"])


@asynccontextmanager
async def taker(nats: SharedNats | EmbeddedNats | ContainerNats) -> AsyncIterator[Taker]:
    """Connected to the server that all tests share, or to another one with the users of tests."""
    server = nats.running if isinstance(nats, SharedNats) else nats
    client = Client()
    await client.connect(server.url, user=EMPTIER, password=server.passwords[EMPTIER])
    try:
        yield Taker(client)
    finally:
        await client.close()


async def lose_timers(rooms: Ports, nats: SharedNats) -> None:
    """The stream of timers is deleted. When this returns, rooms has made another one."""
    if isinstance(rooms.connection, MemoryConnection):
        rooms.connection.broker.lose_timers()
        return
    before = incarnation(rooms, TIMER_STREAM)
    async with taker(nats) as one:
        await one.delete(TIMER_STREAM)

    await eventually(lambda: incarnation(rooms, TIMER_STREAM) != before, "the stream of timers is made anew")


def incarnation(ports: Ports, stream: str) -> str:
    """Of the stream as the process saw it last; empty while it is missing."""
    state = ports.watch.state(stream)
    return state.incarnation if state else ""


async def lose_log(rooms: Ports, nats: SharedNats, back_to: Backup | Position = NOWHERE) -> None:
    """The log of rooms is deleted, or put back to what it was; nobody is told."""
    if isinstance(back_to, Backup):
        async with taker(nats) as one:
            await one.restore(LOG_STREAM, back_to)
    elif isinstance(rooms.connection, MemoryConnection):
        rooms.connection.broker.lose_log(back_to)
    else:
        async with taker(nats) as one:
            await one.delete(LOG_STREAM)
