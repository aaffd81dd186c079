"""Hosts whose clocks are wrong, each in its own way, under load: what counts is the broker's time."""

import asyncio
import random
from pathlib import Path

from tests.faults.figures import Row
from tests.faults.rolling import live, nobody_put_out
from tests.faults.size import Size
from tests.faults.stage import stage
from tests.support.needed import found
from tests.support.shifted import shifted

OFF = 120.0
WRONG = {"gateway-0": OFF, "gateway-1": -OFF, "rooms-0": -OFF, "rooms-1": OFF, "auth-0": -OFF}
DOUBT = 0.3


async def clocks(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row. In its middle everything is restarted once, so that sessions move from host to host."""
    row = Row(
        f"clocks of gateways, rooms and auth {OFF:g} s ahead or behind, for {size.wrong_clocks:g} s under load",
        "nobody is put out of a room or refused; each host says how far it is off",
    )
    if found("faketime") is None:
        row.skipped = "needs faketime"
        return row
    hosts = {name: shifted(seconds) for name, seconds in WRONG.items()}
    async with stage(folder, size, chance, hosts=hosts, settings={**size.patient, "DRAIN_SECONDS": "3"}) as s:
        await live(s, size)
        await asyncio.sleep(size.wrong_clocks / 2)
        for name in s.fleet.names:
            await s.fleet.replace(name)
        await asyncio.sleep(size.wrong_clocks / 2)
        for name, seconds in WRONG.items():
            off = (await s.fleet.metrics(name)).total("parley_clock_off_seconds")
            row.expect(abs(off - seconds) < DOUBT, f"{name} is {seconds:g} s off, and says {off:g} s")
            said = [line for line in s.fleet.members[name].lines if "this host's clock differs" in line]
            row.expect(len(said) == 1, f"{name} said {len(said)} times that its clock is off")
        lost = await s.fleet.total("rooms", "parley_timers_due_total", kind="lease")
        row.expect(not lost, f"{lost:g} leases lost")
        await s.load.rest()
        await nobody_put_out(row, s)
    return row
