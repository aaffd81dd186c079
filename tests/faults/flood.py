"""Strangers flood the public port of a gateway, in every way there is: whoever is in a room notices nothing but a delay."""

import asyncio
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.faults.figures import Row, histogram_percentile, percentile
from tests.faults.silence import Mates, mates_in
from tests.faults.size import Size
from tests.faults.stage import Stage, stage
from tests.support.processes import Process

FAULT = "{} strangers flood a gateway: {}"
FIGURE = "nobody is cut off, the lease is held, memory is bounded; signals' p99 at most 1 s"
LATENCY = 1.0
GROWTH = 150 << 20  # bytes of memory, with connections and all they may hold


@dataclass(frozen=True)
class Way:
    """One kind of flood (flooder.KINDS), and from how many addresses."""

    kind: str
    addresses: int


WAYS = (
    Way("pipelined", 1000),
    Way("pipelined", 1),
    Way("bad-tokens", 1000),
    Way("bodies", 1000),
    Way("chunks", 1000),
    Way("unread", 1000),
    Way("heads", 1000),
    Way("drip", 1000),
    Way("idle", 1000),
    Way("handshakes", 1000),
    Way("frames", 1000),
    Way("pings", 1000),
    Way("member-pings", 1000),
    Way("member-frames", 1000),
)
SHORT = ("pipelined", "bodies", "member-pings")


async def flood(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row: one way after another."""
    ways = [way for way in WAYS if not size.short or way.kind in SHORT]
    row = Row(FAULT.format(size.strangers, ", ".join(dict.fromkeys(way.kind for way in ways))), FIGURE)
    async with stage(
        folder, size, chance, gateways=1, settings=size.patient | {"CONNECTIONS_PER_ADDRESS": "1000"}
    ) as s:
        (gateway,) = s.fleet.gateways
        people = await mates_in(s, "flooded")
        before = percentile(await people.talk(size.measured), 0.99)
        row.saw(f"signals took p99 {before * 1000:.0f} ms before")
        for way in ways:
            await _one(row, s, size, gateway, people, way)
        await s.load.rest()
        findings = await s.conclude(row)
        row.expect(not s.ledger.gaps, f"{len(s.ledger.gaps)} times somebody's connection was gone")
        row.expect(not findings.ended, f"stays ended that nobody gave up: {dict(findings.ended)}")
    return row


async def _one(row: Row, s: Stage, size: Size, gateway: str, people: Mates, way: Way) -> None:
    name = f"{way.kind} from {way.addresses}"
    lag = (await s.fleet.metrics(gateway)).buckets("parley_loop_lag_seconds")
    memory = _memory(s, gateway)
    url = urlsplit(s.fleet.url(gateway))
    arguments = (str(url.hostname), str(url.port), way.kind, str(size.strangers), str(way.addresses))
    strangers = Process(sys.executable, "-m", "tests.faults.flooder", *arguments)
    try:
        await strangers.hear(r"^\d+ open")
        took = percentile(await people.talk(size.flooded), 0.99)
        metrics = await s.fleet.metrics(gateway)
        grown = _memory(s, gateway) - memory
        told = strangers.lines[-1]
    finally:
        strangers.destroy()
    worst = histogram_percentile(lag, metrics.buckets("parley_loop_lag_seconds"), 0.999)
    row.saw(
        f"{name}: signals took p99 {took * 1000:.0f} ms, event-loop lag p99.9 at most {(worst or 0) * 1000:.0f} ms, "
        f"{grown >> 20} MB more; they had {told}"
    )
    row.hope(took <= LATENCY, f"{name}: signals took {took * 1000:.0f} ms at p99")
    row.expect(grown <= GROWTH, f"{name}: {grown >> 20} MB more")
    lost = s.fleet.said(gateway, "lease lost")
    row.expect(not lost, f"{name}: the lease was lost")
    await asyncio.sleep(0.5)


def _memory(s: Stage, gateway: str) -> int:
    """Bytes of the gateway's memory."""
    status = Path(f"/proc/{s.fleet.members[gateway].popen.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024
