"""NATS clusters for tests, on this machine or with each server in its own network; and which server leads a stream."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats.errors
from nats.aio.client import Client

from services.launcher.embedded_cluster import EmbeddedCluster, here
from services.launcher.embedded_nats import SYNC, Place
from shared.broker import subjects
from shared.values.errors import unavailable
from tests.support.netns import Network


def apart(network: Network) -> list[Place]:
    """A place in each namespace."""
    return [Place(f"nats-{index + 1}", network.address(index), network.inside(index)) for index in range(network.count)]


@asynccontextmanager
async def clustered(
    folder: Path, network: Network | None = None, *, sync: str = SYNC
) -> AsyncIterator[EmbeddedCluster]:
    """Three servers that are ready, or one in each namespace."""
    cluster = EmbeddedCluster(folder, here(3) if network is None else apart(network), sync=sync)
    await cluster.start()
    try:
        yield cluster
    finally:
        await cluster.stop()


async def leader(cluster: EmbeddedCluster, stream: str = subjects.LOG_STREAM) -> int:
    """The index of the server that leads a stream, by its own word. Raises `Refused(unavailable)` while none does."""
    client = Client()
    try:
        await client.connect(
            cluster.url.split(","),
            user="rooms",
            password=cluster.passwords["rooms"],
            inbox_prefix="_INBOX.rooms",
            connect_timeout=1,
            allow_reconnect=False,
            error_cb=_ignore,
        )
        answer = json.loads((await client.request(f"$JS.API.STREAM.INFO.{stream}", timeout=2)).data)
    except (nats.errors.Error, OSError, TimeoutError):
        raise unavailable("the stream") from None
    finally:
        await client.close()
    names = [server.place.name for server in cluster.servers]
    found = answer.get("cluster", {}).get("leader")
    if found not in names:
        raise unavailable("the stream")
    return names.index(found)


async def _ignore(_error: Exception) -> None:
    """Ignore that a server does not answer, which these tests cause on purpose. By default nats-py prints it."""
