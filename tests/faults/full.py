"""Storage runs out for real, under load: the log alone, then the disk; and there is space again."""

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from pathlib import Path

from services.launcher.disk import DiskWatch
from services.launcher.embedded_nats import EmbeddedNats, Place
from services.launcher.parts import NatsPart, keep
from shared.broker.nats import ports as nats_ports
from shared.broker.nats.connection import Broker
from shared.broker.ports import Ports
from shared.broker.signals import Signal
from shared.broker.storage import LOG
from shared.broker.subjects import signal_log
from shared.values.errors import Refused
from shared.values.ids import ParticipantId, RoomId
from shared.values.pauses import STORAGE
from tests.faults.caller import Caller
from tests.faults.figures import Row
from tests.faults.size import Size
from tests.faults.stage import Stage, stage
from tests.support.small_disk import NoDisk, SmallDisk

FIGURE = "who is in stays in, comes back, leaves and times out; nobody new; joins within 10 s after there is space"
LOG_BYTES = 4 << 20
FILLED = 0.96
JOINS = 10.0
BUSY = 2  # a machine that does other work may take so many times longer
ROOM = 4
STAYERS = "stayers"
ELSEWHERE, NOBODY = RoomId("elsewhere"), ParticipantId("p_nobody")
MONITOR = 'http: "127.0.0.1:-1"'
DISK_BYTES = 192 << 20
SPARE_BYTES = 32 << 20  # up to which the disk is filled first


