"""Tells rooms in the background, until rooms answers, that connections are gone and which unanswered joins to undo."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from services.gateway import metrics
from shared.broker.requests import Requests
from shared.broker.subjects import DROP_PARTICIPANT, REMOVE_PARTICIPANT
from shared.rooms.commands import DropParticipant, RemoveParticipant
from shared.rooms.unfoldable import is_unfoldable
from shared.values import pauses
from shared.values.errors import Code, Refused
from shared.values.ids import RoomId, SessionKey

log = structlog.get_logger()

AT_ONCE = 64  # requests under way at a time: ten thousand dropped clients must not be ten thousand requests at once
LATE_SECONDS = 15.0  # a request whose caller gave up may still reach the log within this time
UNFOLDABLE_SECONDS = 120.0  # in which a replica of rooms that can fold the room may answer instead


class PendingDeparture:
    """One session's departure from one room. The first of `commands` that succeeds ends it.

    `late`: it undoes a request without an answer, which may still happen. If rooms keeps answering `not_in_room`, it ends
    after `LATE_SECONDS`; any other refusal starts that time again. If rooms keeps answering that it cannot fold the room,
    it ends after `UNFOLDABLE_SECONDS`: any client can name such a room, and their number must not grow for ever.
    """

    def __init__(self, commands: Sequence[RemoveParticipant | DropParticipant], *, late: bool = False) -> None:
        self.commands = commands
        self._late = late
        began = asyncio.get_running_loop().time()
        self._until = began + (LATE_SECONDS if late else 0.0)
        self._foldable_by = began + UNFOLDABLE_SECONDS
        self._cancelled = asyncio.Event()
        self._over = asyncio.Event()

    @property
    def over(self) -> bool:
        """Whether no more requests are made for it."""
        return self._over.is_set()

    async def cancel(self) -> None:
        """Stop trying. Returns when the attempt under way, if any, has its answer."""
        self._cancelled.set()
        await self._over.wait()

    async def say(self, requests: Requests, turn: asyncio.Semaphore) -> None:
        """Send the commands, with pauses, until one succeeds or `cancel` is called."""
        attempt = 0
        try:
            while not self._cancelled.is_set():
                async with turn:
                    if await self._heard(requests):
                        return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pauses.before(attempt, pauses.DEPARTURE)):
                        await self._cancelled.wait()
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
                    return self._late and self._hopeless(refused, now)
            else:
                return True
        return now >= self._until

    def _hopeless(self, refused: Refused, now: float) -> bool:
        """Whether an undo that is refused otherwise than by `not_in_room` gives up."""
        self._until = now + LATE_SECONDS
        if not is_unfoldable(refused):
            self._foldable_by = now + UNFOLDABLE_SECONDS
        return now >= self._foldable_by


@dataclass(frozen=True, slots=True)
class CancelledDepartures:
    """Undo requests that were cancelled because the session comes to the room again."""

    departures: "Departures"
    session: SessionKey
    room_id: RoomId
    undoing: list[Sequence[RemoveParticipant | DropParticipant]]

    def reschedule(self) -> None:
        """Undo after all: the new join or resume failed."""
        for commands in self.undoing:
            self.departures.undo(self.session, self.room_id, commands)


class Departures:
    """Runs departures in the background. Their number is bounded by the participants this gateway had."""

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
        """Undo a join or resume that has no answer, also if it happens only now. `cancel` stops this."""
        departure = PendingDeparture(commands, late=True)
        self._late.setdefault((session, room_id), []).append(departure)
        self._say(departure)

    async def cancel(self, session: SessionKey, room_id: RoomId) -> CancelledDepartures:
        """Stop undoing: the session comes to the room again, and that must last. If it fails, call `reschedule`."""
        found = [late for late in self._late.pop((session, room_id), []) if not late.over]
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
        """Wait at most `seconds` for the departures that are left, then cancel them."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                log.warning("stopping before all participants were dropped; their lease will end", left=len(late))
