"""Rebuilds clocks from the logs: rooms without the timers they need get them, and gateways that nobody misses a lease.

A mark in the stream of timers says up to which position of the log every room's clocks are in there. It is lost with the
timers, so its absence is what tells. One replica folds the rooms then; it claims the mark (claim.py), and the others
watch it. A replica that starts arms only the clocks of the rooms that changed since the mark. See docs/adr/0021.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence

import structlog
from prometheus_client import Counter

from services.rooms.claim import CLAIM_SECONDS, Claim
from services.rooms.deadlines import ClocksLost, clocks_of_silent
from services.rooms.executor import RoomExecutor
from services.rooms.log import RoomLog
from shared.broker import subjects
from shared.broker.log import Conflict
from shared.broker.marks import Mark, Marked
from shared.broker.ports import Ports
from shared.broker.room_log import RoomEntry, StoredEvents
from shared.broker.tail import read_on
from shared.broker.watch import Change
from shared.rooms.timers import LeaseEnds
from shared.rooms.unfoldable import is_unfoldable
from shared.values.errors import Refused
from shared.values.ids import GatewayId, RoomId, mint
from shared.values.model import Tolerant
from shared.values.position import NOWHERE, Position

log = structlog.get_logger()

REBUILT = Counter("parley_clocks_rebuilt_total", "Rooms whose clocks were armed anew from their logs.")

LOOK_SECONDS = 2.0  # between looks at the marks
# Before rooms believes that a gateway has no lease: the gateways that live arm theirs anew, and the other replicas forget
# which notes they had stored.
SETTLE_SECONDS = 3.0
MISSED_SECONDS = 5.0  # for a gateway of the log that has no lease: until then it may have armed one
ADVANCE_SECONDS = 10.0  # between moves of the mark; a replica that starts reads so much of the log again
BATCH = 500
AT_ONCE = 32


class Complete(Tolerant):
    """What the mark says: `log` is the incarnation of the log, and `by` claims the rebuilding as long as it goes on.

    `back` is where the log had come to when it was found to be another one; it counts while `by` does.
    """

    id: str
    log: str
    up_to: Position
    by: str | None = None
    back: Position = NOWHERE


class Clocks:
    """One replica's part in it. `clock` gives Unix seconds, `chance(n)` n random bytes."""

    def __init__(
        self,
        ports: Ports,
        executor: RoomExecutor,
        room_log: RoomLog,
        clock: Callable[[], float],
        chance: Callable[[int], bytes],
    ) -> None:
        self._ports = ports
        self._executor = executor
        self._room_log = room_log
        self._clock = clock
        self._chance = chance
        self.name = mint("r_", chance(9))  # in the mark that this replica claims
        self._known = ""  # the id of the mark under which this replica's notes were stored
        self._other = False  # the stream of timers was found to be another one
        self._back: Position | None = None  # where the log had come to when it was found to be another one
        self._claimed: tuple[Position, float] = (NOWHERE, 0.0)  # another's claim, and since when it has not moved
        self._seen: tuple[Position, float] | None = None  # an end of the log, and when it was the end
        self._running: asyncio.Task[None] | None = None
        ports.watch.tell(self._hear)

    def _hear(self, stream: str, change: Change) -> None:
        if change is Change.MISSING:
            return
        if stream == subjects.TIMER_STREAM:
            self._other = True
        elif stream == subjects.LOG_STREAM and (state := self._ports.watch.state(stream)) is not None:
            self._back = state.last

    async def start(self) -> None:
        """Look from now on, in the background."""
        self._running = asyncio.create_task(self._run(), name="clocks")

    async def stop(self) -> None:
        """Look no more. What was not finished another replica finishes."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running

    async def _run(self) -> None:
        while True:
            try:
                await self._look_at_timers()
                await self._look_at_leases()
            except (Refused, Conflict):
                pass  # the broker cannot answer, or another replica was first: look again
            except Exception:
                log.exception("clocks could not be looked after")
            await asyncio.sleep(LOOK_SECONDS)

    # -- timers --------------------------------------------------------------------------------------------------------

    async def _look_at_timers(self) -> None:
        mark = await self._ports.marks.read(Marked.TIMERS)
        told = _told(mark)
        position = mark.position if mark else NOWHERE
        if told is not None and told.by not in (None, self.name) and not self._claim_is_old(position):
            # If who claims it dies, it is rebuilt, and if it is lost again as well.
            self._other, self._back = False, None
            self._forget(told.id)
            return
        if why := self._incomplete(told):
            await self._rebuild(why, position, told)
        elif told is not None and told.id != self._known:  # this replica has just begun
            if await self._log_went_back(told):
                return
            await self._catch_up(told)
            self._known = told.id
        elif told is not None:
            await self._advance(told, position)

    def _claim_is_old(self, position: Position) -> bool:
        now = asyncio.get_running_loop().time()
        if self._claimed[0] != position:
            self._claimed = (position, now)
        return now - self._claimed[1] > CLAIM_SECONDS

    def _incomplete(self, told: Complete | None) -> str | None:
        """Why the timers need not have the clocks of every room; None if they have."""
        if told is None:
            return "the timers were lost, or are of a release before"
        if self._other:
            return "the stream of timers is another one"
        if self._back is not None:
            return "the log is another one"
        if told.by is not None:
            return "it was begun, and not finished"
        return None if told.log == self._ports.room_log.incarnation else "the log is another one"

    def _forget(self, mark_id: str) -> None:
        """What this replica remembers as stored among the timers is not stored any more."""
        if self._known != mark_id:
            self._known = mark_id
            self._room_log.forget_notes()

    async def _went_back(self, told: Complete | None) -> Position:
        """Where the log had come to when it became another one; NOWHERE if it did not, or was empty."""
        if self._back is not None:
            return self._back
        if told is None or told.log == self._ports.room_log.incarnation:
            return told.back if told is not None and told.by is not None else NOWHERE
        return await self._ports.room_log.position(subjects.ALL_EVENTS)

    async def _rebuild(self, why: str, position: Position, before: Complete | None) -> None:
        """Claim the mark, and arm the clocks of all rooms. `before` is what the mark said."""
        marks, back = self._ports.marks, await self._went_back(before)
        told = self._complete(NOWHERE, by=self.name).model_copy(update={"back": back})
        claim = Claim(marks, Marked.TIMERS, told.model_dump_json().encode())
        await claim.take(after=position)
        self._other, self._back, self._seen = False, None, None
        self._forget(told.id)
        end = await self._ports.room_log.position(subjects.ALL_EVENTS)
        rooms, gateways = await claim.hold(self._arm_all(why, back, begun=bool(end)))
        told = told.model_copy(update={"up_to": end, "by": None, "back": NOWHERE})
        await marks.write(Marked.TIMERS, told.model_dump_json().encode(), after=claim.position)
        if end:
            log.warning("the clocks of all rooms are rebuilt", rooms=rooms, gateways=gateways)

    async def _arm_all(self, why: str, back: Position, *, begun: bool) -> tuple[int, int]:
        """Arm the clocks of all rooms; `begun` is whether there is any. Returns how many they are, and their gateways."""
        if begun:
            log.warning("the clocks of all rooms are rebuilt from their logs", why=why)
            await asyncio.sleep(SETTLE_SECONDS)
            self._other = False  # heard of late: the claim would be lost with another stream
            if self._back is not None:
                back, self._back = self._back, None
        entries = await self._ports.room_log.newest_of_each(subjects.ALL_EVENTS)
        gateways: set[GatewayId] = set()
        for start in range(0, len(entries), BATCH):
            gateways |= await self._arm(entries[start : start + BATCH], back)
        await self._miss(gateways)
        return len(entries), len(gateways)

    def _complete(self, up_to: Position, by: str | None) -> Complete:
        return Complete(id=mint("", self._chance(9)), log=self._ports.room_log.incarnation, up_to=up_to, by=by)

    async def _log_went_back(self, told: Complete) -> bool:
        """Whether the log ends before what the mark says, so before what it had: nobody was there when it was cut off."""
        end = await self._ports.room_log.position(subjects.ALL_EVENTS)
        if end >= told.up_to:
            return False
        log.error("the log of rooms ends before where it had come to: entries are lost", ends_at=end, had=told.up_to)
        await self._ports.watch.went_back(subjects.LOG_STREAM)
        return True

    async def _catch_up(self, told: Complete) -> None:
        """Arm the clocks of the rooms that changed since the mark: the timers may be older than the log."""
        changed: dict[RoomId, RoomEntry] = {}

        async def take(page: Sequence[RoomEntry]) -> None:
            changed.update((entry.room_id, entry) for entry in page)

        await read_on(self._ports.room_log, subjects.ALL_EVENTS, told.up_to, take)
        await self._miss(await self._arm(list(changed.values())))

    async def _advance(self, told: Complete, position: Position) -> None:
        """Move the mark to where the log ended some time ago, since when the timers have been the same."""
        now = asyncio.get_running_loop().time()
        if self._seen is not None and now - self._seen[1] < ADVANCE_SECONDS:
            return
        ended, self._seen = self._seen, (await self._ports.room_log.position(subjects.ALL_EVENTS), now)
        if ended is not None and ended[0] > told.up_to:
            moved = told.model_copy(update={"up_to": ended[0]})
            await self._ports.marks.write(Marked.TIMERS, moved.model_dump_json().encode(), after=position)

    # -- rooms ---------------------------------------------------------------------------------------------------------

    async def _arm(self, entries: Iterable[RoomEntry], back: Position = NOWHERE) -> set[GatewayId]:
        """Arm the clocks of rooms, of which these are the newest entries. Returns the gateways they name.

        A room that cannot be folded keeps no other room from it: it is logged where it is folded, by its id.
        """
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(entry: RoomEntry) -> Iterable[GatewayId]:
            async with turn:
                return await self._arm_one(entry, back)

        found = await asyncio.gather(*(one(entry) for entry in entries), return_exceptions=True)
        gateways: set[GatewayId] = set()
        for outcome in found:
            if isinstance(outcome, BaseException):
                if not is_unfoldable(outcome):
                    raise outcome
            else:
                gateways |= set(outcome)
        return gateways

    async def _arm_one(self, entry: RoomEntry, back: Position) -> Iterable[GatewayId]:
        REBUILT.inc()
        events = entry.entry().events if isinstance(entry, StoredEvents) else []
        silent = clocks_of_silent(events[-1], self._executor.rules) if events else None
        if silent is not None:  # a closed or empty room: a million of them are not folded
            for timer in silent:
                await self._ports.timers.arm(timer)
            return ()
        roster = await self._executor.execute(ClocksLost(entry.room_id, back))
        gateways = {seat.gateway for seat in roster.seats.values() if seat.gateway is not None}
        for gateway in gateways:
            await self._ports.notes.note_room(gateway, entry.room_id)
        return gateways

    # -- gateways ------------------------------------------------------------------------------------------------------

    async def _look_at_leases(self) -> None:
        if await self._ports.marks.read(Marked.LEASES) is not None:
            return
        gateways = await self._ports.notes.gateways()
        if gateways:
            log.warning("the leases of gateways were lost; those that live arm theirs anew", gateways=len(gateways))
            await asyncio.sleep(SETTLE_SECONDS)
        await self._miss(gateways)
        await self._ports.marks.write(Marked.LEASES, b"", after=NOWHERE)

    async def _miss(self, gateways: Iterable[GatewayId]) -> None:
        """Arm a lease in the place of each gateway that has none. When it ends, rooms looks whether the gateway lives."""
        named = set(gateways)
        if not named:
            return
        alive = await self._ports.leases.alive()
        for gateway in sorted(named - alive):
            with contextlib.suppress(Conflict):  # a gateway of 0.4.0, whose lease is among the timers
                lease = LeaseEnds(due=self._clock() + MISSED_SECONDS, gateway=gateway)
                await self._ports.timers.arm(lease, after=NOWHERE)


def _told(mark: Mark | None) -> Complete | None:
    if mark is None:
        return None
    try:
        return Complete.model_validate_json(mark.body)
    except ValueError:
        return None
