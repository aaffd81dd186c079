"""The release before is upgraded under live clients, rolled back, and upgraded again: one process after another, one log."""

import asyncio
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nats import connect

from services.launcher.embedded_nats import EmbeddedNats
from services.registry import ACCOUNTS, REGISTRY
from shared.values.ids import RoomId
from shared.version import __version__
from tests.faults.figures import Row
from tests.faults.fleet import CURRENT, Release
from tests.faults.previous import previous
from tests.faults.rolling import FIGURE, live, nobody_put_out
from tests.faults.size import Size
from tests.faults.stage import Stage, stage
from tests.faults.verdict import histories
from tests.upgrade.release import NoHistory, accounts_beside, release_before, required

FAULT = "rolling upgrade from {} to {}, back, and again; code and log, under load"
SNAPSHOT_EVERY = "5"  # entries of a room: each release must meet snapshots of the other one
TRIMMED = {
    "LOG_BYTES": "6000",
    "LOG_SECONDS": "4",
    "LOG_KEPT_SECONDS": "2",
}  # the release before goes on from snapshots
SNAPSHOT_SECONDS = 20.0  # in which every room is changed often enough, by far
RELOAD_SECONDS = 10.0
BEHIND = ("rooms-0", "rooms-1", "auth-0", "auth-1")


async def upgrade(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row. Without the release before it is not run; in CI that is wrong."""
    row = Row(FAULT.format("the release before", __version__), FIGURE)
    try:
        past = release_before()
        row.fault = FAULT.format(past.version, __version__)
        before = await asyncio.to_thread(previous, past, folder / "previous")
    except NoHistory as missing:
        row.expect(not required(), f"not run, and in CI it must be: {missing}")
        row.skipped = str(missing)
        return row
    nats = EmbeddedNats(folder / "nats", registry=replace(REGISTRY, accounts=_beside(folder)))
    settings = {**size.patient, "DRAIN_SECONDS": "3", "SNAPSHOT_EVERY": SNAPSHOT_EVERY, **TRIMMED}
    async with stage(nats, size, chance, auths=2, release=before, settings=settings, recorded=True) as s:
        await live(s, size)
        await _play(row, s, Change(row, s, 2 * size.pause, (past.version, before)))
        await _take_back(row, nats)
        await asyncio.sleep(2 * size.pause)
        await s.load.rest()
        await nobody_put_out(row, s)
        logs = (await histories(await s.fleet.ports(), s.ledger)).values()
        row.saw(
            f"{sum(log.trims for log in logs)} snapshots in the logs of {len(logs)} rooms, which were trimmed there"
        )
        row.expect(all(log.trims for log in logs), "the log of a room was not trimmed")
    return row


def _beside(folder: Path) -> Path:
    """NATS' accounts for both releases: what docs/deployment.md begins an upgrade with."""
    folder.mkdir(parents=True, exist_ok=True)
    accounts = folder / "accounts.conf"
    accounts.write_text(accounts_beside(ACCOUNTS.read_text()))
    return accounts


async def _take_back(row: Row, nats: EmbeddedNats) -> None:
    """Take the rights of the release before back, from a server that runs: it closes connections whose rights change."""
    refused: list[str] = []

    async def note(error: Exception) -> None:
        refused.append(str(error))

    (nats.folder / "accounts.conf").write_text(ACCOUNTS.read_text())
    nats.kill(signal.SIGHUP)
    deadline = time.monotonic() + RELOAD_SECONDS
    while not refused and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        gateway = await connect(nats.url, user="gateway", password=nats.passwords["gateway"], error_cb=note)
        await gateway.publish("agentlink.timer.set.lease.g_other", b"")
        await gateway._flush_pending(force_flush=True)
        await gateway.flush()  # the refusal comes before the answer to it
        await gateway.close()
    row.expect(any("permissions violation" in said.lower() for said in refused), "a gateway keeps the rights of 0.4.0")


class Change:
    """Replaces members by those of a release, and lets the clients live for a while on what there is then."""

    def __init__(self, row: Row, s: Stage, pause: float, before: tuple[str, Release]) -> None:
        self._row = row
        self._s = s
        self._pause = pause
        self._before = before

    async def to_new(self, *names: str) -> None:
        """These are of this release now."""
        await self._to(__version__, CURRENT, names)

    async def to_old(self, *names: str) -> None:
        """These are of the release before again."""
        await self._to(*self._before, names)

    async def _to(self, version: str, release: Release, names: Sequence[str]) -> None:
        for name in names:
            await self._s.fleet.replace(name, release)
            runs = (await self._s.fleet.metrics(name)).total("parley_build_info", version=version)
            self._row.expect(runs == 1, f"{name} is not of {version}")
        await asyncio.sleep(self._pause)


async def _play(row: Row, s: Stage, change: Change) -> None:
    """Old and new of each service side by side; each release's gateways alone with the other's rooms; all new, twice."""
    await change.to_new("rooms-0", "auth-0")  # side by side, behind old gateways
    await change.to_new("gateway-0")  # all of it side by side
    await change.to_new("rooms-1", "auth-1")  # an old gateway and a new one, with new rooms only
    await _snapshots_of_the_new(row, s)
    await change.to_old(*BEHIND)  # an old gateway and a new one, with old rooms only: on what the new ones left
    await change.to_old("gateway-0")  # rolled back
    await change.to_new(*BEHIND)
    await change.to_new(*s.fleet.gateways)


async def _snapshots_of_the_new(row: Row, s: Stage) -> None:
    """Wait for snapshots that only the new rooms can have written."""
    ports = await s.fleet.ports()
    began = {RoomId(room_id): log.fold.sequence for room_id, log in (await histories(ports, s.ledger)).items()}
    deadline = time.monotonic() + SNAPSHOT_SECONDS
    found = 0
    while found < len(began) and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        snapshots = [await ports.snapshots.load(room_id) for room_id in began]
        found = sum(one is not None and one.sequence > began[one.room_id] for one in snapshots)
    row.saw(f"rolled back over entries of {__version__} in {len(began)} rooms, and its snapshots of {found}")
    row.expect(found > 0, "the new rooms wrote no snapshot before the roll-back")
