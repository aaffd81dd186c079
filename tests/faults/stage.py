"""What every row plays on: a fleet, callers on it, their ledger; and how each of them ends."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from services.launcher.embedded_nats import EmbeddedNats
from shared.broker.ports import Ports
from shared.broker.room_log import RoomEntry, StoredEvents
from shared.broker.subjects import ALL_EVENTS
from tests.faults.evidence import of_missed_signals
from tests.faults.figures import Row, spread
from tests.faults.fleet import CURRENT, HOST, Fleet, Release, Server
from tests.faults.ledger import Ledger
from tests.faults.load import Load
from tests.faults.size import Size
from tests.faults.verdict import Findings, judge, settled

Scenario = Callable[[Path, Size, random.Random], Awaitable[Row]]


@dataclass
class Stage:
    """Set up, and nothing broken yet."""

    fleet: Fleet
    load: Load
    ledger: Ledger
    chance: random.Random

    async def conclude(self, row: Row, name: str = "") -> Findings:
        """Once nobody does anything any more: everything that must hold, into the row."""
        callers = self.load.callers
        logs = await settled(await self.fleet.ports(), self.ledger, callers)
        findings = judge(logs, self.ledger, callers)
        findings.tell(row, name)
        if self.ledger.gaps:
            row.saw(f"clients were away for {spread(self.ledger.gaps)}")
        if findings.ended:
            row.saw(
                "stays that nobody gave up ended by: " + ", ".join(f"{n} {why}" for why, n in findings.ended.items())
            )
        missed = [sentence.partition(" ")[0] for sentence in findings.problems["signals missed"]]
        row.details += await of_missed_signals(await self.fleet.ports(), self.ledger, callers, missed)
        row.details += self.fleet.last_words()
        tracebacks = self.fleet.tracebacks()
        row.expect(not tracebacks, f"{len(tracebacks)} tracebacks, such as: {tracebacks[:2]}")
        return findings


async def record(ports: Ports, ledger: Ledger) -> None:
    """Remember every entry of rooms' logs from now on, for as long as this connection lives."""

    def take(stored: RoomEntry) -> None:
        if isinstance(stored, StoredEvents):
            ledger.recorded.setdefault(stored.room_id, {})[stored.position] = stored.entry()

    def missed() -> None:
        ledger.wrong.append("the recorder of changes may have missed some")

    await ports.room_log.follow(ALL_EVENTS, take, missed)


@asynccontextmanager
async def stage(
    nats: Server | Path,
    size: Size,
    chance: random.Random,
    *,
    gateways: int = 2,
    rooms: int = 2,
    auths: int = 1,
    release: Release = CURRENT,
    settings: Mapping[str, str] = MappingProxyType({}),
    host: str = HOST,
    hosts: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    recorded: bool = False,
) -> AsyncIterator[Stage]:
    """Everything started, on this NATS or on one with its data in this folder; everything gone at the end.

    `recorded`: rooms' logs are trimmed, so every change is remembered when it happens, to be looked at in the end.
    """
    server = EmbeddedNats(nats / "nats") if isinstance(nats, Path) else nats
    fleet = Fleet(server, {**size.settings, **settings}, gateways=gateways, rooms=rooms, auths=auths, host=host)
    fleet.hosts |= hosts
    ledger = Ledger()
    load = Load(ledger, chance, fleet.urls)
    try:
        await fleet.start(release)
        if recorded:
            await record(await fleet.ports(), ledger)
        yield Stage(fleet, load, ledger, chance)
    except BaseException as unfinished:
        unfinished.add_note("\n".join(fleet.last_words()))
        raise
    finally:
        await load.close()
        await fleet.stop()
