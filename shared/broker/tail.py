"""Reading a log to its end, or up to a position that is known to be there: reads may lag what was stored."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from shared.broker.log import Item, Log
from shared.values import pauses
from shared.values.position import Position

PAGE = 500  # entries read at once


async def read_on(
    log: Log[Any, Item],
    subject: str,
    after: Position,
    take: Callable[[Sequence[Item]], Awaitable[None]],
    *,
    up_to: Position | None = None,
    waits: Sequence[float] = pauses.LAGGING_READ,
) -> bool:
    """Hand over what is above `after`, oldest first and page by page: all that a read shows, or at least until `up_to`.

    False when `up_to` has not come after all of the `waits`. Raises `Refused(unavailable)`, and whatever `take` raises.
    """
    left = iter(waits)
    while up_to is None or after < up_to:
        page = await log.read(subject, after=after, limit=PAGE)
        if page:
            await take(page)
            after = page[-1].position
        if len(page) == PAGE:
            continue
        if up_to is None or after >= up_to:
            return True
        pause = next(left, None)
        if pause is None:
            return False
        await asyncio.sleep(pause)
    return True


class _TooMany(Exception):  # noqa: N818 - an outcome
    """More entries than were asked for at most."""


async def read_up_to(
    log: Log[Any, Item],
    subject: str,
    after: Position,
    up_to: Position,
    *,
    most: int | None = None,
    waits: Sequence[float] = pauses.LAGGING_READ,
) -> list[Item] | None:
    """What is above `after`, `up_to` included; it may be more. None when that does not come, or is more than `most`."""
    found: list[Item] = []

    async def take(page: Sequence[Item]) -> None:
        found.extend(page)
        if most is not None and len(found) > most:
            raise _TooMany

    try:
        return found if await read_on(log, subject, after, take, up_to=up_to, waits=waits) else None
    except _TooMany:
        return None
