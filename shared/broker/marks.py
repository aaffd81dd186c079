"""The port for marks: one message in a stream that says what the stream holds. It is lost with what it speaks of."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from shared.values.position import Position


class Marked(StrEnum):
    """What has a mark."""

    TIMERS = "timers"
    LEASES = "leases"


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark as it was read."""

    position: Position
    body: bytes


class Marks(Protocol):
    """Reads and writes marks. Both raise `Refused(unavailable)` when the broker cannot answer."""

    async def read(self, what: Marked) -> Mark | None:
        """The mark; None when there is none. Does not lag."""

    async def write(self, what: Marked, body: bytes, *, after: Position) -> Position:
        """Replace the mark, if it still has this position (NOWHERE: if there is none). Raises Conflict when it has not."""
