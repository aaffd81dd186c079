"""Reads a log to its end, or up to a position that is known to be stored. It waits, since reads may lag the log."""

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
    """Pass the entries above `after` to `take`, oldest first and page by page.

    Without `up_to` it ends at the first page that is not full. With `up_to` it reads until that position is there, and
    waits `waits` seconds between reads. False when `up_to` has not come after all of them. Raises `Refused(unavailable)`,
    and what `take` raises.
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
    """There are more entries than `most`."""


async def read_up_to(
    log: Log[Any, Item],
    subject: str,
    after: Position,
    up_to: Position,
    *,
    most: int | None = None,
    waits: Sequence[float] = pauses.LAGGING_READ,
) -> list[Item] | None:
    """The entries above `after`, `up_to` included; there may be later ones too. See `read_on`.

    None when `up_to` does not come, or when there are more than `most`.
    """
    found: list[Item] = []

    async def take(page: Sequence[Item]) -> None:
        found.extend(page)
        if most is not None and len(found) > most:
            raise _TooMany

    try:
        return found if await read_on(log, subject, after, take, up_to=up_to, waits=waits) else None
    except _TooMany:
        return None
