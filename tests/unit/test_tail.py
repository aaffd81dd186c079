"""Reading a log that lags: until what is known to be stored is there, or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from shared.broker.log import Log
from shared.broker.tail import PAGE, read_on, read_up_to
from shared.values.position import NOWHERE, Position

WAITS = (0.0, 0.0)


@dataclass(frozen=True)
class Stored:
    """An entry."""

    position: Position


class Lagging:
    """A log of which each read shows up to the next of these positions, and then always the last of them."""

    def __init__(self, *shown: int) -> None:
        self.shown = list(shown)
        self.reads = 0

    async def read(self, _subject: str, *, after: Position, limit: int) -> list[Stored]:
        """See Log."""
        end = self.shown.pop(0) if len(self.shown) > 1 else self.shown[0]
        self.reads += 1
        return [Stored(Position(at)) for at in range(after + 1, min(end, after + limit) + 1)]


async def up_to(log: Lagging, end: int, most: int | None = None) -> list[int] | None:
    """The positions that are read."""
    found = await read_up_to(cast("Log[Any, Any]", log), "s", NOWHERE, Position(end), most=most, waits=WAITS)
    return None if found is None else [one.position for one in found]


async def test_it_waits_for_what_is_stored() -> None:
    """A read that lags is made again, from where it ended; each entry is there once."""
    assert await up_to(Lagging(1, 1, 3), 3) == [1, 2, 3]
    assert await up_to(Lagging(0), 0) == []


async def test_what_does_not_come_is_none() -> None:
    """After all its waits it says so, instead of taking what there is for everything."""
    log = Lagging(2)
    assert await up_to(log, 3) is None
    assert log.reads == 1 + len(WAITS)


async def test_too_much_is_none() -> None:
    """It stops reading then."""
    log = Lagging(10 * PAGE)
    assert await up_to(log, 10 * PAGE, most=PAGE) is None
    assert log.reads == 2


async def test_pages_are_handed_over_one_by_one() -> None:
    """Without an end known it stops at the first page that is not full."""
    pages: list[int] = []

    async def take(page: Sequence[Stored]) -> None:
        pages.append(len(page))

    assert await read_on(cast("Log[Any, Any]", Lagging(2 * PAGE + 1)), "s", NOWHERE, take, waits=WAITS)
    assert pages == [PAGE, PAGE, 1]
