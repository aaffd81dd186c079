"""Timers that tests arm, and a taker that remembers them."""

import time
from collections.abc import Callable

from shared.broker.ports import Ports
from shared.rooms.timers import LeaseEnds, LogKept, Timer
from shared.values.ids import GatewayId, RoomId
from tests.support.patience import eventually

AN_HOUR = 3600.0


RETRY = 0.3  # seconds before a due timer is handed over again, for tests of that


LONG = 60.0  # for other tests, so that a slow disk does not cause a second handing over


def lease(gateway: str, seconds: float) -> LeaseEnds:
    """Due so many seconds from now."""
    return LeaseEnds(due=time.time() + seconds, gateway=GatewayId(gateway))


def empty(room: str, seconds: float = 0.0) -> LogKept:
    """Due so many seconds from now."""
    return LogKept(due=time.time() + seconds, room_id=RoomId(room))


class Taker:
    """Remembers what it was handed, and when; fails as often as it is told."""

    def __init__(self) -> None:
        self.taken: list[tuple[float, Timer]] = []
        self.failures: list[Exception] = []

    async def handle(self, timer: Timer) -> None:
        """Take a timer."""
        self.taken.append((time.time(), timer))
        if self.failures:
            raise self.failures.pop(0)

    @property
    def names(self) -> list[str]:
        """The names of the timers taken, in order."""
        return [timer.name for _, timer in self.taken]

    def has(self, count: int) -> Callable[[], bool]:
        """Whether so many were taken."""
        return lambda: len(self.taken) >= count


async def settled(ports: Ports, taker: Taker) -> None:
    """What was due before now has been handed over by now."""
    last = empty("the-last-one", 0.3)
    await ports.timers.arm(last)
    await eventually(lambda: last.name in taker.names, "the last one is taken")
