"""Applies entries to the fold of a room. It refuses a room that this version cannot fold, instead of folding it wrongly.

A snapshot in the log replaces all entries before it, which may have been deleted (docs/adr/0016).
"""

import structlog
from prometheus_client import Counter

from shared.broker import subjects
from shared.broker.room_log import RoomsLog, StoredState
from shared.broker.tail import read_up_to
from shared.rooms.events import Checkpoint
from shared.rooms.roster import Entry, Roster, Snapshot
from shared.rooms.unfoldable import unfoldable
from shared.values.errors import Refused
from shared.values.ids import RoomId
from shared.values.position import Position

log = structlog.get_logger()

UNFOLDABLE = Counter("parley_log_unfoldable_total", "Requests refused because this version cannot fold the room's log.")
TOLD = 1000  # rooms whose obstacle is remembered, so that it is logged once


def obstacle(fold: Roster, entry: Entry) -> str | None:
    """Why this version must not apply an entry; None if it may. Pure.

    The entry that closes a room needs none of the entries before it: a trimmed log consists of it alone.
    """
    checkpoint = entry.checkpoint
    if checkpoint is not None:
        needed = checkpoint.fold_version
        return f"it has a snapshot of fold {needed}" if needed > fold.fold_version else None
    if fold.misses(entry) and not entry.events[-1].closes:
        return f"the changes after revision {fold.revision} are missing"
    return None


class Folding:
    """Applies entries to folds. Raises `unfoldable` when this version cannot do that."""

    def __init__(self, log: RoomsLog) -> None:
        self._log = log
        self._told: dict[RoomId, str] = {}

    async def apply(self, fold: Roster, entry: Entry) -> None:
        """Apply the next entry. One that cannot be read is left out: the next revision shows whether it was a change."""
        if not entry.events:
            return
        if fold.room is not None and entry.events[0].type == "created" and entry.stamp.operation != fold.origin:
            self._begin_anew(fold)
        if (why := obstacle(fold, entry)) is not None:
            raise self._refused(fold, why)
        if entry.checkpoint is not None and fold.misses(entry):
            fold.restore(await self._state(fold, entry.checkpoint), entry.sequence)
        else:
            fold.apply(entry)

    def _begin_anew(self, fold: Roster) -> None:
        """What the fold has is gone from the log, and somebody made the room again since."""
        log.error(
            "a room's log ends before what was read of it: entries are lost",
            room_id=fold.room_id,
            read_up_to=fold.sequence,
        )
        empty = Roster(fold.room_id, fold.incarnation)
        for name in Roster.model_fields:
            setattr(fold, name, getattr(empty, name))

    def check_begun(self, fold: Roster) -> None:
        """Raises Refused when the log has entries and none of them gave a room: it must not be taken for empty."""
        if fold.room is None and fold.sequence:
            raise self._refused(fold, "none of its entries can be read")

    def check_end(self, fold: Roster, newest: Entry) -> None:
        """Raises Refused when the newest entry cannot be read. Nothing behind it shows that it was no change, and whoever
        decided without it would give its revision to another one.
        """
        if not newest.events:
            raise self._refused(fold, "its newest entry cannot be read")

    async def _state(self, fold: Roster, checkpoint: Checkpoint) -> Snapshot:
        """The whole state of a snapshot in the log, with sessions and operations."""
        stored = await self._stored(fold.room_id, checkpoint.state)
        if stored is None:
            raise self._refused(fold, "the state beside its snapshot is missing")
        try:
            state = Snapshot.model_validate_json(stored.body, extra="ignore")
        except ValueError:
            raise self._refused(fold, "the state beside its snapshot cannot be read") from None
        if (state.room_id, state.revision, state.fold_version) != (
            fold.room_id,
            checkpoint.as_of,
            checkpoint.fold_version,
        ):
            raise self._refused(fold, "the state beside its snapshot is another one")
        return state

    async def _stored(self, room_id: RoomId, position: Position) -> StoredState | None:
        """The state at this position; None when it was deleted. It was stored before the entry that names it."""
        found = await read_up_to(self._log, subjects.state_log(room_id), Position(position - 1), position)
        first = found[0] if found else None
        return first if isinstance(first, StoredState) and first.position == position else None

    def _refused(self, fold: Roster, why: str) -> Refused:
        UNFOLDABLE.inc()
        if self._told.get(fold.room_id) != why:
            if len(self._told) >= TOLD:
                self._told.clear()
            self._told[fold.room_id] = why
            log.error("a room's log cannot be folded here", room_id=fold.room_id, why=why, after=fold.sequence)
        return unfoldable()
