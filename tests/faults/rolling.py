"""Everything is restarted in order, one process after another, under load; and the release before is upgraded so."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

from services.launcher.embedded_nats import EmbeddedNats
from tests.faults.figures import Row
from tests.faults.fleet import CURRENT, Release
from tests.faults.previous import VERSION, NoHistory, previous
from tests.faults.size import Size
from tests.faults.stage import Stage, stage

FAULT = "rolling restart of everything under load, {} times"
UPGRADE = f"rolling upgrade from {VERSION}, code and log, under load"
FIGURE = "0 lost room messages, 0 spurious user_left"
ROOM = 4  # clients of each room
FOREVER = (10**6, 10**6)  # acts in one stay
GUESTS = 0.25  # of the clients come and go


async def restarts(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row."""
    row = Row(FAULT.format(size.restarts), FIGURE)
    nats = EmbeddedNats(folder / "nats")
    async with stage(nats, size, chance, auths=2, settings={**size.patient, "DRAIN_SECONDS": "3"}) as s:
        await _live(s, size)
        for _ in range(size.restarts):
            await _restart(s, nats, s.fleet.names)
        await s.load.rest()
        await _judge(row, s)
    return row


async def upgrade(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row."""
    row = Row(UPGRADE, FIGURE)
    try:
        before = await asyncio.to_thread(previous, folder / "previous")
    except NoHistory as missing:
        row.skipped = str(missing)
        return row
    nats = EmbeddedNats(folder / "nats")
    async with stage(nats, size, chance, auths=2, release=before, settings={**size.patient, "DRAIN_SECONDS": "3"}) as s:
        await _live(s, size)
        await asyncio.sleep(2 * size.pause)
        behind = [name for name in s.fleet.names if not name.startswith("gateway")]
        await _restart(s, nats, behind, with_nats=False)
        for name in s.fleet.gateways:
            await s.fleet.replace(name)
            await asyncio.sleep(size.pause)
        moved = len(s.ledger.over)
        await _restart(s, nats, s.fleet.gateways[:1] if size.short else s.fleet.names, with_nats=not size.short)
        await s.load.rest()
        await _judge(row, s, after_upgrade=moved)
    return row


async def _live(s: Stage, size: Size) -> None:
    """Most stay where they are all the time; some come and go."""
    callers = await s.load.connect(size.steady)
    guests = int(len(callers) * GUESTS)
    rooms = [f"rolling-{n}" for n in range(len(callers) // ROOM)]
    for n, caller in enumerate(callers[guests:]):
        s.load.live([caller], [rooms[n % len(rooms)]], size.pause, FOREVER)
    s.load.live(callers[:guests], rooms, size.pause, (1, 3))
    await asyncio.sleep(size.pause)


async def _restart(
    s: Stage, nats: EmbeddedNats, names: Sequence[str], release: Release = CURRENT, *, with_nats: bool = True
) -> None:
    for name in names:
        await s.fleet.replace(name, release)
    if with_nats:
        await nats.stop()
        await nats.start()
        await s.fleet.ready()


async def _judge(row: Row, s: Stage, after_upgrade: int | None = None) -> None:
    findings = await s.conclude(row)
    lost = s.ledger.counts["sessions lost"]
    if after_upgrade is None:
        row.expect(not findings.ended, f"stays ended that nobody gave up: {dict(findings.ended)}")
        row.expect(not lost, f"{lost} sessions lost")
        return
    early = [over for over in s.ledger.over[:after_upgrade] if over.reason != "left"]
    late = [over for over in s.ledger.over[after_upgrade:] if over.reason != "left"]
    row.saw(f"{VERSION} cannot resume: its gateways' stopping ended {len(early)} stays; afterwards nothing did")
    row.expect(not late, f"stays ended after the upgrade: {[(over.caller, over.reason) for over in late[:3]]}")
    row.expect("timeout" not in findings.ended, f"ended by timeout: {findings.ended['timeout']}")
