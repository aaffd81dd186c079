"""The logs of rooms as this process knows them: load (snapshot and tail), catch up, append; a bounded cache of folds."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

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

ATTEMPTS = 2  # of one append without an answer; the time for both is less than a gateway waits
GIVE_WAY = 4  # times what an append took: a replica that lost reads on and appends
GIVE_WAY_SECONDS = (0.003, 0.05)  # at least, at most
NOTED_ROOMS = 100_000  # notes remembered; one that was forgotten is made again


class _Folds(LRUCache[RoomId, Roster]):
    """The folds that were used last. `forgotten` is told which one made room for another."""

    def __init__(self, capacity: int, forgotten: Callable[[RoomId], object]) -> None:
        super().__init__(capacity)
        self._forgotten = forgotten

    def popitem(self) -> tuple[RoomId, Roster]:
        """The one not used for longest; the cache calls it when it is full."""
        room_id, fold = super().popitem()
        self._forgotten(room_id)
        return room_id, fold


class RoomLog:
    """Reads and appends. A fold in the cache may be behind; only an accepted append proves that it was not."""

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
        self._give_way: dict[RoomId, float] = {}  # seconds, where the command before in the queue was appended
        self._since_snapshot: dict[RoomId, int] = {}
        self._noted: LRUCache[tuple[GatewayId, RoomId], bool] = LRUCache(NOTED_ROOMS)  # with the broker

    @contextlib.asynccontextmanager
    async def turn(self, room_id: RoomId) -> AsyncIterator[None]:
        """This process's commands of one room queue here, so that conflicts only come from other replicas.

        Between two appends of such a queue others get their turn (`_let_others`).
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
        """Another replica that lost to our append must read before it can append, and would lose to each that we made at
        once. So we pause for as long, and read what it appended, or we would be the next to lose.
        """
        await asyncio.sleep(self._give_way.pop(room_id))
        fold = self._folds.get(room_id)
        if fold is not None:
            with contextlib.suppress(Refused):
                await self._catch_up(fold)

    async def load(self, room_id: RoomId) -> Roster:
        """The fold of a room's log: from the cache, or from its snapshot and what came after. Empty if there is none."""
        fold = self._folds.get(room_id)
        if fold is None or fold.incarnation != self._log.incarnation:
            snapshot = await self._snapshot(room_id)
            fold = Roster.of(snapshot) if snapshot else Roster(room_id, self._log.incarnation)
            self._since_snapshot[room_id] = 0
            await self._catch_up(fold)
            self._folding.check_begun(fold)
            if fold.room is None:  # guessed ids must not push real rooms out of the cache
                self.forget(room_id)
                return fold
            self._keep(fold)
        return fold

    async def _snapshot(self, room_id: RoomId) -> Snapshot | None:
        """The room's snapshot, if this fold made it: another version may have passed over what it did not know."""
        try:
            snapshot = await self._snapshots.load(room_id)
        except ValueError:  # a newer version's, which cannot even be read
            return None
        return snapshot if snapshot is not None and snapshot.fold_version == Roster.fold_version else None

    def _keep(self, fold: Roster) -> None:
        self._folds[fold.room_id] = fold
        CACHED.set(len(self._folds))

    def forget(self, room_id: RoomId) -> None:
        """Do not trust the fold any more: an append's outcome is unknown."""
        self._folds.pop(room_id, None)
        self._since_snapshot.pop(room_id, None)

    async def refresh(self, fold: Roster) -> bool:
        """Make sure that nothing appended before this is missing; whether there was anything.

        Direct reads may lag what was acknowledged, so the log's leader says how far there is to read.
        """
        position = await self._log.position(subjects.event_log(fold.room_id))
        if position <= fold.sequence:
            return False
        await self._catch_up(fold, position)
        return True

    async def _catch_up(self, fold: Roster, up_to: Position | None = None) -> None:
        """Apply what was appended meanwhile: what a read shows, or at least `up_to`. Raises Refused when that is not to
        be had.
        """

        async def take(page: Sequence[RoomEntry]) -> None:
            for entry in page:
                if isinstance(entry, StoredEvents):
                    await self._apply(fold, entry.entry())

        if not await read_on(self._log, subjects.event_log(fold.room_id), fold.sequence, take, up_to=up_to):
            self.forget(fold.room_id)
            raise unavailable("the log")

    async def append(self, fold: Roster, decision: Decision) -> bool:
        """Append a decision. False: another replica was first; the fold has caught up, decide again."""
        await self._prepare(fold.room_id, decision)
        if not decision.events:
            return True
        time = asyncio.get_running_loop().time
        for attempt in range(ATTEMPTS):
            started = time()
            try:
                batch = Batch(decision.events, decision.stamp)
                position = await self._log.append(subjects.event_log(fold.room_id), batch, after=fold.sequence)
            except Conflict:
                if not attempt:
                    CONFLICTS.inc()
                await self._catch_up(fold, Position(fold.sequence + 1))  # there is an entry that we have not seen
                return decision.stamp.operation in fold.operations
            except Refused:
                # It may have happened, or happen yet (a slow server). Asked again in the same place it either takes
                # the first one's, which can then never happen, or loses to it: then it is in the log.
                self.forget(fold.room_id)
                continue
            APPENDS.inc()
            least, most = GIVE_WAY_SECONDS
            self._give_way[fold.room_id] = min(max(GIVE_WAY * (time() - started), least), most)
            await self._apply(fold, Entry(position, decision.events, decision.stamp))
            if fold.room_id not in self._folds:  # it has just been created
                self._keep(fold)
            return True
        raise unavailable("the log")

    async def _prepare(self, room_id: RoomId, decision: Decision) -> None:
        """What must be known to the broker before the entry is: the timers, and where to look for whose gateway is lost."""
        for timer in decision.timers:
            await self._timers.arm(timer)
        gateway = decision.stamp.gateway
        if gateway is None or self._noted.get((gateway, room_id)):
            return
        await self._notes.note_room(gateway, room_id)
        self._noted[(gateway, room_id)] = True

    async def trim(self, room_id: RoomId) -> None:
        """Delete the log of a closed room, but for its end."""
        await self._log.trim(subjects.event_log(room_id))
        self.forget(room_id)

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
