"""What must reach the log although nobody waits for it: connections that are gone, requests whose answer was lost."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from services.gateway import metrics
from shared.broker.requests import Requests
from shared.broker.subjects import DROP_PARTICIPANT, REMOVE_PARTICIPANT
from shared.rooms.commands import DropParticipant, RemoveParticipant
from shared.values import pauses
from shared.values.errors import Code, Refused
from shared.values.ids import RoomId, SessionKey

log = structlog.get_logger()

AT_ONCE = 64  # being told at the same time; ten thousand dropped clients must not be ten thousand requests
LATE_SECONDS = 15.0  # so long after it was given up a request may still reach the log


class PendingDeparture:
    """One session's going from one room: the first of `commands` that is done is enough.

    `late`: what it undoes has not happened as far as anybody knows, and may yet; it is over when it has not happened for
    long while the broker answered.
    """

    def __init__(self, commands: Sequence[RemoveParticipant | DropParticipant], *, late: bool = False) -> None:
        self.commands = commands
        self._late = late
        self._until = asyncio.get_running_loop().time() + (LATE_SECONDS if late else 0.0)
        self._cancelled = asyncio.Event()
        self._over = asyncio.Event()

    @property
    def over(self) -> bool:
        """Whether nothing of it is left."""
        return self._over.is_set()

    async def cancel(self) -> None:
        """Say it no more. Returns when the attempt under way, if any, has its answer: from then on nothing is left of it."""
        self._cancelled.set()
        await self._over.wait()

    async def say(self, requests: Requests, turn: asyncio.Semaphore) -> None:
        """Until it is heard or cancelled."""
        attempt = 0
        try:
            while not self._cancelled.is_set():
                async with turn:
                    if await self._heard(requests):
                        return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._cancelled.wait(), pauses.before(attempt, pauses.DEPARTURE))
                attempt += 1
        finally:
            self._over.set()

    async def _heard(self, requests: Requests) -> bool:
        now = asyncio.get_running_loop().time()
        for command in self.commands:
            try:
                if isinstance(command, RemoveParticipant):
                    await requests.request(REMOVE_PARTICIPANT, command)
                else:
                    await requests.request(DROP_PARTICIPANT, command)
            except Refused as refused:
                if refused.code is not Code.NOT_IN_ROOM:
                    self._until = now + LATE_SECONDS if self._late else self._until
                    return False
            else:
                return True
        return now >= self._until


@dataclass(frozen=True, slots=True)
class CancelledDepartures:
    """What was to be undone, and is not any more, unless what came in its place fails."""

    departures: "Departures"
    session: SessionKey
    room_id: RoomId
    undoing: list[Sequence[RemoveParticipant | DropParticipant]]

    def reschedule(self) -> None:
        """It is to be undone after all."""
        for commands in self.undoing:
            self.departures.undo(self.session, self.room_id, commands)


class Departures:
    """Says them in the background. Bounded by the participants this gateway had."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._tasks: set[asyncio.Task[None]] = set()
        self._late: dict[tuple[SessionKey, RoomId], list[PendingDeparture]] = {}
        self._turn = asyncio.Semaphore(AT_ONCE)

    def drop(self, command: DropParticipant) -> None:
        """The connection is gone: hold the seat for the grace time."""
        self._say(PendingDeparture([command]))

    def leave(self, command: RemoveParticipant) -> None:
        """The session is over: give the seat up."""
        self._say(PendingDeparture([command]))

    def undo(
        self, session: SessionKey, room_id: RoomId, commands: Sequence[RemoveParticipant | DropParticipant]
    ) -> None:
        """A join or resume has no answer: whatever becomes of it, it is not to last. Until `cancel`."""
        departure = PendingDeparture(commands, late=True)
        self._late.setdefault((session, room_id), []).append(departure)
        self._say(departure)

    async def cancel(self, session: SessionKey, room_id: RoomId) -> CancelledDepartures:
        """The session comes to the room again: what was to be undone must not undo this. If it does not come, `reschedule`."""
        found = self._late.pop((session, room_id), [])
        for late in found:
            await late.cancel()
        return CancelledDepartures(self, session, room_id, [late.commands for late in found])

    def _forget_those_that_are_over(self) -> None:
        left = {key: [late for late in departures if not late.over] for key, departures in self._late.items()}
        self._late = {key: departures for key, departures in left.items() if departures}

    def _say(self, departure: PendingDeparture) -> None:
        task = asyncio.create_task(departure.say(self._requests, self._turn), name="departure")
        self._tasks.add(task)
        metrics.DEPARTURES.set(len(self._tasks))
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        metrics.DEPARTURES.set(len(self._tasks))
        if len(self._late) > len(self._tasks):
            self._forget_those_that_are_over()

    async def finish(self, seconds: float) -> None:
        """Wait for those that are left, so long."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                log.warning("stopping before all participants were dropped; their lease will end", left=len(late))
