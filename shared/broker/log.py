"""The port to a log: append, follow, read. Rooms have one, and any other kind of log is another instance of it.

A log is a stream whose subjects begin with one prefix. Each of its subjects is a log of its own (a room's events, one
participant's signals); the order of the whole stream is the order of each. A reader names a subject, or many of them by
the wildcards of NATS.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from shared.broker.following import Following
from shared.values.position import NOWHERE, Position


class Conflict(Exception):  # noqa: N818 - an outcome to act on, not a failure
    """Something was stored since the position the append was decided on. Nothing was written."""


class Stored(Protocol):
    """What a log gives back: at least where it stands."""

    @property
    def position(self) -> Position:
        """Of this entry in its stream."""


Draft = TypeVar("Draft")
Item = TypeVar("Item", bound=Stored)
Draft_contra = TypeVar("Draft_contra", contravariant=True)
Item_co = TypeVar("Item_co", bound=Stored, covariant=True)


@dataclass(frozen=True, slots=True)
class LogFormat(Generic[Draft, Item]):
    """What a log is made of: its stream, where its subjects begin, and how an entry is written and read.

    The stream copies what it stores from `prefix` to `live`, where it is followed. `decode` gets subject, position,
    headers and body; it gives None for what is no entry, and raises nothing.
    """

    stream: str
    description: str  # one sentence, for whoever looks at the streams
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
        """Every subject on which it is followed."""
        return f"{self.live}>"

    def live_subject(self, subject: str) -> str:
        """Where the copies of a subject of this log are."""
        return self.live + subject.removeprefix(self.prefix)


class Log(Protocol[Draft_contra, Item_co]):
    """One log, over one process's connection. Every method raises `Refused(unavailable)` when the broker cannot answer.

    An append that ends in `unavailable` has an unknown outcome; ask the log, or append the same again.
    """

    @property
    def incarnation(self) -> str:
        """Which log this is (the stream's creation time): positions of another one mean nothing."""

    async def append(self, subject: str, draft: Draft_contra, *, after: Position) -> Position:
        """Append if `after` is still the last position of the subject (NOWHERE: if it is empty); the new position.

        Raises Conflict when it is not.
        """

    async def follow(self, subject: str, receive: Callable[[Item_co], None], on_gap: Callable[[], None]) -> Following:
        """Call `receive` for every entry committed from now on, in the log's order; when this returns, none is missed.

        `on_gap` is called when entries may have been lost (reconnected, slow consumer): read on from the last one seen.
        Neither callable may raise or block.
        """

    async def read(self, subject: str, *, after: Position = NOWHERE, limit: int) -> Sequence[Item_co]:
        """Up to `limit` entries above `after`, oldest first. May lag an append."""

    async def last(self, subjects: Sequence[str]) -> Sequence[Item_co]:
        """The newest entry of each of these subjects that has any (at most 1,000 subjects). May lag an append."""

    async def position(self, subject: str) -> Position:
        """That of the newest entry among all subjects that match, NOWHERE if there is none; does not lag."""

    async def newest_of_each(self, subject: str) -> Sequence[Item_co]:
        """The newest entry of every subject that matches, however many; oldest first."""

    async def trim(self, subject: str) -> None:
        """Delete all entries of a subject but the last, which shows that it was there and how it ended."""
