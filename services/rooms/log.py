"""The logs of rooms: loads a fold (snapshot and tail), catches up, appends. Keeps a bounded cache of folds."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

import structlog
from cachetools import LRUCache
from prometheus_client import Counter, Gauge

from services.rooms.decision import Decision
from services.rooms.folding import Folding
from shared.broker import subjects
from shared.broker.log import Conflict
from shared.broker.ports import Ports
from shared.broker.room_log import RoomEntry, StoredEvents
from shared.broker.tail import read_on
from shared.rooms.events import Batch
from shared.rooms.roster import Entry, Roster, Snapshot
from shared.values.errors import Refused, unavailable
from shared.values.ids import GatewayId, RoomId
from shared.values.position import Position

log = structlog.get_logger()

CONFLICTS = Counter("parley_append_conflicts_total", "Appends that lost to another replica and were decided again.")
APPENDS = Counter("parley_appends_total", "Entries appended to rooms' logs.")
CACHED = Gauge("parley_cached_rooms", "Rooms kept folded in memory.")

ATTEMPTS = 2  # of one append that gets no answer
GIVE_WAY = 4  # pause as a multiple of an append's time: another replica needs it to read and to append
GIVE_WAY_SECONDS = (0.003, 0.05)  # the shortest and the longest pause
NOTED_ROOMS = 100_000  # notes remembered as stored; a forgotten one is stored again


class _Folds(LRUCache[RoomId, Roster]):
    """The most recently used folds. Calls `forgotten` with the room whose fold was evicted."""

    def __init__(self, capacity: int, forgotten: Callable[[RoomId], object]) -> None:
        super().__init__(capacity)
        self._forgotten = forgotten

    def popitem(self) -> tuple[RoomId, Roster]:
        """Evict the least recently used fold. The cache calls this when it is full."""
        room_id, fold = super().popitem()
        self._forgotten(room_id)
        return room_id, fold


class RoomLog:
    """Reads and appends. A fold in the cache may be behind the log; only an accepted append proves that it is not."""

    def __init__(self, ports: Ports, *, capacity: int, snapshot_every: int, waiting: int) -> None:
        self._log = ports.room_log
        self._snapshots = ports.snapshots
        self._timers = ports.timers
        self._notes = ports.notes
        self._folding = Folding(ports.room_log)
        self._snapshot_every = snapshot_every
        self._waiting = waiting
        self._folds = _Folds(capacity, self.forget)
        self._turns: dict[RoomId, tuple[asyncio.Lock, int]] = {}
        self._give_way: dict[RoomId, float] = {}  # the pause in seconds, if the command before in the queue appended
        self._since_snapshot: dict[RoomId, int] = {}
        self._generation = self._log.generation
        self._noted: LRUCache[tuple[GatewayId, RoomId], bool] = LRUCache(NOTED_ROOMS)  # with the broker

    @contextlib.asynccontextmanager
    async def turn(self, room_id: RoomId) -> AsyncIterator[None]:
        """Queue this process's commands of one room, so that conflicts only come from other replicas.

        Between two appends of such a queue, other replicas get a turn (`_let_others`). Raises Refused with `unavailable`
        when too many commands wait.
        """
        lock, users = self._turns.get(room_id) or (asyncio.Lock(), 0)
        if users >= self._waiting:
            raise unavailable("the room")
        self._turns[room_id] = (lock, users + 1)
        try:
            async with lock:
                if room_id in self._give_way:
                    await self._let_others(room_id)
                yield
        finally:
            lock, users = self._turns.pop(room_id)
            if users > 1:
                self._turns[room_id] = (lock, users - 1)
            else:
                self._give_way.pop(room_id, None)

    async def _let_others(self, room_id: RoomId) -> None:
        """Pause before the next append, so that another replica can append; then read what it appended.

        A replica that lost to our append must read before it can append again. Without the pause it would lose to each
        of our appends. Without the read, we would lose next.
        """
        await asyncio.sleep(self._give_way.pop(room_id))
        fold = self._folds.get(room_id)
        if fold is not None:
            with contextlib.suppress(Refused):
                await self._catch_up(fold)

    async def load(self, room_id: RoomId) -> Roster:
        """The fold of a room's log: from the cache, or from its snapshot and the entries after it. Empty without a log.

        Raises Refused.
        """
        if self._generation != self._log.generation:  # the log is another one: nothing that was read holds any more
            self._generation = self._log.generation
            self._folds.clear()
            self._noted.clear()
        fold = self._folds.get(room_id)
        if fold is None or fold.incarnation != self._log.incarnation:
            snapshot = await self._snapshot(room_id)
            fold = Roster.of(snapshot) if snapshot else Roster(room_id, self._log.incarnation)
            self._since_snapshot[room_id] = 0
            await self._catch_up(fold)
            self._folding.check_begun(fold)
            if fold.room is None:  # guessed ids must not evict real rooms from the cache
                self.forget(room_id)
                return fold
            self._keep(fold)
        return fold

    async def _snapshot(self, room_id: RoomId) -> Snapshot | None:
        """The room's snapshot, if this version of the fold made it and the log goes as far. Raises Refused.

        Another version may have skipped unknown events. A snapshot above the log's end is none of this log: no entry
        would ever follow it, and the room would stay unavailable.
        """
        try:
            snapshot = await self._snapshots.load(room_id)
        except ValueError:  # a newer version's snapshot, which cannot be parsed
            return None
        if snapshot is None or snapshot.fold_version != Roster.fold_version:
            return None
        end = await self._log.position(subjects.event_log(room_id))  # asked of the leader, since a read may lag
        if snapshot.sequence <= end:
            return snapshot
        log.error(
            "a room's log ends before its snapshot: entries are lost",
            room_id=room_id,
            snapshot_at=snapshot.sequence,
            ends_at=end,
        )
        return None

    def _keep(self, fold: Roster) -> None:
        self._folds[fold.room_id] = fold
        CACHED.set(len(self._folds))

    def forget(self, room_id: RoomId) -> None:
        """Drop the cached fold. The next `load` reads it from the log again."""
        self._folds.pop(room_id, None)
        self._since_snapshot.pop(room_id, None)

    def forget_notes(self) -> None:
        """The broker lost the notes: each is stored again when it is needed."""
        self._noted.clear()

    async def refresh(self, fold: Roster) -> bool:
        """Apply everything appended before this call. Returns whether there was anything. Raises Refused.

        Direct reads may lag acknowledged appends, so this asks the log's leader how far to read.
        """
        position = await self._log.position(subjects.event_log(fold.room_id))
        if position < fold.sequence:
            self.forget(fold.room_id)
            log.error(
                "a room's log ends before what was read of it: entries are lost",
                room_id=fold.room_id,
                read_up_to=fold.sequence,
                ends_at=position,
            )
            raise unavailable("the log")
        if position == fold.sequence:
            return False
        await self._catch_up(fold, position)
        return True

    async def _catch_up(self, fold: Roster, up_to: Position | None = None) -> None:
        """Apply the entries after the fold: those that a read shows, or at least up to `up_to`.

        Raises Refused when `up_to` cannot be read, and for a room that this version cannot fold.
        """
        newest: Entry | None = None

        async def take(page: Sequence[RoomEntry]) -> None:
            nonlocal newest
            for entry in page:
                if isinstance(entry, StoredEvents):
                    newest = entry.entry()
                    await self._apply(fold, newest)

        if not await read_on(self._log, subjects.event_log(fold.room_id), fold.sequence, take, up_to=up_to):
            self.forget(fold.room_id)
            raise unavailable("the log")
        if newest is not None:
            self._folding.check_end(fold, newest)

    async def append(self, fold: Roster, decision: Decision) -> bool:
        """Arm the timers of a decision, then append its events.

        False when another replica appended first: the fold has caught up, decide again. Raises Refused.
        """
        await self._prepare(fold.room_id, decision)
        if not decision.events:
            return True
        time = asyncio.get_running_loop().time
        stamp = decision.stamp
        if fold.room is not None and fold.guest_network is not None:
            stamp = replace(stamp, guest_network=fold.guest_network)
        for attempt in range(ATTEMPTS):
            started = time()
            try:
                batch = Batch(decision.events, stamp)
                position = await self._log.append(subjects.event_log(fold.room_id), batch, after=fold.sequence)
            except Conflict:
                if not attempt:
                    CONFLICTS.inc()
                await self._catch_up(fold, Position(fold.sequence + 1))  # there is an entry that the fold lacks
                return stamp.operation in fold.operations and all(name in fold.also for name in stamp.also)
            except Refused:
                # The append may have happened, or may still happen on a slow server. So append again after the same
                # position. Either this takes the place, and the first append can never happen. Or it conflicts with
                # the first append: then that is in the log.
                self.forget(fold.room_id)
                continue
            APPENDS.inc()
            least, most = GIVE_WAY_SECONDS
            self._give_way[fold.room_id] = min(max(GIVE_WAY * (time() - started), least), most)
            await self._apply(fold, Entry(position, decision.events, stamp))
            if fold.room_id not in self._folds:  # the room was just created
                self._keep(fold)
            return True
        raise unavailable("the log")

    async def _prepare(self, room_id: RoomId, decision: Decision) -> None:
        """Before the entry is appended, arm its timers, and note that its gateway has a participant in the room."""
        for timer in decision.timers:
            await self._timers.arm(timer)
        gateway = decision.stamp.gateway
        if gateway is None or self._noted.get((gateway, room_id)):
            return
        await self._notes.note_room(gateway, room_id)
        self._noted[(gateway, room_id)] = True

    async def passed(self, fold: Roster, position: Position, batch: Batch) -> None:
        """An entry was appended to this fold of the room, which is the newest: keep it."""
        self._keep(fold)
        await self._apply(fold, Entry(position, batch.events, batch.stamp))

    async def _apply(self, fold: Roster, entry: Entry) -> None:
        await self._folding.apply(fold, entry)
        count = self._since_snapshot.get(fold.room_id, 0) + 1
        self._since_snapshot[fold.room_id] = count
        if count >= self._snapshot_every:
            self._since_snapshot[fold.room_id] = 0
            try:
                await self._snapshots.save(fold.snapshot(whole=True))
            except Refused:
                log.debug("no snapshot this time", room_id=fold.room_id)
