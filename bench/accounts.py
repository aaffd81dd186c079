"""`python -m bench.accounts`: what it costs NATS that gateways are in another account than the streams.

Signals of 2 kB are stored by the gateway's user and heard by it on another connection, 64 always under way: once with the
deployed accounts.conf, once with the gateway in the account of the streams. CPU of the server's process, in turns.
"""

import asyncio
import os
import re
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nats.aio.client import Client
from nats.aio.msg import Msg

from services.launcher.embedded_nats import EmbeddedNats
from services.registry import ACCOUNTS, REGISTRY
from shared.broker.nats import streams as nats_streams
from shared.broker.nats.streams import Streams

ROUNDS, SIGNALS, UNDER_WAY = 5, 4000, 64
BODY = b"x" * 2048
TICK = os.sysconf("SC_CLK_TCK")


def together(accounts: str) -> str:
    """The same, with the gateway's user among those who own the streams."""
    found = re.search(r"^      \{\n        user: gateway\n.*?^      \}\n", accounts, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError("accounts.conf has another shape")
    user = found[0].replace("$JS.agentlink.API", "$JS.API")
    alone = accounts.replace(found[0], "")
    return re.sub(
        r"^(  AGENTLINK \{\n.*?    users = \[\n)", lambda m: m[1] + user, alone, count=1, flags=re.MULTILINE | re.DOTALL
    )


async def connected(server: EmbeddedNats, user: str) -> Client:
    """A plain connection as this user."""
    client = Client()
    await client.connect(server.url, user=user, password=server.passwords[user], inbox_prefix=f"_INBOX.{user}")
    return client


def cpu(server: EmbeddedNats) -> float:
    """Seconds of CPU that the server has used."""
    process = server.process
    fields = Path(f"/proc/{process.pid if process else 0}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


async def measured(server: EmbeddedNats) -> float:
    """Microseconds of the server's CPU for a signal."""
    rooms, sender, hearer = [await connected(server, user) for user in ("rooms", "gateway", "gateway")]
    await nats_streams.ensure(rooms, Streams(max_bytes=1 << 30), 10)
    heard = 0

    async def hear(_message: Msg) -> None:
        nonlocal heard
        heard += 1

    await hearer.subscribe("agentlink.room.bench.>", cb=hear)
    await hearer.flush()

    async def send(count: int) -> None:
        for _ in range(count):
            await sender.request("agentlink.log.bench.signal.p", BODY, timeout=20, headers={"Nats-TTL": "60s"})

    await send(200)
    heard, before = 0, cpu(server)
    await asyncio.gather(*(send(SIGNALS // UNDER_WAY) for _ in range(UNDER_WAY)))
    spent = cpu(server) - before
    for client in (rooms, sender, hearer):
        await client.close()
    if not heard:
        raise RuntimeError("nothing was heard")
    return spent / (SIGNALS // UNDER_WAY * UNDER_WAY) * 1e6


async def main() -> None:
    """Both, in turns; the median of each and the difference."""
    kinds: dict[str, Callable[[str], str]] = {"an account of its own": str, "one account": together}
    figures: dict[str, list[float]] = {name: [] for name in kinds}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            for name, change in kinds.items():
                place = Path(folder) / f"{number}-{name.replace(' ', '-')}"
                place.mkdir()
                accounts = place / "accounts.conf"
                accounts.write_text(change(ACCOUNTS.read_text()))
                server = EmbeddedNats(place / "nats", sync="2m", registry=replace(REGISTRY, accounts=accounts))
                await server.start()
                try:
                    figures[name].append(await measured(server))
                finally:
                    await server.stop()
    for name, found in figures.items():
        median = statistics.median(found)
        print(f"{name:<22} {median:5.0f} µs of NATS' CPU for a signal ({min(found):.0f} to {max(found):.0f})")
    own, one = (statistics.median(found) for found in figures.values())
    print(f"difference             {own - one:+5.0f} µs")


if __name__ == "__main__":
    asyncio.run(main())
