"""Trims the logs of rooms: in the background after changes, and for silent rooms by the clock (docs/adr/0019).

Any replica may trim any room at any time. Two that write at once conflict, and one of them gives way.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import structlog
from cachetools import LRUCache

from services.rooms.folding import Folding
from services.rooms.log import RoomLog
from services.rooms.trimming import STATE_BYTES, Delete, Extent, Limits, Mark, Wait, Write, next_step, state_of
from shared.broker import subjects
from shared.broker.log import Conflict
from shared.broker.ports import Ports
from shared.broker.room_log import RoomEntry, RoomsLog, StateDraft, StoredEvents
from shared.broker.tail import read_on
from shared.rooms.events import Batch, Checkpoint, RoomEvent, Stamp, encode
from shared.rooms.roster import SNAPSHOT_FOLD, Roster
from shared.rooms.timers import LogKept
from shared.rooms.unfoldable import is_unfoldable
from shared.telemetry.tally import Tally
from shared.values import moment
from shared.values.errors import Refused, unavailable
from shared.values.ids import RoomId
from shared.values.position import EVERYWHERE, NOWHERE, Position

log = structlog.get_logger()

RESULTS = ("snapshot", "deleted", "not_known", "too_large", "lost", "failed")
TRIMS = Tally("parley_log_trims_total", "Steps of trimming rooms' logs, by result.", "result", RESULTS)

ROOMS = (
    10_000  # rooms whose new bytes are counted, and rooms that may wait; one that is dropped comes with a later change
)
ATTEMPTS = 5  # of a snapshot that loses to other changes
STEPS = 8  # of one look
LEAST_SECONDS = 2.0  # a timer that is armed must not have the name of one that is just firing
MARKS = (b"agentlink.room.snapshot", b"agentlink.room.closed")  # whoever has none of these in it is an ordinary change


class _Whole:
    """The fold of a room's log from its first entry on. `known` while this version knew all of it."""

    def __init__(self, room_id: RoomId, log: RoomsLog, folding: Folding) -> None:
        self.fold = Roster(room_id, log.incarnation)
        self.known = True
        self._log = log
        self._folding = folding

    async def read(self) -> None:
        """Go on to the end of the log. Raises Refused, also for a room that cannot be folded."""
        subject = subjects.event_log(self.fold.room_id)
        end = await self._log.position(subject)
        if not await read_on(self._log, subject, self.fold.sequence, self._take, up_to=end):
            raise unavailable("the log")
        self._folding.check_begun(self.fold)

    async def _take(self, page: Sequence[RoomEntry]) -> None:
        for stored in page:
            if isinstance(stored, StoredEvents):
                self.known = self.known and stored.is_known
                await self._folding.apply(self.fold, stored.entry())


