"""Sending everyone elsewhere: all are asked, spread over the window, and none is there when it is over."""

import asyncio

import pytest

from services.gateway.drain import ASKING, COMING_BACK, SLOW, TICK_SECONDS, drain
from tests.simulation.clock import in_virtual_time

SECONDS = 0.8


class Guest:
    """A session that goes when it is closed, or as soon as it is asked, or never."""

    def __init__(self, house: "House", manner: str) -> None:
        self.asked: list[tuple[float, float]] = []  # when, and after how many seconds it is to come back
        self.parted: list[float] = []
        self._house = house
        self._manner = manner

    def go_away(self, reason: str, after_ms: int) -> None:
        assert reason == "shutdown"
        self.asked.append((self._house.now, after_ms / 1000))
        if self._manner == "goes at once":
            self._house.guests.remove(self)

    def leave_for_another(self, reason: str) -> None:
        assert reason == "shutdown"
        self.parted.append(self._house.now)
        if self._manner != "stays":
            self._house.guests.remove(self)


class House:
    """Some of them, and the seconds since the drain began."""

    def __init__(self, count: int, manner: str = "waits") -> None:
        self._began = asyncio.get_running_loop().time()
        self.everyone = [Guest(self, manner) for _ in range(count)]
        self.guests = list(self.everyone)

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    async def drain(self, seconds: float = SECONDS) -> float:
        """How long it took."""
        await drain(lambda: self.guests, seconds)
        return self.now


@in_virtual_time
async def test_everyone_is_asked_then_closed() -> None:
    """Each once, with a time within the window; nobody is closed before that time, and all are before the end."""
    house = House(50)
    took = await house.drain()
    assert house.guests == []
    assert took <= SECONDS + TICK_SECONDS
    for guest in house.everyone:
        ((asked, after),) = guest.asked
        (parted,) = guest.parted
        assert 0 <= after <= COMING_BACK * SECONDS
        assert parted >= asked + after + SLOW * SECONDS - 0.001  # told in whole milliseconds


@in_virtual_time
async def test_they_are_spread() -> None:
    """Neither are all asked at once, nor do all come back at once."""
    house = House(100)
    await house.drain()
    asked = sorted(at for guest in house.everyone for at, _ in guest.asked)
    back = sorted(at + after for guest in house.everyone for at, after in guest.asked)
    parted = sorted(at for guest in house.everyone for at in guest.parted)
    for times, least in ((asked, ASKING / 2), (back, COMING_BACK / 2), (parted, COMING_BACK / 2)):
        assert times[90] - times[10] > least * SECONDS
    assert len({round(after, 3) for guest in house.everyone for _, after in guest.asked}) > 50


@pytest.mark.parametrize("count", [0, 1, 30])
@in_virtual_time
async def test_it_ends_when_nobody_is_left(count: int) -> None:
    """Whoever goes as asked is waited for no longer: the last one is asked, and that is it."""
    house = House(count, "goes at once")
    took = await house.drain(20.0 if count < 2 else 1.0)
    assert took <= (0 if count < 2 else ASKING) + 2 * TICK_SECONDS
    assert all(len(guest.asked) == 1 and guest.parted == [] for guest in house.everyone)


@in_virtual_time
async def test_it_ends_when_the_time_is_over() -> None:
    """Who does not let itself be closed is not waited for."""
    house = House(5, "stays")
    took = await house.drain()
    assert SECONDS <= took <= SECONDS + TICK_SECONDS
    assert all(len(guest.asked) == 1 and guest.parted for guest in house.everyone)


@in_virtual_time
async def test_no_time_at_all() -> None:
    """A window of nothing ends at once."""
    house = House(5)
    assert await house.drain(0.0) == 0
