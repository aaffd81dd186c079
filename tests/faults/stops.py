"""Every service is told to stop in every state: without NATS, at work, and with NATS gone. It ends well each time."""

import asyncio
import random
import signal
from pathlib import Path

from services.launcher.embedded_nats import EmbeddedNats
from services.registry import REGISTRY
from tests.faults.figures import Row
from tests.faults.size import Size
from tests.faults.stage import stage
from tests.support.processes import Process
from tests.support.trouble import heeds, service, stopped_well

LATEST = 3.0  # seconds after it heeds signals
AT_ONCE = 2


async def stops(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row."""
    count = size.stops * len(REGISTRY)
    row = Row(
        f"SIGTERM, twice: {count} times without NATS, then of everything at work, and with NATS gone",
        "exit status 0, no traceback, every line JSON",
    )
    moments = [(name, chance.uniform(0, LATEST)) for name in REGISTRY.names for _ in range(size.stops)]
    turn = asyncio.Semaphore(AT_ONCE)

    async def without_nats(name: str, moment: float) -> None:
        async with turn:
            process = service(name)
            await asyncio.to_thread(heeds, process)
            await asyncio.sleep(moment)
            await _stop(row, f"{name} without NATS after {moment:.2f} s", process)

    await asyncio.gather(*(without_nats(*moment) for moment in moments))
    nats = EmbeddedNats(folder / "nats")
    async with stage(nats, size, chance, settings={"DRAIN_SECONDS": "2"}) as s:
        await s.load.connect(size.racers // 10)
        for name in s.fleet.names:
            await _stop(row, f"{name} at work", s.fleet.members.pop(name))
        for name in s.fleet.names:
            s.fleet.spawn(name)
        await s.fleet.ready()
        nats.kill()
        for name in s.fleet.names:
            await asyncio.sleep(chance.uniform(0, 1))
            await _stop(row, f"{name} with NATS gone", s.fleet.members.pop(name))
    row.saw(f"{count + 2 * len(s.fleet.names)} stops")
    return row


async def _stop(row: Row, what: str, process: Process) -> None:
    process.signal(signal.SIGTERM)
    await asyncio.sleep(0.1)
    if process.popen.poll() is None:
        process.signal(signal.SIGTERM)
    try:
        await asyncio.to_thread(stopped_well, process)
    except AssertionError as error:
        row.wrong.append(f"{what}: {error}")
    finally:
        process.destroy()
