"""The memory of which operations a room's log has named lately. A repeat of one of them has no second effect. Pure.

An entry has one operation of its own. When it is made of several, it names the others by their fingerprints.
"""

from collections.abc import Iterable
from typing import Final

OPERATION_MEMORY_SECONDS: Final = 60.0
OPERATION_MEMORY: Final = 2000  # at most; a busier room forgets them before `OPERATION_MEMORY_SECONDS`


def remember(known: dict[str, float], names: Iterable[str], now: float) -> None:
    """Forget what is too old or too much in `known`, oldest first, then add these names. `now` is Unix seconds."""
    while known:
        oldest = next(iter(known))
        if len(known) < OPERATION_MEMORY and known[oldest] > now - OPERATION_MEMORY_SECONDS:
            break
        del known[oldest]
    known.update(dict.fromkeys(names, now))
