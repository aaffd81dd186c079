"""kill -9 of every kind of process in turn, while callers come into rooms, call each other and leave."""

import asyncio
import random
import time
from collections import Counter
from pathlib import Path

from services.launcher.embedded_nats import EmbeddedNats
from tests.faults.figures import Row
from tests.faults.fleet import Fleet
from tests.faults.size import Size
from tests.faults.stage import Stage, stage
from tests.faults.verdict import histories

FAULT = "kill -9 of gateway, rooms, auth, NATS in turn, while clients join, call and leave"
FIGURE = "0 acknowledged operations lost, 0 ghosts 10 s after grace, 0 rosters wrong"
AFTER_GRACE = 10.0
KEPT = "900"  # seconds of signals: to the end of the run, so that one that was missed can be looked at
VANISHING = 0.25  # of the clients, at the end


async def kills(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row."""
    row = Row(FAULT, FIGURE)
    nats = EmbeddedNats(folder / "nats")
    async with stage(nats, size, chance, settings={"SIGNAL_SECONDS": KEPT}) as s:
        callers = await s.load.connect(size.clients)
        s.load.live(callers, [f"kills-{n}" for n in range(size.clients // 4)], size.pause, (2, 6))
        killed = await _kill_in_turn(s.fleet, nats, size.kills, chance)
        row.saw(f"{sum(killed.values())} kills ({', '.join(f'{n} {what}' for what, n in killed.items())})")
        await s.load.rest()
        for caller in callers:
            if chance.random() < VANISHING:
                caller.vanish()
        took = await _until_gone(s, size.lease + size.grace + AFTER_GRACE)
        row.saw(f"clients that vanished were out of every room {took:.1f} s later")
        await s.conclude(row)
        refused = s.ledger.refusals().most_common(4)
        row.saw("refused: " + ", ".join(f"{n} {what}" for what, n in refused))
    return row


async def _kill_in_turn(fleet: Fleet, nats: EmbeddedNats, count: int, chance: random.Random) -> Counter[str]:
    """One process after another dies and comes back; a service's other processes stand meanwhile, auth's and NATS do not."""
    turn = ["gateway-0", "rooms-0", "auth-0", "nats", "gateway-1", "rooms-1"]
    killed: Counter[str] = Counter()
    for n in range(count):
        victim = turn[n % len(turn)]
        await asyncio.sleep(chance.uniform(0.2, 1.0))
        if victim == "nats":
            fleet.note("kill NATS")
            await kill_nats(nats)
            await asyncio.sleep(chance.uniform(0, 0.5))
            await nats.start()
            await fleet.ready()
        else:
            await fleet.kill(victim)
            await asyncio.sleep(chance.uniform(0, 0.5))
            fleet.spawn(victim)
            await fleet.ready(victim)
        killed[victim.partition("-")[0]] += 1
    return killed


async def kill_nats(nats: EmbeddedNats) -> None:
    """Without warning; returns when it has ended."""
    process = nats.process
    assert process is not None
    nats.kill()
    await asyncio.to_thread(process.wait)


async def _until_gone(s: Stage, within: float) -> float:
    """Until the logs have nobody in a room but those who live, or the time is over; the seconds it took."""
    started = time.monotonic()
    ports = await s.fleet.ports()
    while (took := time.monotonic() - started) < within:
        living = {belief.own for caller in s.load.callers if caller.alive for belief in caller.rooms.values()}
        if all(log.seats.keys() <= living for log in (await histories(ports, s.ledger)).values()):
            return took
        await asyncio.sleep(0.5)
    return took
