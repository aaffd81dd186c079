"""Reading a log that lags: until what is known to be stored is there, or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from shared.broker.log import Log
from shared.broker.tail import FIRST_PAGE, PAGE, read_on, read_up_to
from shared.values.position import NOWHERE, Position

WAITS = (0.0, 0.0)


@dataclass(frozen=True)
class Stored:
    """An entry."""

    position: Position
    body: bytes = b""


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
    assert pages == [FIRST_PAGE, PAGE, PAGE + 1 - FIRST_PAGE]


class Heavy(Lagging):
    """A log whose entries have 1 MiB each."""

    def __init__(self, end: int) -> None:
        super().__init__(end)
        self.limits: list[int] = []

    async def read(self, _subject: str, *, after: Position, limit: int) -> list[Stored]:
        """See Log."""
        self.limits.append(limit)
        return [Stored(one.position, bytes(1 << 20)) for one in await super().read(_subject, after=after, limit=limit)]


async def test_large_entries_are_read_a_few_at_a_time() -> None:
    """After the first page, about 8 MiB at once; and not at all where they are more than may be in memory."""
    log = Heavy(100)
    assert len(await up_to(log, 100) or []) == 100
    assert log.limits == [64, 8, 8, 8, 8, 8]
    found = await read_up_to(
        cast("Log[Any, Any]", Heavy(100)), "s", NOWHERE, Position(100), most_bytes=70 << 20, waits=WAITS
    )
    assert found is None
