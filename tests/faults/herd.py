"""Thousands of clients dropped at once: the gateway they are all connected to is killed, and they come back."""

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.caller import Caller
from tests.faults.figures import Row, histogram_percentile
from tests.faults.size import Size
from tests.faults.stage import Stage, stage

FAULT = "{} clients dropped at once come back"
FIGURE = "all resumed within 10 s, event-loop lag p99 at most 250 ms"
ROOM = 10
AT_ONCE = 50
WITHIN, LAG = 10.0, 0.25
PATIENCE = 60.0


async def herd(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row."""
    row = Row(FAULT.format(size.herd), FIGURE)
    async with stage(folder, size, chance, settings=size.patient) as s:
        victim, other = s.fleet.gateways
        callers = await s.load.connect(size.herd, urls=[s.fleet.url(victim)])
        await _join(callers)
        before = (await s.fleet.metrics(other)).buckets("parley_loop_lag_seconds")
        started = time.monotonic()
        await s.fleet.kill(victim)
        s.fleet.spawn(victim)
        took = await _all_back(callers, started)
        lag = histogram_percentile(before, (await s.fleet.metrics(other)).buckets("parley_loop_lag_seconds"), 0.99)
        back = sum(_is_back(caller) for caller in callers)
        row.saw(
            f"{back} resumed within {took:.1f} s of the kill, on what was left: one gateway, the other starting anew"
        )
        row.saw(
            "event-loop lag: not measured"
            if lag is None
            else f"event-loop lag of that gateway p99 at most {lag * 1000:.0f} ms"
        )
        row.hope(took <= WITHIN, f"{took:.1f} s until all were back")
        row.hope(lag is not None and lag <= LAG, "the event loop lagged for longer than 250 ms")
        row.expect(back == size.herd, f"{size.herd - back} did not come back")
        await _conclude(row, s)
    return row


async def _join(callers: Sequence[Caller]) -> None:
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(n: int, caller: Caller) -> None:
        async with turn:
            await caller.insist("join_room", roomId=f"herd-{n // ROOM}")

    await asyncio.gather(*(one(n, caller) for n, caller in enumerate(callers)))


def _is_back(caller: Caller) -> bool:
    return caller.link.online.is_set() and caller.link.lost_at is None


async def _all_back(callers: Sequence[Caller], started: float) -> float:
    """Until all have resumed, or patience ends; seconds since the start."""
    while not all(_is_back(caller) for caller in callers) and time.monotonic() < started + PATIENCE:
        await asyncio.sleep(0.05)
    return time.monotonic() - started


async def _conclude(row: Row, s: Stage) -> None:
    findings = await s.conclude(row)
    row.expect(not findings.ended, f"stays ended that nobody gave up: {dict(findings.ended)}")
    lost = s.ledger.counts["sessions lost"]
    row.expect(not lost, f"{lost} sessions lost")
