"""Three NATS servers, and the one that leads the rooms' log killed, stopped, or cut off in a network of its own."""

import asyncio
import json
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from services.launcher.embedded_cluster import EmbeddedCluster, here
from services.launcher.embedded_nats import Place
from shared.broker.ports import Ports
from shared.broker.subjects import LOG_STREAM
from tests.faults.figures import Row
from tests.faults.size import Size
from tests.faults.stage import Stage, stage
from tests.faults.verdict import histories, late
from tests.support.broker import over_nats
from tests.support.netns import Network, Refused

FAULT = "three NATS servers under load: leader of the log {}"
FIGURE = "operations go on within 10 s; nothing acknowledged is lost; nothing applied late after the heal"
GO_ON = 10.0
WHOLE = 300.0  # seconds within which NATS has all servers up to date again, and soon: within SOON
SOON = 40.0
SERVERS = 3
ROOM = 4

Fault = Callable[[EmbeddedCluster, int], Awaitable[None]]


async def killed(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row: SIGKILL."""

    async def heal(cluster: EmbeddedCluster, leader: int) -> None:
        await cluster.servers[leader].start()

    row = Row(FAULT.format("killed"), FIGURE)
    cluster = EmbeddedCluster(folder / "nats", here(SERVERS))
    await _play(row, cluster, size, chance, lambda c, leader: c.kill(leader), heal)
    return row


async def stopped(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row: SIGSTOP, and SIGCONT."""
    row = Row(FAULT.format("stopped"), FIGURE)
    cluster = EmbeddedCluster(folder / "nats", here(SERVERS))
    await _play(
        row,
        cluster,
        size,
        chance,
        lambda c, leader: c.kill(leader, signal.SIGSTOP),
        lambda c, leader: c.kill(leader, signal.SIGCONT),
    )
    return row


async def cut_off(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row: its cable taken out."""
    row = Row(FAULT.format("cut off"), FIGURE)
    network = Network(SERVERS)
    try:
        network.open()
    except (Refused, FileNotFoundError) as missing:
        network.close()
        row.skipped = f"no network namespaces here: {missing}"
        return row

    async def cut(_: EmbeddedCluster, leader: int) -> None:
        network.cut(leader)

    async def heal(_: EmbeddedCluster, leader: int) -> None:
        network.heal(leader)

    try:
        places = [Place(f"nats-{n + 1}", network.address(n), network.inside(n)) for n in range(SERVERS)]
        await _play(row, EmbeddedCluster(folder / "nats", places), size, chance, cut, heal)
    finally:
        network.close()
    return row


async def _play(
    row: Row, cluster: EmbeddedCluster, size: Size, chance: random.Random, break_: Fault, heal: Fault
) -> None:
    settings = {**size.patient, "LOG_REPLICAS": str(SERVERS)}
    async with stage(cluster, size, chance, settings=settings) as s, _living(s, size):
        leader = await _leader(await s.fleet.ports())
        broken_at = time.time()
        await break_(cluster, leader)
        await asyncio.sleep(size.broken)
        before = await histories(await s.fleet.ports(), s.ledger)
        known = {room_id: log.fold.sequence for room_id, log in before.items()}
        healed_at = time.time()
        await heal(cluster, leader)
        await cluster.ready(WHOLE)
        whole = time.time() - healed_at
        await asyncio.sleep(2 * size.pause)
        await s.load.rest()
        _tell(row, s, broken_at)
        row.saw(f"all servers were up to date {whole:.1f} s after the heal")
        # NATS' own: what only the cut-off leader had is dropped entry by entry (docs/operations.md).
        row.hope(whole <= SOON, f"{whole:.0f} s until all servers were up to date")
        await s.conclude(row)
        row.wrong += [f"applied late: {one}" for one in await late(await s.fleet.ports(), s.ledger, known, healed_at)]


@asynccontextmanager
async def _living(s: Stage, size: Size) -> AsyncIterator[None]:
    callers = await s.load.connect(size.steady)
    rooms = [f"cluster-{n}" for n in range(size.steady // ROOM)]
    s.load.live(callers, rooms, size.pause, (3, 8))
    await asyncio.sleep(3 * size.pause)
    yield


async def _leader(ports: Ports) -> int:
    """Which server leads the log: its number in the cluster."""
    answer = await over_nats(ports).client.request(f"$JS.API.STREAM.INFO.{LOG_STREAM}", b"", timeout=5)
    name: str = json.loads(answer.data)["cluster"]["leader"]
    return int(name.rpartition("-")[2]) - 1


def _tell(row: Row, s: Stage, broken_at: float) -> None:
    """How long nothing that needs the log was acknowledged that was asked for after the fault."""
    done = sorted(
        asked.replied
        for asked in s.ledger.acknowledged("join_room", "leave_room", "update_self")
        if asked.replied is not None and asked.began > broken_at
    )
    if not done:
        row.wrong.append("no operation was acknowledged after the fault")
        return
    pauses = [after - before for before, after in zip([broken_at, *done], done, strict=False)]
    row.saw(
        f"the next operation was acknowledged after {done[0] - broken_at:.1f} s, the longest pause was {max(pauses):.1f} s"
    )
    row.hope(max(pauses) <= GO_ON, f"{max(pauses):.1f} s without an acknowledged operation")
    refused = s.ledger.refusals().most_common(3)
    row.saw("refused: " + ", ".join(f"{n} {what}" for what, n in refused))
