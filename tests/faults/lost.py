"""The broker loses something and runs on, or comes back with less than it had: what clients notice, and who is left behind."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from shared.broker.subjects import LEASE_STREAM, LOG_STREAM, SNAPSHOT_STREAM, TIMER_STREAM
from tests.faults.figures import Row
from tests.faults.fleet import Fleet
from tests.faults.ledger import Ledger
from tests.faults.load import Load
from tests.faults.size import Size
from tests.faults.stage import Stage
from tests.faults.verdict import histories
from tests.support.client import Client
from tests.support.lost import Taker, taker
from tests.support.services import token
from tests.support.shared_nats import NatsWithUsersOfTests

WITHIN = 60.0  # seconds after any loss of timers in which nobody is left behind
SOON = 10.0  # seconds in which clients are told of a lost room, and in which it can be joined again
VANISHING = 0.25  # of the clients, just before
ROOMS = 4


# -- timers ------------------------------------------------------------------------------------------------------------


async def timers(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row: timers and leases are deleted under load, together with a gateway and some clients that die just then."""
    row = Row(
        "TIMERS and LEASES deleted under load; again, as a gateway and clients die", f"0 ghosts {WITHIN:g} s later"
    )
    nats = NatsWithUsersOfTests(folder / "nats")
    lease = size.patient["LEASE_SECONDS"]  # a living gateway has to arm its lease anew before it gives up
    grace = {} if size.short else {"GRACE_SECONDS": size.patient["GRACE_SECONDS"]}
    fleet = Fleet(nats, {**size.settings, **grace, "LEASE_SECONDS": lease, "SIGNAL_SECONDS": "900"})
    ledger = Ledger()
    load = Load(ledger, chance, fleet.urls)
    try:
        await fleet.start()
        s = Stage(fleet, load, ledger, chance)
        callers = await load.connect(size.steady)
        load.live(callers, [f"timers-{n}" for n in range(size.steady // ROOMS)], size.pause, (2, 6))
        await asyncio.sleep(4 * size.pause)
        await _lose(nats)
        await asyncio.sleep(8 * size.pause)
        await load.rest()
        row.expect(not ledger.gaps, f"{len(ledger.gaps)} clients were cut off when timers were lost")
        for caller in callers:
            if chance.random() < VANISHING:
                caller.vanish()
        await fleet.kill("gateway-0")
        lost_at = time.monotonic()
        await _lose(nats)
        fleet.spawn("gateway-0")
        await _nobody_left(row, s, lost_at)
        await s.conclude(row)
    finally:
        await load.close()
        await fleet.stop()
    return row


async def _lose(nats: NatsWithUsersOfTests) -> None:
    async with taker(nats) as one:
        await one.delete(TIMER_STREAM)
        await one.delete(LEASE_STREAM)


async def _nobody_left(row: Row, s: Stage, lost_at: float) -> None:
    """Wait until the logs have nobody in a room but those who live."""
    ports = await s.fleet.ports()
    ghosts: set[str] = set()
    while (took := time.monotonic() - lost_at) < WITHIN:
        living = {belief.own for caller in s.load.callers if caller.alive for belief in caller.rooms.values()}
        ghosts = {one for log in (await histories(ports, s.ledger)).values() for one in log.seats.keys() - living}
        if not ghosts:
            break
        await asyncio.sleep(0.5)
    row.saw(f"nobody was left behind {took:.0f} s after the loss")
    row.expect(not ghosts, f"{len(ghosts)} ghosts {took:.0f} s after the loss")


# -- the log -----------------------------------------------------------------------------------------------------------


class Watched:
    """Clients in rooms, and what becomes of them when the log is lost."""

    def __init__(self, fleet: Fleet, count: int) -> None:
        self.fleet = fleet
        self.count = count
        self.clients: list[tuple[str, Client]] = []

    async def come(self) -> None:
        """Everybody into a room."""
        for n in range(self.count):
            client = await self._agent(n)
            await client.join(f"lost-{n % ROOMS}")
            self.clients.append((f"agent-{n}", client))

    async def _agent(self, n: int) -> Client:
        urls = self.fleet.urls
        client = await Client.open(urls[n % len(urls)])
        await client.login(token(f"agent-{n}"))
        return client

    async def told(self) -> float:
        """Wait until everybody was told that its room is lost; the seconds it took."""
        began = time.monotonic()
        for _, client in self.clients:
            notice = await client.hear("go_away", within=4 * SOON)
            assert notice["reason"] == "room_lost", notice
        return time.monotonic() - began

    async def again(self) -> float:
        """Everybody comes again; the seconds until the last one is in."""
        began = time.monotonic()
        self.clients.clear()
        for n in range(self.count):
            client = await self._agent(n)
            while (await client.ask("join_room", roomId=f"lost-{n % ROOMS}"))["type"] != "room_users":
                assert time.monotonic() < began + 4 * SOON, "nobody can join"
                await asyncio.sleep(0.2)
            self.clients.append((f"agent-{n}", client))
        return time.monotonic() - began

    async def close(self) -> None:
        """Everybody goes."""
        await asyncio.gather(*(client.close() for _, client in self.clients), return_exceptions=True)


Loss = Callable[[Fleet, NatsWithUsersOfTests, Taker], Awaitable[None]]


async def _deleted(_fleet: Fleet, _nats: NatsWithUsersOfTests, one: Taker) -> None:
    await one.delete(LOG_STREAM)


async def _everything_deleted(_fleet: Fleet, _nats: NatsWithUsersOfTests, one: Taker) -> None:
    for stream in (LOG_STREAM, SNAPSHOT_STREAM, TIMER_STREAM, LEASE_STREAM):
        await one.delete(stream)


async def _with_rooms_restarted(fleet: Fleet, _nats: NatsWithUsersOfTests, one: Taker) -> None:
    await one.delete(LOG_STREAM)
    for name in ("rooms-0", "rooms-1"):
        await fleet.kill(name)
        fleet.spawn(name)


async def _rooms_away_first(fleet: Fleet, _nats: NatsWithUsersOfTests, one: Taker) -> None:
    for name in ("rooms-0", "rooms-1"):
        await fleet.kill(name)
    await one.delete(LOG_STREAM)
    for name in ("rooms-0", "rooms-1"):
        fleet.spawn(name)


LOSSES: dict[str, Loss] = {
    "deleted": _deleted,
    "with everything else": _everything_deleted,
    "and rooms restarted": _with_rooms_restarted,
    "while rooms was away": _rooms_away_first,
}


async def log(folder: Path, size: Size, _chance: random.Random) -> Row:
    """The row: the log is deleted in every company, and restored."""
    row = Row(
        "ROOMS deleted or restored while NATS runs", f"clients told within {SOON:g} s, in again within {SOON:g} s"
    )
    nats = NatsWithUsersOfTests(folder / "nats")
    fleet = Fleet(nats, {**size.settings, **size.patient})
    watched = Watched(fleet, 8)
    try:
        await fleet.start()
        await watched.come()
        async with taker(nats) as one:
            for name, lose in LOSSES.items():
                await lose(fleet, nats, one)
                await _watch(row, watched, name)
            backup = await one.backup(LOG_STREAM)
            for _, client in watched.clients:
                await client.ask("update_self", name="later")
            await one.restore(LOG_STREAM, backup)
            await _watch(row, watched, "restored")
        row.expect(not fleet.tracebacks(), f"tracebacks: {fleet.tracebacks()[:2]}")
    finally:
        await watched.close()
        await fleet.stop()
    return row


async def _watch(row: Row, watched: Watched, name: str) -> None:
    told, again = await watched.told(), await watched.again()
    row.saw(f"{name}: told within {told:.1f} s, in again within {again:.1f} s")
    row.expect(told <= SOON, f"{name}: clients were told after {told:.1f} s")
    row.expect(again <= SOON, f"{name}: clients were in again after {again:.1f} s")
