"""Guests of one address take all they may, by thirty tokens on two gateways: signals, changes, rooms. Others notice nothing."""

import asyncio
import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from services.rooms.settings import RoomsSettings
from shared.broker.subjects import LOG_STREAM
from tests.faults.figures import Row, percentile
from tests.faults.history import History
from tests.faults.silence import mates_in
from tests.faults.size import Size
from tests.faults.stage import Stage, stage
from tests.support.broker import over_nats
from tests.support.client import Client
from tests.support.sdp import offer

TOKENS = 30
GATEWAYS = 2
HOMES = 3  # rooms that they share
AT_ONCE = 20  # requests of each that wait for their answer
SDP = offer() + ("a=x:" + "y" * 4000 + "\r\n") * 7
FAULT = f"{TOKENS} guest tokens of one address on {GATEWAYS} gateways: signals, changes and rooms as fast as may be"
FIGURE = "no more is stored than the quotas of one network say; others join and signal as before, p99 at most 1 s"
LATENCY = 1.0
# Smaller than the defaults, so that all of them are reached in seconds.
RATE, BURST, ROOMS, CHANGES = 256 << 10, 3 << 20, 40, 5
QUOTAS = {
    "AGENT_SIGNAL_BYTE_RATE": f"{RATE}",
    "AGENT_SIGNAL_BYTE_BURST": f"{BURST}",
    "OPEN_ROOMS_PER_AGENT": f"{ROOMS}",
    "PARTICIPANT_CHANGE_BURST": f"{CHANGES}",
}
TOLERATED = 3  # rooms that two replicas make at the same moment
BESIDE = 6e6  # bytes of everybody's events and of the others' signals


async def greedy(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row."""
    row = Row(FAULT, FIGURE)
    async with stage(folder, size, chance, gateways=GATEWAYS, settings=QUOTAS) as s:
        people = await mates_in(s, "people")
        guests = [await _guest(s.fleet.urls[n % GATEWAYS]) for n in range(TOKENS)]
        try:
            stays = [await _join(guest, f"home-{n % HOMES}") for n, guest in enumerate(guests)]
            before, began = await _stored(s), time.monotonic()
            taking = asyncio.gather(*(_take(guest, n, stays) for n, guest in enumerate(guests)))
            took = percentile(await people.talk(size.flooded), 0.99)
            (newcomer,) = await s.load.connect(1, prefix="newcomer")
            joined = await newcomer.insist("join_room", roomId="people")
            row.expect(joined["type"] == "room_users", f"somebody else could not join: {joined}")
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
            row.saw(f"others' signals took p99 {took * 1000:.0f} ms")
            row.hope(took <= LATENCY, f"others' signals took p99 {took:.1f} s")
            await _judge(row, s, guests, await _stored(s) - before, time.monotonic() - began)
        finally:
            await asyncio.gather(*(guest.close() for guest in guests))
        await s.load.rest()
        await s.conclude(row)
        row.expect(not s.ledger.gaps, f"{len(s.ledger.gaps)} times somebody else's connection was gone")
    return row


async def _guest(url: str) -> Client:
    async with httpx.AsyncClient(base_url=url) as http:
        issued = (await http.post("/api/guest/token")).raise_for_status().json()
    client = await Client.open(url)
    await client.login(issued["token"])
    return client


async def _join(guest: Client, room_id: str) -> str:
    return str((await guest.join(room_id))["self"])


async def _take(guest: Client, n: int, stays: list[str]) -> None:
    """Ask for everything in turn, without end: an offer to a room mate, a change, a room."""
    room_id, to = f"home-{n % HOMES}", stays[(n + HOMES) % TOKENS]
    asked = 0

    async def ask() -> None:
        nonlocal asked
        while True:
            asked += 1
            what: dict[str, Any] = {"roomId": room_id, "to": to, "sdp": SDP}
            if asked % 4 == 1:
                await guest.ask("update_self", roomId=room_id, metadata={"n": asked, "fill": "x" * 900})
            elif asked % 20 == 2:
                answer = await guest.ask("join_room", roomId=f"more-{n}-{asked}")
                if answer["type"] == "room_users":
                    await guest.ask("leave_room", roomId=f"more-{n}-{asked}")
            else:
                await guest.ask("offer", **what)

    await asyncio.gather(*(ask() for _ in range(AT_ONCE)), return_exceptions=True)


async def _stored(s: Stage) -> int:
    """Bytes in the log."""
    answer = await over_nats(await s.fleet.ports()).client.request(f"$JS.API.STREAM.INFO.{LOG_STREAM}", b"", timeout=5)
    return int(json.loads(answer.data)["state"]["bytes"])


async def _judge(row: Row, s: Stage, guests: list[Client], stored: int, seconds: float) -> None:
    """What they took, against what their network may have. `stored` has the others' signals and all events too."""
    ports = await s.fleet.ports()
    answers = Counter(m.get("code") or m["type"] for guest in guests for m in guest.everything if "id" in m)
    row.saw("answers: " + ", ".join(f"{count} {what}" for what, count in answers.most_common(5)))
    allowed = GATEWAYS * (BURST + RATE * seconds)
    row.saw(f"{stored / 1e6:.1f} MB were stored in {seconds:.0f} s; their signals may come to {allowed / 1e6:.1f} MB")
    row.expect(stored <= allowed + BESIDE, f"{stored / 1e6:.1f} MB were stored, {allowed / 1e6:.1f} MB allowed")
    row.expect(answers["rate_limited"] > 0, "nobody was told of a quota")
    rate = RoomsSettings.model_fields["participant_change_rate"].default
    most = 0
    for n in range(HOMES):
        history = await History.read(ports, f"home-{n}")
        changes = Counter(
            event.change.participant.id
            for entry in history.entries
            for event in entry.events
            if event.type == "participant_updated" and event.change.participant is not None
        )
        most = max(most, *changes.values())
    row.saw(f"a participant had at most {most} changes stored")
    row.expect(most <= CHANGES + rate * seconds + 1, f"a participant had {most} changes stored in {seconds:.0f} s")
    shown = await s.fleet.metrics("rooms-0")
    open_rooms = shown.total("parley_rooms")
    row.saw(f"{open_rooms:.0f} rooms are open")
    row.expect(open_rooms <= ROOMS + 1 + TOLERATED, f"{open_rooms:.0f} rooms are open, and {ROOMS} may be")
