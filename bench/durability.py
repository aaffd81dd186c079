"""`python -m bench.durability`: what it costs to have an entry on the disk before it is acknowledged, and three times.

Appends of 1 kB by writers that each wait for their acknowledgement, through one connection, on the disk of the folder
that is given (or of temporary files).
"""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from nats.aio.client import Client

from bench.__main__ import percentile
from services.launcher.embedded_cluster import EmbeddedCluster, here
from services.launcher.embedded_nats import EmbeddedNats
from shared.broker.nats import streams as nats_streams
from shared.broker.nats.streams import Streams

SECONDS = 8.0
BODY = b"x" * 1024
CASES = [(1, "2m"), (1, "always"), (3, "2m"), (3, "always")]


async def appends(client: Client, writers: int) -> tuple[list[float], float]:
    """How long each append took, and how many a second there were."""
    took: list[float] = []
    end = time.perf_counter() + SECONDS

    async def write(number: int) -> None:
        while (begin := time.perf_counter()) < end:
            await client.request(f"agentlink.log.bench-{number}.event", BODY, timeout=20)
            took.append(time.perf_counter() - begin)

    begin = time.perf_counter()
    await asyncio.gather(*(write(number) for number in range(writers)))
    return took, len(took) / (time.perf_counter() - begin)


async def case(folder: Path, copies: int, sync: str) -> None:
    """One line for one writer, one for 64."""
    servers = EmbeddedNats(folder, sync=sync) if copies == 1 else EmbeddedCluster(folder, here(copies), sync=sync)
    await servers.start()
    client = Client()
    try:
        await client.connect(
            servers.url.split(","), user="rooms", password=servers.passwords["rooms"], inbox_prefix="_INBOX.rooms"
        )
        await nats_streams.ensure(client, Streams(max_bytes=1 << 30, replicas=copies), 10)
        for writers in (1, 64):
            await asyncio.sleep(2)
            took, rate = await appends(client, writers)
            p50, p99 = (percentile(took, share) * 1000 for share in (0.5, 0.99))
            what = f"R{copies}, sync {sync}, {writers} writer{'s' if writers > 1 else ''}"
            print(f"{what:<32} p50 {p50:7.2f} ms   p99 {p99:7.2f} ms   {rate:7.0f}/s", flush=True)
    finally:
        await client.close()
        await servers.stop()


async def main(folder: str | None) -> None:
    """All cases."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; servers and writers share them\n")
    for copies, sync in CASES:
        with tempfile.TemporaryDirectory(dir=folder) as data:
            await case(Path(data), copies, sync)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