class Trimmer:
    """Trims in one task of this process. `clock` gives Unix seconds."""

    def __init__(self, log: RoomLog, ports: Ports, limits: Limits, clock: Callable[[], float]) -> None:
        self._rooms = log
        self._log = ports.room_log
        self._timers = ports.timers
        self._folding = Folding(ports.room_log)
        self._limits = limits
        self._clock = clock
        self._new_bytes: LRUCache[RoomId, int] = LRUCache(ROOMS)  # appended here since the last look
        self._waiting: dict[RoomId, None] = {}
        self._more = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._told: LRUCache[RoomId, bool] = LRUCache(ROOMS)

    async def start(self) -> None:
        """Begin to trim what `appended` finds."""
        self._running = asyncio.create_task(self._run(), name="trim")

    async def stop(self) -> None:
        """Stop. A step that is cut off is done again by whoever looks next."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    def appended(self, room_id: RoomId, events: Sequence[RoomEvent]) -> None:
        """This process has changed a room: have its log looked at when enough came together, and the first time."""
        limits, before = self._limits, self._new_bytes.get(room_id)
        count = self._new_bytes[room_id] = (before or 0) + len(encode(events))
        due = limits.size and count >= limits.size / 2
        if (due or (before is None and limits.seconds)) and len(self._waiting) < ROOMS:
            self._waiting[room_id] = None
            self._more.set()

    async def _run(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                room_id = next(iter(self._waiting))
                del self._waiting[room_id]
                self._new_bytes[room_id] = 0
                try:
                    await self.look(room_id)
                except Refused as refused:  # a later change, or the clock, has it looked at again
                    log.debug("not trimmed this time", room_id=room_id, why=refused.message)
                except Exception:
                    TRIMS.labels("failed").inc()
                    log.exception("a room could not be trimmed", room_id=room_id)

    async def look(self, room_id: RoomId) -> None:
        """Do what is to be done with a room's log now, and arm the timer of what is to be done later.

        Raises Refused, but not for a room that cannot be folded here: looking again would not help.
        """
        try:
            await self._look(room_id)
        except Refused as refused:
            TRIMS.labels("failed").inc()
            if not is_unfoldable(refused):
                raise

    async def _look(self, room_id: RoomId) -> None:
        for _ in range(STEPS):
            extent = await self._extent(room_id)
            if extent.mark is not None and extent.first == extent.mark.position:
                await self._delete_states(room_id, extent.mark)
            step = next_step(extent, self._limits, self._clock(), await self._taken())
            if isinstance(step, Wait):
                if step.until is not None:
                    due = max(step.until, self._clock() + LEAST_SECONDS)
                    await self._timers.arm(LogKept(due=due, room_id=room_id))
                return
            if isinstance(step, Delete):
                await self._delete(room_id, extent, step.mark)
            elif not await self._write(room_id, extent, step):
                return

    async def _extent(self, room_id: RoomId) -> Extent:
        """Read what the log consists of. Only marks and the first change behind each are decoded."""
        extent = Extent()

        async def take(page: Sequence[RoomEntry]) -> None:
            for stored in page:
                if not isinstance(stored, StoredEvents):
                    continue
                if extent.since is not None and not any(mark in stored.body for mark in MARKS):
                    extent.take_change(stored.position, len(stored.body))
                else:
                    extent.take(stored.entry(), len(stored.body))

        await read_on(self._log, subjects.event_log(room_id), NOWHERE, take)
        return extent

    async def _taken(self) -> Position:
        """Up to where all consumers have everything that we wait for. One that does not exist waits for nothing."""
        positions = [await self._log.taken(name) for name in self._limits.consumers]
        return min((position for position in positions if position is not None), default=EVERYWHERE)

    async def _delete(self, room_id: RoomId, extent: Extent, mark: Mark) -> None:
        """Delete what is before the mark, if the room can be folded from the mark alone. Raises Refused otherwise."""
        subject = subjects.event_log(room_id)
        found = await self._log.read(subject, after=Position(mark.position - 1), limit=1)
        if not found or not isinstance(found[0], StoredEvents) or found[0].position != mark.position:
            raise unavailable("the log")
        await self._folding.apply(Roster(room_id, self._log.incarnation), found[0].entry())
        await self._log.trim(subject, before=mark.position)
        TRIMS.labels("deleted").inc()
        log.debug("a room's log was trimmed", room_id=room_id, first=mark.position, before=extent.first)

    async def _delete_states(self, room_id: RoomId, mark: Mark) -> None:
        """Delete the states of snapshots that are gone, and of those that never came to be."""
        await self._log.trim(subjects.state_log(room_id), before=mark.state or mark.position)

    async def _write(self, room_id: RoomId, extent: Extent, step: Write) -> bool:
        """Append a snapshot. False when this is not the time for it, or when others were faster. Raises Refused."""
        whole = _Whole(room_id, self._log, self._folding)
        await whole.read()  # most of it outside the room's turn, which others wait for
        async with self._rooms.turn(room_id):
            for _ in range(ATTEMPTS):
                await whole.read()
                if not whole.known:
                    self._tell_unknown(room_id)
                    return False
                with contextlib.suppress(Conflict):
                    return await self._append(whole.fold, extent, step)
        TRIMS.labels("lost").inc()
        return False

    async def _append(self, fold: Roster, extent: Extent, step: Write) -> bool:
        """State first, then the snapshot that names it. Raises Conflict when something else was appended."""
        state = state_of(fold, SNAPSHOT_FOLD)
        body = state.model_dump_json(by_alias=True).encode()
        if len(body) > STATE_BYTES:  # it says less about why somebody has left, and nothing else
            body = state.model_copy(update={"departed": {}}).model_dump_json(by_alias=True).encode()
        subject = subjects.state_log(fold.room_id)
        checkpoint = Checkpoint(
            fold_version=SNAPSHOT_FOLD,
            as_of=fold.revision,
            after=fold.sequence,
            state=NOWHERE,
            room=state.room,
            participants=[seat.participant for seat in state.seats],
            closed=fold.closed,
        )
        event = RoomEvent.snapshot(moment.rfc3339(self._clock()), checkpoint)
        if not step.aged and len(body) + len(encode([event])) > extent.size:
            TRIMS.labels("too_large").inc()
            return False
        at = await self._log.append(subject, StateDraft(body), after=await self._log.position(subject))
        event = RoomEvent.snapshot(event.time, checkpoint.model_copy(update={"state": at}))
        batch = Batch([event], Stamp("", guest_network=fold.guest_network))
        position = await self._log.append(subjects.event_log(fold.room_id), batch, after=fold.sequence)
        await self._rooms.passed(fold, position, batch)
        TRIMS.labels("snapshot").inc()
        return True

    def _tell_unknown(self, room_id: RoomId) -> None:
        TRIMS.labels("not_known").inc()
        if room_id not in self._told:
            self._told[room_id] = True
            log.warning("a room's log is not trimmed: this version does not know all that is in it", room_id=room_id)
