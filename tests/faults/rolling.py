"""Everything is restarted in order, one process after another, under load."""

import asyncio
import random
from pathlib import Path

from services.launcher.embedded_nats import EmbeddedNats
from tests.faults.figures import Row
from tests.faults.size import Size
from tests.faults.stage import Stage, stage

FAULT = "rolling restart of everything under load, {} times"
FIGURE = "0 lost room messages, 0 spurious user_left"
ROOM = 4  # clients of each room
FOREVER = (10**6, 10**6)  # acts in one stay
GUESTS = 0.25  # of the clients come and go


async def restarts(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row."""
    row = Row(FAULT.format(size.restarts), FIGURE)
    nats = EmbeddedNats(folder / "nats")
    async with stage(nats, size, chance, auths=2, settings={**size.patient, "DRAIN_SECONDS": "3"}) as s:
        await live(s, size)
        for _ in range(size.restarts):
            for name in s.fleet.names:
                await s.fleet.replace(name)
            await nats.stop()
            await nats.start()
            await s.fleet.ready()
        await s.load.rest()
        await nobody_put_out(row, s)
    return row


async def live(s: Stage, size: Size) -> None:
    """Most stay where they are all the time; some come and go."""
    callers = await s.load.connect(size.steady)
    guests = int(len(callers) * GUESTS)
    rooms = [f"rolling-{n}" for n in range(len(callers) // ROOM)]
    for n, caller in enumerate(callers[guests:]):
        s.load.live([caller], [rooms[n % len(rooms)]], size.pause, FOREVER)
    s.load.live(callers[:guests], rooms, size.pause, (1, 3))
    await asyncio.sleep(size.pause)


async def nobody_put_out(row: Row, s: Stage) -> None:
    """What must hold in every row, and that nobody lost a seat or a session who did not give it up."""
    findings = await s.conclude(row)
    lost = s.ledger.counts["sessions lost"]
    row.expect(not findings.ended, f"stays ended that nobody gave up: {dict(findings.ended)}")
    row.expect(not lost, f"{lost} sessions lost")
