"""One client does as much as it may, for many times as long as logs are kept: what it leaves does not grow."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from services.rooms.settings import RoomsSettings
from shared.values.errors import Refused
from tests.faults.caller import Caller, Lost
from tests.faults.figures import Row
from tests.faults.load import marker
from tests.faults.size import Size
from tests.faults.stage import Stage, stage
from tests.support.broker import over_nats
from tests.support.system import token

FAULT = "one client changes itself, joins, leaves, comes back and makes rooms as fast as it may; logs kept {:g} s instead of {:g}"
FIGURE = "≤ 50 MB of events, scaled; no more after the second trim than after the first"
BOUND = 50e6  # bytes with the default settings
TIMES = 4  # as often as logs are kept, in each of the two halves that are compared
WARM = 3  # as often before that; the long run waits until the operations that a state remembers are as many as ever
REMEMBERED = 62.0  # seconds
AT_ONCE = 8  # requests that wait for their answer
FILL = "x" * 900  # with the rest, the largest metadata there may be
END = 2000  # bytes at most of a closed room, which stay
STATE = 250_000  # and of an open room in which much was done: operations of a minute, and a state that was pending
REST = 6.0  # seconds until the timers have come
NOISE = 1.25  # of one half against the other
HOME = "trims-home"


async def trims(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row."""
    usual = RoomsSettings.model_fields
    kept, whole = size.kept, float(usual["log_kept_seconds"].default)
    scale = kept / whole
    settings = {
        "LOG_KEPT_SECONDS": f"{kept:g}",
        "CLOSED_LOG_SECONDS": f"{kept:g}",
        "LOG_BYTES": f"{int(usual['log_bytes'].default * scale)}",
    }
    row = Row(FAULT.format(kept, whole), FIGURE)
    async with stage(folder, size, chance, settings=settings, recorded=True) as s:
        (caller,) = await s.load.connect(1)
        busy = Busy(caller, s.fleet.urls[0])
        warm = WARM if size.short else max(WARM, REMEMBERED / kept)
        measured = await _measure(s, busy, kept, warm)
        await s.conclude(row)
        await _judge(row, s, busy, measured, scale, kept)
    return row


class Busy:
    """One client, and all that it may do at once."""

    def __init__(self, caller: Caller, url: str) -> None:
        self.caller = caller
        self.rooms = 0  # made and closed
        self._http = httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token(caller.name)}"})
        self._over = asyncio.Event()

    async def act(self) -> None:
        """Until `stop`."""
        await self.caller.insist("join_room", roomId=HOME)
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._until_over(self._change, 0.0))
            group.create_task(self._until_over(self._return, 3.0))
            group.create_task(self._until_over(self._elsewhere, 0.2))
        await self._http.aclose()

    async def _until_over(self, act: Any, pause: float) -> None:
        while not self._over.is_set():
            with contextlib.suppress(Lost, TimeoutError, httpx.HTTPError):
                await act()
            await asyncio.sleep(pause)

    async def _change(self) -> None:
        if HOME not in self.caller.rooms:
            await self.caller.link.online.wait()
            await asyncio.sleep(0.1)
            return
        answer = await self.caller.ask("update_self", roomId=HOME, metadata={"mark": marker(), "fill": FILL})
        if answer["type"] == "error":
            await asyncio.sleep(answer.get("retryAfterMs", 100) / 1000)

    async def _return(self) -> None:
        if self.caller.link.wire is not None:
            self.caller.link.wire.abort()
        await self.caller.link.online.wait()

    async def _elsewhere(self) -> None:
        """Make a room, leave it, and close it."""
        name = f"trims-{self.rooms}"
        if (await self.caller.ask("join_room", roomId=name))["type"] != "room_users":
            return
        self.rooms += 1
        await self.caller.insist("leave_room", roomId=name)
        await self._http.delete(f"/api/rooms/{name}")

    def stop(self) -> None:
        """After what is under way."""
        self._over.set()


async def _measure(s: Stage, busy: Busy, kept: float, warm: float) -> list[tuple[float, int]]:
    """Let it act. Bytes of the stream, with how often as long as logs are kept it has acted since it was warm."""
    acting = asyncio.create_task(busy.act())
    began = time.monotonic()
    found: list[tuple[float, int]] = []
    while (passed := time.monotonic() - began) < (warm + 2 * TIMES) * kept:
        found.append((passed / kept - warm, await _bytes(s)))
        await asyncio.sleep(0.1)
    busy.stop()
    await acting
    return found


async def _bytes(s: Stage) -> int:
    connection = over_nats(await s.fleet.ports())
    while True:
        try:
            answer = await connection.replies.one("$JS.API.STREAM.INFO.ROOMS", b"")
        except Refused:  # the machine is busy
            continue
        return int(json.loads(answer.data)["state"]["bytes"])


async def _judge(
    row: Row, s: Stage, busy: Busy, measured: Sequence[tuple[float, int]], scale: float, kept: float
) -> None:
    first, second = (max(size for at, size in measured if half * TIMES <= at < (half + 1) * TIMES) for half in range(2))
    changes = len(s.ledger.acknowledged("update_self"))
    written = await s.fleet.total("rooms", "parley_log_trims_total", result="snapshot")
    deleted = await s.fleet.total("rooms", "parley_log_trims_total", result="deleted")
    row.saw(f"{changes} changes, {busy.rooms} rooms made and closed, {written:.0f} snapshots, {deleted:.0f} deletions")
    row.saw(f"at most {first / 1e3:.0f} kB after the first trims, {second / 1e3:.0f} kB after the second ones")
    await asyncio.sleep(4 * kept + REST)
    left = await _bytes(s)  # a snapshot and its state, and the ends of closed rooms: these do not scale
    usual = (second - left) / scale + left
    row.saw(
        f"at rest {left / 1e3:.0f} kB; with the usual settings that would be {usual / 1e6:.1f} MB, and as much at rest"
    )
    row.expect(second <= NOISE * first + END * busy.rooms, f"it grows: {first} bytes, then {second}")
    row.expect(usual <= BOUND, f"that is more than {BOUND / 1e6:.0f} MB")
    row.expect(left <= STATE + END * (busy.rooms + 1), f"{left} bytes stay, of {busy.rooms} closed rooms and one open")
    row.expect(deleted > 2 * TIMES, f"only {deleted:.0f} times something was trimmed")
