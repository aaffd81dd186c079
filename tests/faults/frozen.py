"""A service that hangs: stopped for a while and continued. What it still writes then loses."""

import asyncio
import random
import time
from collections.abc import Mapping
from pathlib import Path

from tests.faults.figures import Row
from tests.faults.size import Size
from tests.faults.stage import Stage, stage
from tests.faults.verdict import histories, late

FAULT = "{} stopped for {:g} s and continued, under load"
FIGURE = "its late writes lose; nobody is put out of a room"
ROOM = 4
AFTER = 4.0  # seconds in which a late write would show


async def frozen_rooms(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row: one of two replicas of rooms, which goes on being asked."""
    return await _play(Row(FAULT.format("rooms", size.frozen), FIGURE), "rooms-0", folder, size, chance)


async def frozen_gateway(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row: one of two gateways. Its clients notice by its not answering pings, and resume on the other one."""
    return await _play(Row(FAULT.format("gateway", size.frozen), FIGURE), "gateway-0", folder, size, chance)


async def _play(row: Row, victim: str, folder: Path, size: Size, chance: random.Random) -> Row:
    async with stage(folder, size, chance, settings=size.patient) as s:
        callers = await s.load.connect(size.steady)
        s.load.live(callers, [f"frozen-{n}" for n in range(size.steady // ROOM)], size.pause, (3, 8))
        await asyncio.sleep(3 * size.pause)
        s.fleet.freeze(victim)
        await asyncio.sleep(size.frozen)
        known = {
            room_id: log.fold.sequence for room_id, log in (await histories(await s.fleet.ports(), s.ledger)).items()
        }
        thawed_at = time.time()
        s.fleet.thaw(victim)
        await asyncio.sleep(AFTER)
        await s.load.rest()
        await _judge(row, s, known, thawed_at)
    return row


async def _judge(row: Row, s: Stage, known: Mapping[str, int], thawed_at: float) -> None:
    findings = await s.conclude(row)
    row.wrong += [f"applied late: {one}" for one in await late(await s.fleet.ports(), s.ledger, known, thawed_at)]
    row.expect(not findings.ended, f"stays ended that nobody gave up: {dict(findings.ended)}")
    dead = s.ledger.counts["gateways given up for dead"]
    refused = s.ledger.refusals().most_common(3)
    row.saw(f"{dead} connections given up for dead; refused: " + ", ".join(f"{n} {what}" for what, n in refused))
