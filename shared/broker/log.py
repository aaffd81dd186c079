"""The port to a log: append, follow, read. The log of rooms is one instance of it.

A log is a stream whose subjects begin with one prefix. Each of its subjects is a log of its own (a room's events, one
participant's signals). Positions ascend over the whole stream. A reader names a subject, or several by the wildcards of
NATS.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from shared.broker.following import Following
from shared.values.position import NOWHERE, Position


class Conflict(Exception):  # noqa: N818 - an outcome to act on, not a failure
    """Something was stored since the position the append was decided on. Nothing was written.

    `last` is the position that the subject has, if the broker said it.
    """

    def __init__(self, last: Position | None = None) -> None:
        super().__init__()
        self.last = last


class Stored(Protocol):
    """An entry read from a log. Every one has a position and a body."""

    @property
    def position(self) -> Position:
        """The entry's position in its stream."""

    @property
    def body(self) -> bytes:
        """What is stored, as it is stored."""


Draft = TypeVar("Draft")
Item = TypeVar("Item", bound=Stored)
Draft_contra = TypeVar("Draft_contra", contravariant=True)
Item_co = TypeVar("Item_co", bound=Stored, covariant=True)


@dataclass(frozen=True, slots=True)
class LogFormat(Generic[Draft, Item]):
    """The format of a log: its stream, the prefix of its subjects, and how an entry is written and read.

    The stream republishes what it stores below `prefix` to subjects below `live`; followers subscribe to those. `decode`
    gets subject, position, headers and body. It returns None for what is no entry, and raises nothing.
    """

    stream: str
    description: str  # one sentence, shown by NATS' tools
    prefix: str
    live: str
    encode: Callable[[Draft], tuple[dict[str, str], bytes]]
    decode: Callable[[str, Position, Mapping[str, str], bytes], Item | None]

    @property
    def subjects(self) -> str:
        """Every subject of the stream."""
        return f"{self.prefix}>"

    @property
    def live_subjects(self) -> str:
        """Every subject on which the stream republishes."""
        return f"{self.live}>"

    def live_subject(self, subject: str) -> str:
        """The subject on which the stream republishes entries of `subject`."""
        return self.live + subject.removeprefix(self.prefix)


class Log(Protocol[Draft_contra, Item_co]):
    """One log, over one process's connection. Every method raises `Refused(unavailable)` when the broker cannot answer.

    An append that ends in `unavailable` has an unknown outcome; ask the log, or append the same again.
    """

    @property
    def incarnation(self) -> str:
        """Identifies this log (by the stream's creation time). Positions of another incarnation mean nothing here."""

    @property
    def generation(self) -> int:
        """How often this process has found that the log is another one. Entries read before the last time are of none."""

    async def append(self, subject: str, draft: Draft_contra, *, after: Position) -> Position:
        """Append if `after` is still the last position of the subject (NOWHERE: if the subject is empty).

        Returns the new position. Raises Conflict when `after` is not the last position.
        """

    async def follow(self, subject: str, receive: Callable[[Item_co], None], on_gap: Callable[[], None]) -> Following:
        """Call `receive` for every entry committed from now on, in the log's order. No entry committed after this
        returns is missed.

        `on_gap` is called when entries may have been lost (reconnect, slow consumer). Then read on from the last entry
        seen. Neither callable may raise or block.
        """

    async def read(self, subject: str, *, after: Position = NOWHERE, limit: int) -> Sequence[Item_co]:
        """Up to `limit` entries above `after`, oldest first. May lag an append."""

    async def last(self, subjects: Sequence[str]) -> Sequence[Item_co]:
        """The newest entry of each of these subjects that has any (at most 1,000 subjects). May lag an append."""

    async def position(self, subject: str) -> Position:
        """The position of the newest entry of all matching subjects, NOWHERE if there is none. Does not lag."""

    async def newest_of_each(self, subject: str) -> Sequence[Item_co]:
        """The newest entry of every matching subject, however many there are, oldest first."""

    async def trim(self, subject: str, *, before: Position | None = None) -> None:
        """Delete all entries of a subject below `before`; without it all but the last, which still shows the end."""

    async def taken(self, consumer: str) -> Position | None:
        """The position up to which a durable consumer of this log has acknowledged all it wants, EVERYWHERE when nothing
        waits for it. None when there is no such consumer. Does not lag.
        """
