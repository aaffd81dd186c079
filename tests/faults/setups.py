"""A gateway is killed while calls are being set up over it; the callers resume on the other one and the calls connect."""

import asyncio
import random
import time
from pathlib import Path

from tests.faults.caller import Caller
from tests.faults.ends import End, Media, RealMedia, ScriptedMedia
from tests.faults.figures import Row, percentile
from tests.faults.size import Size
from tests.faults.stage import Stage, stage
from tests.support.call_peer import allow_loopback_alone

FAULT = "a gateway killed in the middle of {} call set-ups, clients resume on the other one"
FIGURE = "all connect; 0 signals missed, 0 doubled; clients' gap p99 at most 3 s"
STEPS = ("offer", "answer", "candidate 0", "candidate 1")
CONNECT_SECONDS = 60.0
GAP = 3.0
KILLED_AFTER = 0.05  # half of the calls go on by then


class Middle:
    """Where the calls stop, each at a step of its own, until all have come that far and the gateway is being killed."""

    def __init__(self, calls: int, chance: random.Random) -> None:
        self.chance = chance
        self.reached = 0
        self.all_there = asyncio.Event()
        self.go_on = asyncio.Event()
        self._calls = calls

    def gate(self, step: str, stopped: list[str]) -> "Gate":
        """For both ends of one call; `stopped` is theirs together."""
        return Gate(self, step, stopped)

    def arrived(self) -> None:
        """One call is in the middle."""
        self.reached += 1
        if self.reached == self._calls:
            self.all_there.set()


class Gate:
    """Stops the first of the two ends that comes to the step."""

    def __init__(self, middle: Middle, step: str, stopped: list[str]) -> None:
        self._middle = middle
        self._step = step
        self._stopped = stopped

    async def __call__(self, step: str) -> None:
        """Pass, or wait."""
        if step == self._step and not self._stopped:
            self._stopped.append(step)
            self._middle.arrived()
            await self._middle.go_on.wait()
            await asyncio.sleep(self._middle.chance.uniform(0, 2 * KILLED_AFTER))


async def setups(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row."""
    allow_loopback_alone()
    row = Row(FAULT.format(size.calls), FIGURE)
    async with stage(folder, size, chance) as s:
        victim, other = s.fleet.gateways
        doomed = await s.load.connect(size.calls, urls=[s.fleet.url(victim)], prefix="doomed")
        mixed = await s.load.connect(size.calls, urls=[s.fleet.url(other), s.fleet.url(victim)], prefix="mixed")
        middle = Middle(size.calls, chance)
        medias: list[Media] = []
        calls = [
            asyncio.create_task(_call(n, pair, n < size.real_calls, middle, chance, medias))
            for n, pair in enumerate(zip(doomed, mixed, strict=True))
        ]
        async with asyncio.timeout(CONNECT_SECONDS):
            await middle.all_there.wait()
        middle.go_on.set()
        await asyncio.sleep(KILLED_AFTER)
        killed_at = time.monotonic()
        await s.fleet.kill(victim)
        s.fleet.spawn(victim)
        await _outcome(row, s, size, calls, killed_at)
        await asyncio.gather(*(media.close() for media in medias))
    return row


async def _call(
    n: int, pair: tuple[Caller, Caller], real: bool, middle: Middle, chance: random.Random, medias: list[Media]
) -> None:
    """Both ends of one call, which come into a room of their own first. Who came later offers."""
    room_id = f"call-{n}"
    first, second = pair if chance.random() < 0.5 else pair[::-1]
    for caller in (first, second):
        reply = await caller.insist("join_room", roomId=room_id)
        assert reply["type"] == "room_users", reply
    gate = middle.gate(chance.choice(STEPS), [])
    ends = [RealMedia() if real else ScriptedMedia() for _ in pair]
    medias += ends
    answering = End(first, room_id, ends[0], gate)
    offering = End(second, room_id, ends[1], gate)
    await asyncio.gather(answering.call(None), offering.call(first.rooms[room_id].own))


async def _outcome(row: Row, s: Stage, size: Size, calls: list[asyncio.Task[None]], killed_at: float) -> None:
    _, unfinished = await asyncio.wait(calls, timeout=CONNECT_SECONDS)
    took = time.monotonic() - killed_at
    for task in unfinished:
        task.cancel()
    await asyncio.gather(*unfinished, return_exceptions=True)
    failed = [str(task.exception()) for task in calls if not task.cancelled() and task.exception() is not None]
    connected = len(calls) - len(failed) - len(unfinished)
    row.saw(
        f"{connected} of {len(calls)} connected within {took:.1f} s of the kill, {size.real_calls} of them real ones (aiortc)"
    )
    row.expect(connected == len(calls), f"{len(unfinished)} calls did not connect, {len(failed)} failed: {failed[:3]}")
    await s.conclude(row)
    row.expect(not s.ledger.counts["sessions lost"], f"{s.ledger.counts['sessions lost']} sessions lost")
    gap = percentile(s.ledger.gaps, 0.99)
    row.hope(gap <= GAP, f"clients were away for up to {gap:.2f} s")
