"""Executes a command: load the room, decide, append; decide again when another replica appended first."""

from collections.abc import Callable

from prometheus_client import Histogram

from services.rooms.admission import Admission
from services.rooms.decision import Context, Decision, RoomInput, Rules
from services.rooms.log import RoomLog
from services.rooms.made_rooms import MadeRooms, RoomLimits
from services.rooms.rules import decide, rule_of
from services.rooms.trimmer import Trimmer
from shared.rooms.roster import Roster
from shared.values.errors import Refused
from shared.values.ids import RoomId

ATTEMPTS = Histogram(
    "parley_append_attempts",
    "Times a command was decided and appended until its entry was the next one, by command.",
    ["command"],
    buckets=(1, 2, 3, 4, 6, 8, 16),
)


class RoomExecutor:
    """The one way in which rooms change. `clock` gives Unix seconds."""

    def __init__(
        self,
        log: RoomLog,
        rules: Rules,
        clock: Callable[[], float],
        admission: Admission | None = None,
        trimmer: Trimmer | None = None,
        made: MadeRooms | None = None,
    ) -> None:
        self._log = log
        self._made = made or MadeRooms(RoomLimits(), clock)
        self._admission = admission or Admission()
        self.rules = rules
        self._clock = clock
        self._trimmer = trimmer

    async def execute(self, command: RoomInput, *, newest: bool = False) -> Roster:
        """Execute a command. The append is the change. Returns the room after it.

        With `newest` the first decision is made on the newest state too: its timers are armed even if it loses, and then
        replace those of the same name. Raises Refused, which is decided on the newest state.
        """
        roster, _ = await self.carry_out(command, newest=newest)
        return roster

    async def carry_out(self, command: RoomInput, *, newest: bool = False) -> tuple[Roster, Decision]:
        """As `execute`, with the decision, which says what was refused of a command with several parts."""
        async with self._log.turn(command.room_id):
            roster = await self._log.load(command.room_id)
            if newest:
                await self._log.refresh(roster)
            attempts = 0
            while True:
                try:
                    decision = decide(roster, command, Context(self._clock(), self.rules))
                except Refused:
                    if await self._log.refresh(roster):
                        continue  # the state was not the newest: decide again
                    raise
                if not decision.events and await self._log.refresh(roster):
                    continue
                self._admission.check(command, decision.events, roster)
                attempts += 1
                if await self._append(command, roster, decision):
                    if decision.events:
                        ATTEMPTS.labels(rule_of(command).label).observe(attempts)
                        if self._trimmer is not None:
                            self._trimmer.appended(command.room_id, decision.events)
                    return roster, decision

    async def _append(self, command: RoomInput, roster: Roster, decision: Decision) -> bool:
        if not decision.creates:
            return await self._log.append(roster, decision)
        self._made.reserve(command)
        appended = False
        try:
            appended = await self._log.append(roster, decision)
        finally:
            if not appended:
                self._made.release(command)
        return appended

    async def read(self, room_id: RoomId) -> Roster:
        """The newest state of a room."""
        async with self._log.turn(room_id):
            roster = await self._log.load(room_id)
            await self._log.refresh(roster)
            return roster
