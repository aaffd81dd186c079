"""NATS comes back with a damaged store of the log: whoever has less than it had, says so, and the others go on."""

import asyncio
import json
import random
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from shared.broker.subjects import LOG_STREAM
from tests.faults.figures import Row
from tests.faults.fleet import Fleet
from tests.faults.lost import ROOMS, SOON, Watched
from tests.faults.size import Size
from tests.support.client import Client
from tests.support.services import token
from tests.support.shared_nats import NatsWithUsersOfTests


def _cut(block: Path, _chance: random.Random) -> None:
    block.write_bytes(block.read_bytes()[: block.stat().st_size // 2])


def _flip(block: Path, chance: random.Random) -> None:
    content = bytearray(block.read_bytes())
    for _ in range(8):
        content[chance.randrange(len(content) // 4, len(content))] ^= 1 << chance.randrange(8)
    block.write_bytes(content)


DAMAGES: dict[str, Callable[[Path, random.Random], None]] = {"a block cut in half": _cut, "bits flipped": _flip}
# What somebody has to say of it, as JSON.
SAID = ("a stream", "a room's log", "the log of rooms ends", "the clocks of all rooms")


async def damaged_store(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row: NATS comes back with a damaged store, with the services running and with all of them started anew."""
    row = Row("the store of ROOMS damaged: a block cut in half, bits flipped", "said in JSON; every other room goes on")
    for number, (name, damage) in enumerate(DAMAGES.items()):
        for restarted in (False, True):
            place = folder / f"{number}-{restarted}"
            await _damaged(
                row, place, size, chance, f"{name}{', all restarted' if restarted else ''}", damage, restarted
            )
    return row


async def _damaged(
    row: Row,
    folder: Path,
    size: Size,
    chance: random.Random,
    name: str,
    damage: Callable[[Path, random.Random], None],
    restarted: bool,
) -> None:
    nats = NatsWithUsersOfTests(folder / "nats")
    fleet = Fleet(nats, {**size.settings, **size.patient, "SNAPSHOT_EVERY": "5"})
    watched = Watched(fleet, 8)
    try:
        await fleet.start()
        await watched.come()
        for n in range(30):
            for _, client in watched.clients:
                await client.ask("update_self", name=f"name-{n}")
        await asyncio.sleep(25 if restarted else 3)  # until the mark says how far the log has come
        had = await _revisions(fleet, "before")
        began = datetime.now(UTC).isoformat()
        if restarted:
            for member in list(fleet.members):
                await fleet.kill(member)
        await nats.stop()
        for block in sorted((nats.folder / "jetstream").rglob(f"{LOG_STREAM}/msgs/*.blk")):
            damage(block, chance)
        await nats.start()
        for member in fleet.names if restarted else ():
            fleet.spawn(member)
        await fleet.ready(within=60)
        await asyncio.sleep(SOON)
        has = await _revisions(fleet, "before", "after")
        harmed = [room_id for room_id, revision in had.items() if has.get(room_id, 0) < revision]
        said = sorted({str(line["event"]) for line in _lines(fleet) if _is_said(line, began)})
        row.saw(f"{name}: {len(harmed)} of {len(had)} rooms harmed; said: {'; '.join(said) or 'nothing'}")
        row.expect(bool(said) or not harmed, f"{name}: {len(harmed)} rooms are not what they were, and nobody said so")
        row.expect("after" in has, f"{name}: a new room cannot be used")
        row.expect(not fleet.tracebacks(), f"{name}: tracebacks: {fleet.tracebacks()[:2]}")
    finally:
        await watched.close()
        await fleet.stop()
    shutil.rmtree(folder, ignore_errors=True)


def _lines(fleet: Fleet) -> list[dict[str, object]]:
    everybody = [process for _, process in [*fleet.ended, *fleet.members.items()]]
    return [json.loads(line) for process in everybody for line in process.lines if line.startswith("{")]


def _is_said(line: dict[str, object], since: str) -> bool:
    return (
        line.get("level") in ("error", "warning")
        and str(line["timestamp"]) > since
        and str(line["event"]).startswith(SAID)
    )


async def _revisions(fleet: Fleet, *others: str) -> dict[str, int]:
    """Of each room that can be joined now; these others are made by that."""
    found: dict[str, int] = {}
    for room_id in (*(f"lost-{n}" for n in range(ROOMS)), *others):
        client = await Client.open(fleet.urls[0])
        try:
            await client.login(token("newcomer"))
            deadline = time.monotonic() + SOON
            while room_id not in found and time.monotonic() < deadline:
                reply = await client.ask("join_room", roomId=room_id)
                if reply["type"] == "room_users":
                    found[room_id] = reply["revision"]
                await asyncio.sleep(0.2)
        finally:
            await client.close()
    return found
