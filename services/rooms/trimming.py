"""When a room's log is trimmed, and up to where (docs/adr/0019). Pure.

A trim has two steps. A snapshot goes to the end of the log. When it has been there for `kept_seconds`, all entries before
it are deleted. So nothing younger than that is ever deleted, and a trim that was interrupted goes on by itself. Of a room
that has been closed for `closed_seconds` both steps are done at once.
"""

from dataclasses import dataclass
from typing import Any

from shared.rooms.roster import Entry, Roster, Snapshot
from shared.values import moment
from shared.values.position import NOWHERE, Position

STATE_BYTES = 900_000  # of a private state; a message to the broker may have 1 MiB
CONSUMER_SECONDS = 30.0  # between looks at a consumer that is behind


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings of trimming. Times are seconds; 0 means never, or without end.

    `size` is bytes of changes after which a snapshot is due, and `seconds` the age of the oldest change. `consumers` are
    durable consumers whose reading is waited for, `consumer_seconds` long at most.
    """

    size: int = 1 << 15
    seconds: float = 86400.0
    kept_seconds: float = 90.0
    closed_seconds: float = 180.0
    consumers: tuple[str, ...] = ()
    consumer_seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class Mark:
    """An entry that nothing before it is needed for: a snapshot, or the close of a room, which has no `state`.

    Those before it are older than `at` (Unix seconds). `state` is the position of a snapshot's private state.
    """

    position: Position
    at: float
    state: Position | None = None


@dataclass(slots=True)
class Extent:
    """What a room's log consists of. `take` every entry from the first one on.

    `size` and `since` are of the changes behind the newest mark: their bytes, and the time of the oldest (Unix seconds).
    """

    first: Position = NOWHERE
    newest: Position = NOWHERE
    size: int = 0
    since: float | None = None
    mark: Mark | None = None
    closed: bool = False

    def take(self, entry: Entry, size: int) -> None:
        """The next entry, and its bytes. `take_change` is enough for a change, if the room goes on and `since` is known."""
        if not entry.events:  # it cannot be read
            return self.take_change(entry.sequence, size)
        event, self.closed = entry.events[-1], entry.events[-1].closes
        at = moment.unix(event.time)
        if entry.checkpoint is not None or self.closed:
            self._at(entry.sequence)
            if self.closed and self.mark is not None and self.mark.state is None:
                at = self.mark.at  # the snapshot after the close of the room is as old as that
            self.mark = Mark(entry.sequence, at, entry.checkpoint.state if entry.checkpoint else None)
            self.size, self.since = 0, None
        else:
            self.since = at if self.since is None else self.since
            self.take_change(entry.sequence, size)
        return None

    def take_change(self, position: Position, size: int) -> None:
        """The next entry, if it is an ordinary change."""
        self._at(position)
        self.size += size

    def _at(self, position: Position) -> None:
        self.first = self.first or position
        self.newest = position


@dataclass(frozen=True, slots=True)
class Write:
    """Append a snapshot. `aged`: also if it frees no space."""

    aged: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete all entries before the mark."""

    mark: Mark


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again at this time (Unix seconds), or after the next changes."""

    until: float | None = None


def next_step(log: Extent, limits: Limits, now: float, taken: Position) -> Write | Delete | Wait:
    """What is to be done with a room's log. `taken` is the position up to which `limits.consumers` have everything."""
    mark = log.mark
    if log.closed and not limits.closed_seconds:
        return Wait()
    if mark is not None and (log.first < mark.position or mark.state is None):
        ripe = mark.at + (limits.closed_seconds if log.closed else limits.kept_seconds)
        late = ripe + limits.consumer_seconds
        if now < ripe:
            return Wait(ripe)
        if taken < mark.position and now < late:
            return Wait(min(late, now + CONSUMER_SECONDS))
        return Write(aged=True) if mark.state is None else Delete(mark)
    if log.closed or log.since is None:
        return Wait()
    if limits.seconds and now >= log.since + limits.seconds:
        return Write(aged=True)
    if limits.size and log.size >= limits.size:
        return Write()
    return Wait(log.since + limits.seconds if limits.seconds else None)


def state_of(fold: Roster, fold_version: int) -> Snapshot:
    """The private state of a fold. A closed room needs no memory of operations, join tokens and departures."""
    lean: dict[str, Any] = (
        {"operations": {}, "also": {}, "grants": {}, "departed": {}} if fold.closed is not None else {}
    )
    return fold.snapshot(whole=True).model_copy(update={"fold_version": fold_version, **lean})
