"""What a process says of itself: why it waits, soon and then seldom; and ready only when it is."""

import asyncio

import pytest
import structlog

from shared.runtime.readiness import Readiness
from shared.values.errors import Code, Refused
from tests.simulation.clock import in_virtual_time


class Process:
    """One that waits, for reasons that change."""

    def __init__(self, *reasons: str) -> None:
        self.reasons = list(reasons)
        self.thorough = 0
        self.looks = 0

    async def look(self, thorough: bool) -> None:
        """The reasons take turns."""
        self.looks += 1
        self.thorough += thorough
        if self.reasons:
            raise Refused(Code.UNAVAILABLE, self.reasons[self.looks % len(self.reasons)])


async def told(process: Process, seconds: float) -> list[tuple[str, str | None]]:
    """What is said in so many seconds."""
    with structlog.testing.capture_logs() as lines:
        running = asyncio.create_task(Readiness(process.look).run())
        await asyncio.sleep(seconds)
        running.cancel()
    return [(line["event"], line.get("why")) for line in lines]


@in_virtual_time
async def test_a_reason_is_told_soon_and_then_seldom() -> None:
    """Within two seconds, then every 30."""
    assert await told(Process("no broker"), 1.9) == [("waiting", "no broker")]
    assert await told(Process("no broker"), 100) == [("waiting", "no broker")] * 4


@in_virtual_time
async def test_reasons_that_take_turns_fill_no_log() -> None:
    """Three servers, each out of reach in its own way: a line every five seconds at most."""
    assert len(await told(Process("refused", "silent", "unknown"), 60)) <= 13


@in_virtual_time
async def test_ready_is_said_when_it_is_so() -> None:
    """At once when there is nothing to wait for; `not ready` and `ready again` when that changes; the broker is asked
    every five seconds, not with every look."""
    process = Process()

    async def away_for_a_while() -> None:
        await asyncio.sleep(20)
        process.reasons = ["the connection was lost"]
        await asyncio.sleep(20)
        process.reasons = []

    going = asyncio.create_task(away_for_a_while())
    assert await told(process, 60) == [("ready", None), ("not ready", "the connection was lost"), ("ready again", None)]
    await going
    assert process.looks == pytest.approx(60, abs=5)
    assert process.thorough < 40


@in_virtual_time
async def test_a_start_that_is_quick_tells_of_no_waiting() -> None:
    """What is there within a moment was not waited for."""
    process = Process("no streams yet")

    async def soon() -> None:
        await asyncio.sleep(0.5)
        process.reasons = []

    going = asyncio.create_task(soon())
    assert await told(process, 5) == [("ready", None)]
    await going
