"""Reads a log to its end, or up to a position that is known to be stored. It waits, since reads may lag the log."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from shared.broker.log import Item, Log, Stored
from shared.values import pauses
from shared.values.position import Position

FIRST_PAGE = 64  # entries read at once, before anything is known of their size
PAGE = 500  # entries read at once, of ordinary size
PAGE_BYTES = 8 << 20  # of larger entries, such as offers of many tracks, about so much is read at once


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
    left, limit = iter(waits), FIRST_PAGE
    while up_to is None or after < up_to:
        page = await log.read(subject, after=after, limit=limit)
        if page:
            await take(page)
            after = page[-1].position
        if len(page) == limit:
            limit = max(1, min(PAGE, limit * PAGE_BYTES // (_size(page) or 1)))
            continue
        if up_to is None or after >= up_to:
            return True
        pause = next(left, None)
        if pause is None:
            return False
        await asyncio.sleep(pause)
    return True


def _size(page: Sequence[Stored]) -> int:
    return sum(len(item.body) for item in page)


class _TooMany(Exception):  # noqa: N818 - an outcome
    """There are more entries than `most`, or more bytes than `most_bytes`."""


async def read_up_to(
    log: Log[Any, Item],
    subject: str,
    after: Position,
    up_to: Position,
    *,
    most: int | None = None,
    most_bytes: int | None = None,
    waits: Sequence[float] = pauses.LAGGING_READ,
) -> list[Item] | None:
    """The entries above `after`, `up_to` included; there may be later ones too. See `read_on`.

    None when `up_to` does not come, when there are more than `most`, or when they have more than `most_bytes` in all.
    """
    found: list[Item] = []
    size = 0

    async def take(page: Sequence[Item]) -> None:
        nonlocal size
        found.extend(page)
        size += _size(page)
        if (most is not None and len(found) > most) or (most_bytes is not None and size > most_bytes):
            raise _TooMany

    try:
        return found if await read_on(log, subject, after, take, up_to=up_to, waits=waits) else None
    except _TooMany:
        return None
