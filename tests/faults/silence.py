"""Clients that fall silent without a word: one whose network vanishes, and one that stops reading."""

import asyncio
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.caller import Caller
from tests.faults.figures import Row, percentile
from tests.faults.load import marker, send
from tests.faults.size import Size
from tests.faults.stage import Stage, stage
from tests.support.client import Message
from tests.support.netns import Network, Refused
from tests.support.processes import Process
from tests.support.sdp import offer
from tests.support.system import token

SEEN, CUT = 25.0, 10.0
LATENCY = 0.1  # seconds that mates may wait longer than before, at p99, before it is worth a remark
RATE = 20  # signals a second between the mates
BUFFER = 4096


class Mates:
    """Those who stay: one hears what becomes of the silent one, all exchange signals all the time."""

    def __init__(self, callers: Sequence[Caller], room_id: str) -> None:
        self.callers = callers
        self.room_id = room_id
        self.noticed: dict[str, float] = {}  # agent -> when it was said to be reconnecting, or gone
        self.latencies: list[float] = []
        self._sent: dict[str, float] = {}
        for caller in callers:
            caller.on_push = self._hear

    def _hear(self, push: Message) -> None:
        if push["type"] == "offer":
            self.latencies.append(time.monotonic() - self._sent.pop(push["negotiation"], time.monotonic()))
        elif push["type"] == "user_left":
            self.noticed.setdefault(push["agentId"], time.monotonic())
        elif push["type"] == "user_updated" and push["participant"]["connection"] == "reconnecting":
            self.noticed.setdefault(push["participant"]["agentId"], time.monotonic())

    async def talk(self, seconds: float) -> list[float]:
        """Signals from one to the next, so long; how long each took."""
        self.latencies = []
        ends = time.monotonic() + seconds
        asking: set[asyncio.Task[Message | None]] = set()
        n = 0
        while time.monotonic() < ends:
            sender, receiver = self.callers[n % len(self.callers)], self.callers[(n + 1) % len(self.callers)]
            mark = marker()
            self._sent[mark] = time.monotonic()
            to = receiver.rooms[self.room_id].own
            task = asyncio.create_task(send(sender, self.room_id, "offer", to, sdp=offer(), negotiation=mark))
            asking.add(task)
            task.add_done_callback(asking.discard)
            n += 1
            await asyncio.sleep(1 / RATE)
        await asyncio.gather(*asking)
        return self.latencies

    async def notice(self, agent: str, since: float, within: float) -> float | None:
        """Seconds until they heard about this one."""
        while agent not in self.noticed and time.monotonic() < since + within:
            await asyncio.sleep(0.05)
        return self.noticed[agent] - since if agent in self.noticed else None


async def mates_in(s: Stage, room_id: str) -> Mates:
    """Four, in this room."""
    callers = await s.load.connect(4, prefix="mate")
    for caller in callers:
        await caller.insist("join_room", roomId=room_id)
    return Mates(callers, room_id)


async def vanished(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row: the client runs in a network of its own, whose cable is taken out."""
    row = Row("a client's network vanishes without a FIN", f"seen within {SEEN:g} s")
    network = Network(1)
    try:
        network.open()
    except (Refused, FileNotFoundError) as missing:
        network.close()
        row.skipped = f"no network namespaces here: {missing}"
        return row
    try:
        async with stage(folder, size, chance, host=network.here) as s:
            mates = await mates_in(s, "vanished")
            command = (sys.executable, "-m", "tests.faults.stranger", s.fleet.urls[0], "vanished", token("stranger"))
            stranger = Process(*network.inside(0), *command)
            try:
                await stranger.hear("joined")
                network.cut(0)
                since = time.monotonic()
                took = await mates.notice("stranger", since, SEEN * 2)
            finally:
                stranger.destroy()
            _tell(row, took, SEEN, "the others heard of it")
            gone = await _gone(mates, size.grace + 5)
            row.expect(gone, "its participant is still in the room")
            await s.conclude(row)
    finally:
        network.close()
    return row


async def _gone(mates: Mates, within: float) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if all(len(c.rooms[mates.room_id].view.participants) == len(mates.callers) for c in mates.callers):
            return True
        await asyncio.sleep(0.1)
    return False


async def stuck(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row: the client is connected, and takes nothing from its socket any more."""
    row = Row("a client stops reading", f"cut within {CUT:g} s, room mates' p99 unaffected")
    async with stage(folder, size, chance) as s:
        mates = await mates_in(s, "stuck")
        (reader,) = await s.load.connect(1, prefix="stuck", buffer=BUFFER)
        await reader.insist("join_room", roomId="stuck")
        before = percentile(await mates.talk(size.measured), 0.99)
        assert reader.link.wire is not None
        reader.link.wire.stop_reading()
        since = time.monotonic()
        enough = asyncio.Event()
        flood = asyncio.create_task(_flood(mates, reader, enough))
        during = percentile(await mates.talk(size.measured), 0.99)
        took = await mates.notice(reader.name, since, CUT * 2)
        enough.set()
        await flood
        _tell(row, took, CUT, "it was cut off")
        row.saw(f"its mates' signals took p99 {before * 1000:.0f} ms before and {during * 1000:.0f} ms meanwhile")
        row.hope(during <= before + LATENCY, f"its mates waited {during * 1000:.0f} ms at p99")
        reader.vanish()
        row.expect(await _gone(mates, size.grace + 5), "its participant is still in the room")
        await s.conclude(row)
    return row


async def _flood(mates: Mates, reader: Caller, enough: asyncio.Event) -> None:
    """What fills its socket: signals as long as the protocol allows. Each is answered before it ends."""
    long = offer() + "".join(f"a=x-filler-{n}:{'0' * 1000}\r\n" for n in range(25))
    to = reader.rooms[mates.room_id].own
    while not enough.is_set():
        for caller in mates.callers:
            await send(caller, mates.room_id, "offer", to, sdp=long)
        await asyncio.sleep(0.1)


def _tell(row: Row, took: float | None, wanted: float, what: str) -> None:
    row.expect(took is not None, f"not within {2 * wanted:g} s: {what}")
    if took is not None:
        row.saw(f"{what} after {took:.1f} s")
        row.hope(took <= wanted, f"{took:.1f} s until {what}")