async def full(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row: signals that are kept for long fill the log, as a gateway without a reserve could."""
    row = Row("the log is full, under load; a gateway is killed meanwhile", FIGURE)
    async with stage(folder, size, chance, settings={"LOG_MAX_BYTES": str(LOG_BYTES)}) as s:
        stayers = await _begin(s, size)
        filler = await nats_ports.connect(
            Broker(s.fleet.nats.url, "gateway", s.fleet.nats.passwords["gateway"], 2.0), "filler"
        )
        try:
            await _fill(filler, await s.fleet.ports())
            await _while_full(row, s, stayers, size)
            await (await s.fleet.ports()).room_log.trim(signal_log(ELSEWHERE, NOBODY))
            await _space_again(row, s)
        finally:
            await filler.connection.close()
    return row


async def disk(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row: somebody else's file fills the disk, first up to what NATS needs, then all of it; later it is deleted."""
    row = Row("the disk is full, under load: nearly, then really, so that NATS meets a write error", FIGURE)
    there = SmallDisk(folder / "nats" / "jetstream", DISK_BYTES)
    try:
        there.open()
    except NoDisk as missing:
        row.skipped = f"no small disk here: {missing}"
        return row
    try:
        server = EmbeddedNats(
            folder / "nats", settings=MONITOR, store_bytes=DISK_BYTES, place=Place(prefix=there.command)
        )
        settings = {"LOG_MAX_BYTES": str(16 << 20), "STORE_FOLDER": str(there.inside)}
        async with stage(server, size, chance, settings=settings) as s:
            await _play_disk(row, s, there, server, size)
    finally:
        there.close()
    return row


async def _play_disk(row: Row, s: Stage, there: SmallDisk, server: EmbeddedNats, size: Size) -> None:
    said: list[str] = []
    watch = DiskWatch([server], lambda _who, line: said.append(line), lambda _folder: there.free)
    stop = asyncio.Event()
    part = NatsPart("NATS", server, watch)
    kept = [
        asyncio.create_task(watch.run()),
        asyncio.create_task(keep(part, lambda _who, line: said.append(line), stop)),
    ]
    try:
        stayers = await _begin(s, size)
        there.fill(leave=SPARE_BYTES)
        await asyncio.sleep(3 * STORAGE)
        await _while_full(row, s, stayers, size)
        there.fill()
        await asyncio.sleep(size.broken)
        restarted = [line for line in said if "started anew" in line or "ended by itself" in line]
        row.expect(any("no space left on device" in line for line in said), f"the launcher did not say why: {said}")
        row.expect(not restarted, f"NATS was restarted while the disk was full: {restarted}")
        there.clear()
        await _space_again(row, s)
        row.expect(sum("started anew" in line for line in said) == 1, f"NATS was not restarted once: {said}")
    finally:
        stop.set()
        for task in kept:
            task.cancel()


async def _begin(s: Stage, size: Size) -> Sequence[Caller]:
    """The load, and some who only stay, in a room of their own."""
    stayers = await s.load.connect(ROOM, prefix="stayer")
    for one in stayers:
        await one.insist("join_room", roomId=STAYERS)
    callers = await s.load.connect(size.steady)
    s.load.live(callers, [f"full-{n}" for n in range(size.steady // ROOM)], size.pause, (3, 8))
    await asyncio.sleep(3 * size.pause)
    return stayers


async def _fill(filler: Ports, rooms: Ports) -> None:
    share = 0.0
    while share < FILLED:
        with contextlib.suppress(Refused):  # the machine is busy, and a broker is late
            for _ in range(8):
                await filler.signals.post(Signal(ELSEWHERE, NOBODY, ParticipantId("p_filler"), 1, bytes(4000), 600))
        with contextlib.suppress(Refused):
            (share,) = [place.share for place in (await rooms.storage.look()).places if place.name == LOG]
    await asyncio.sleep(3 * STORAGE)  # until everybody knows


async def _while_full(row: Row, s: Stage, stayers: Sequence[Caller], size: Size) -> None:
    """Everything that the reserve is for, and what it is not for."""
    (stranger,) = await s.load.connect(1, prefix="stranger")
    refused = await stranger.ask("join_room", roomId=STAYERS)
    row.expect(refused.get("code") == "unavailable", f"a stranger's join was answered {refused.get('code', 'ok')}")
    ready = [name for name in s.fleet.names if not await s.fleet.answers(name)]
    row.expect(not ready, f"not ready, though storage is only nearly full: {ready}")
    await s.fleet.kill("gateway-0")
    s.fleet.spawn("gateway-0")
    leaver, vanishing, *others = stayers
    began = time.monotonic()
    left = await leaver.insist("leave_room", roomId=STAYERS)
    row.expect(left["type"] == "ok", f"leaving was answered {left.get('code')}")
    vanishing.vanish()
    while any(len(one.rooms[STAYERS].view.participants) > len(others) for one in others if STAYERS in one.rooms):
        await asyncio.sleep(0.1)
        if time.monotonic() > began + size.grace + size.lease + 2 * size.ping + 10:
            row.expect(False, "who left or vanished is still in the room")
            break
    inside = [one.name for one in others if STAYERS in one.rooms]
    row.expect(len(inside) == len(others), f"only {inside} stayed in the room")
    row.expect(not s.ledger.counts["sessions lost"], f"{s.ledger.counts['sessions lost']} sessions lost")
    row.saw(f"nearly full: who left and who vanished was out after {time.monotonic() - began:.1f} s")


async def _space_again(row: Row, s: Stage) -> None:
    """Joins work again without a hand; then everybody rests, and all must hold."""
    began = time.monotonic()
    (newcomer,) = await s.load.connect(1, prefix="newcomer")
    reply = await newcomer.insist("join_room", roomId="afterwards")
    took = time.monotonic() - began
    row.expect(reply["type"] == "room_users", f"a join afterwards was answered {reply.get('code')}")
    row.saw(f"a join worked {took:.1f} s after there was space")
    row.expect(took <= BUSY * JOINS, f"{took:.1f} s until a join worked")
    row.hope(took <= JOINS, f"{took:.1f} s until a join worked")
    await s.load.rest()
    await s.conclude(row)
    refused = s.ledger.refusals().most_common(4)
    row.saw("refused: " + ", ".join(f"{n} {what}" for what, n in refused))
