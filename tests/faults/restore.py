"""A backup is taken under load, the broker emptied, and the backup restored while everything goes on; with TIMERS and without."""

import asyncio
import random
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from services.launcher.embedded_nats import EmbeddedNats
from services.registry import REGISTRY
from shared.broker.subjects import TIMER_STREAM
from tests.faults.caller import Caller
from tests.faults.figures import Row, spread
from tests.faults.kills import kill_nats
from tests.faults.ledger import SIGNALS, Asked
from tests.faults.size import Size
from tests.faults.stage import Stage, stage
from tests.faults.verdict import entry_of, histories
from tests.support.backups import place, restore, take

FAULT = "backup under load, broker emptied, restored while clients and services go on; {}"
FIGURE = "nothing acknowledged before the backup lost; clients told or resumed, and joins work, within 10 s; 0 ghosts after 60 s"
BACK = 10.0
BUSY = 2  # a machine that does other work may take so many times longer
GHOSTS = 60.0
VANISHING = 0.25  # of the clients, while there is no broker
SOON = 1.0  # seconds that a client needs to hear what its gateway knows


async def restored(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row: everything that is backed up."""
    return await _play(folder, size, chance, "with TIMERS", REGISTRY.backed_up)


async def restored_without_timers(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row: the clocks are lost."""
    streams = [stream for stream in REGISTRY.backed_up if stream != TIMER_STREAM]
    return await _play(folder, size, chance, "without TIMERS", streams)


async def _play(folder: Path, size: Size, chance: random.Random, name: str, streams: Sequence[str]) -> Row:
    row = Row(FAULT.format(name), FIGURE)
    nats = EmbeddedNats(folder / "nats")
    async with stage(nats, size, chance) as s:
        callers = await s.load.connect(size.steady)
        s.load.live(callers, [f"restore-{n}" for n in range(len(callers) // 4)], size.pause, (3, 8))
        await asyncio.sleep(size.measured)
        began = time.time()
        backup = await take(place(nats), folder / "backups", streams)
        row.saw(f"backed up under load within {time.time() - began:.1f} s")
        await asyncio.sleep(size.measured)  # what happens now is lost, and is no promise of the backup's
        vanished = [caller for caller in callers if chance.random() < VANISHING]
        await _empty(s, nats, vanished)
        started = time.monotonic()
        await restore(place(nats), backup, streams, replace=True)
        s.fleet.note("restored")
        row.saw(f"restored within {time.monotonic() - started:.1f} s")
        back = time.monotonic()
        living = [caller for caller in callers if caller.alive]
        await _operate(row, s, living, back)
        resting = asyncio.create_task(s.load.rest())
        await _nothing_lost(row, s, began)
        await _no_ghosts(row, s, back + GHOSTS)
        resting.cancel()  # whoever still insists on something
        await asyncio.wait({resting})
    return row


async def _empty(s: Stage, nats: EmbeddedNats, vanished: Sequence[Caller]) -> None:
    """The broker dies with its disk, and some clients go without a word; another one comes up under the same name."""
    s.fleet.note("the broker dies with its disk")
    await kill_nats(nats)
    await asyncio.to_thread(shutil.rmtree, nats.folder / "jetstream")
    for caller in vanished:
        caller.vanish()
    await nats.start()


async def _operate(row: Row, s: Stage, living: Sequence[Caller], back: float) -> None:
    """Everybody comes into a room that nobody knew before."""

    async def one(caller: Caller) -> float:
        reply = await caller.insist("join_room", roomId=f"after-{caller.name}")
        if reply["type"] == "error":
            raise TimeoutError
        return time.monotonic() - back

    outcomes = await asyncio.gather(*(one(caller) for caller in living), return_exceptions=True)
    took = [outcome for outcome in outcomes if isinstance(outcome, float)]
    row.saw(
        f"joined a new room after {spread(took)}; {s.ledger.counts['closed with 1012']} connections were closed with 1012"
    )
    row.expect(len(took) == len(living), f"{len(living) - len(took)} of {len(living)} could not join a room any more")
    longest = max(took, default=0.0)
    row.expect(longest <= BUSY * BACK, f"joins worked again only after {longest:.1f} s")
    row.hope(longest <= BACK, f"joins worked again after {longest:.1f} s")


async def _nothing_lost(row: Row, s: Stage, began: float) -> None:
    """What was acknowledged before the backup began has its entry in the restored log."""
    logs = await histories(await s.fleet.ports(), s.ledger)
    before = [asked for asked in s.ledger.acknowledged() if _stored(asked) and (asked.replied or began) < began]
    lost = [
        f"{asked.caller}: {asked.type} in {asked.room_id}"
        for asked in before
        if entry_of(logs[asked.room_id], asked) is None
    ]
    row.saw(f"{len(before)} operations acknowledged before the backup: {len(lost)} lost")
    row.expect(bool(before), "nothing was acknowledged before the backup")
    row.expect(not lost, f"{len(lost)} lost: {lost[:3]}")
    broken = [log.broken for log in logs.values() if log.broken]
    row.expect(not broken, f"{len(broken)} logs broken: {broken[:3]}")


def _stored(asked: Asked) -> bool:
    return asked.type not in (*SIGNALS, "get_room", "ping") and asked.reply is not None


async def _no_ghosts(row: Row, s: Stage, until: float) -> None:
    """Whom the logs have in a room lives and knows it; who lives believes what the logs say."""
    ports = await s.fleet.ports()
    wrong: list[str] = []
    while True:
        logs = await histories(ports, s.ledger)
        beliefs = [belief for caller in s.load.callers if caller.alive for belief in caller.rooms.values()]
        living = {belief.own for belief in beliefs}
        ghosts = [f"{pid} in {log.room_id}" for log in logs.values() for pid in log.seats if pid not in living]
        wrong = [
            f"{belief.own} in {belief.room_id} has revision {belief.view.revision} at {belief.cursor}, the log "
            f"{logs[belief.room_id].fold.revision} at {logs[belief.room_id].fold.sequence}"
            for belief in beliefs
            if (belief.view.revision, belief.view.participants)
            != (logs[belief.room_id].fold.revision, logs[belief.room_id].seats)
        ]
        if not (ghosts or wrong) or time.monotonic() > until:
            break
        await asyncio.sleep(0.5)
    row.saw(
        f"{GHOSTS + time.monotonic() - until:.0f} s after the restore {len(ghosts)} ghosts, {len(wrong)} clients who believe otherwise"
    )
    row.expect(not ghosts, f"{len(ghosts)} ghosts: {ghosts[:3]}")
    row.expect(not wrong, f"{len(wrong)} believe what is not so: {wrong[:3]}")
    tracebacks = s.fleet.tracebacks()
    row.expect(not tracebacks, f"{len(tracebacks)} tracebacks, such as: {tracebacks[:2]}")
    told = {
        caller.name: caller
        for caller in s.load.callers
        for belief in caller.rooms.values()
        if belief.own in " ".join(wrong)
    }
    row.details += [f"connections of {name}: {caller.link.told()}" for name, caller in told.items()]
    row.details += s.ledger.wrong
    row.details += s.fleet.last_words()
