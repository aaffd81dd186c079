"""Many clients race for ten seats on two replicas of rooms, and in every fourth round one of them is killed."""

import asyncio
import math
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.faults.caller import Caller
from tests.faults.figures import Row
from tests.faults.history import History
from tests.faults.size import Size
from tests.faults.stage import Stage, stage
from tests.support.client import Message

FAULT = "clients race for 10 seats on two replicas, with a kill in every fourth round"
FIGURE = "exactly 10, always; at most 3 append attempts for a join"
SEATS = 10
ATTEMPTS = 3.0
METRIC = "parley_append_attempts"


async def race(folder: Path, size: Size, chance: random.Random) -> Row:
    """The row."""
    row = Row(f"{size.racers} {FAULT}, {size.rounds} rounds", FIGURE)
    attempts: Counter[float] = Counter()
    async with stage(folder, size, chance) as s:
        callers = await s.load.connect(size.racers)
        for number in range(size.rounds):
            room_id = f"race-{number}"
            victim = f"rooms-{number // 4 % 2}" if number % 4 == 3 else None
            before = await s.fleet.buckets("rooms", METRIC, command="JoinRoom")
            replies = await _round(s, callers, room_id, victim)
            if victim is None:
                attempts.update(await s.fleet.buckets("rooms", METRIC, command="JoinRoom"))
                attempts.subtract(before)
            await _check(row, s, room_id, replies)
            await _leave(callers, room_id, None if victim is None else s, victim)
        row.saw(
            f"{size.rounds} rounds, {size.rounds // 4} with a kill: {SEATS} in each" if not row.wrong else "see below"
        )
        _tell_attempts(row, attempts)
        await s.conclude(row)
    return row


def _tell_attempts(row: Row, attempts: Counter[float]) -> None:
    """Of the rounds without a kill: a killed replica takes its counters with it."""
    joins = attempts[math.inf]
    row.expect(joins > 0, "append attempts were not counted")
    most = min((edge for edge, count in attempts.items() if count == joins), default=math.inf)
    once = attempts[1.0]
    row.saw(
        f"{joins:.0f} joins of rounds without a kill: {once:.0f} with one append attempt, none with more than {most:g}"
    )
    row.expect(most <= ATTEMPTS, f"{joins - attempts[ATTEMPTS]:.0f} joins took more than {ATTEMPTS:g} append attempts")


async def _round(s: Stage, callers: Sequence[Caller], room_id: str, victim: str | None) -> list[Message]:
    """Everybody at once; whoever is told to ask again asks again, until it is in or knows that it is not."""
    racing = [asyncio.create_task(caller.insist("join_room", roomId=room_id)) for caller in callers]
    if victim is not None:
        await asyncio.sleep(s.chance.uniform(0, 0.15))
        await s.fleet.kill(victim)
        s.fleet.spawn(victim)
    return list(await asyncio.gather(*racing))


async def _check(row: Row, s: Stage, room_id: str, replies: Sequence[Message]) -> None:
    inside = sorted(reply["self"] for reply in replies if reply["type"] == "room_users")
    others = {reply["code"] for reply in replies if reply["type"] == "error"}
    log = await History.read(await s.fleet.ports(), room_id)
    row.expect(
        len(inside) == SEATS and inside == sorted(log.seats) and others <= {"room_full"},
        f"{room_id}: {len(inside)} were told that they are in, the log has {len(log.seats)}, others heard {others}",
    )


async def _leave(callers: Sequence[Caller], room_id: str, s: Stage | None, victim: str | None) -> None:
    await asyncio.gather(
        *(caller.insist("leave_room", roomId=room_id) for caller in callers if room_id in caller.rooms)
    )
    if s is not None and victim is not None:
        await s.fleet.ready(victim)
