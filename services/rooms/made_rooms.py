"""Who made which rooms: how many are open, and how many were made in the last hour, by each agent and by guests.

The directory fills it from the log, so it is the same in every replica, and after a restart. A room that this replica is
just making counts as well, so that many requests at once do not pass.
"""

import bisect
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from services.rooms.decision import RoomInput
from shared.rooms.commands import AddParticipant, CreateRoom
from shared.rooms.model import Room
from shared.telemetry.metrics import QUOTA_REFUSALS
from shared.values import moment
from shared.values.errors import Code, Refused
from shared.values.ids import RoomId
from shared.values.payer import Payer, payers_of

HOUR = 3600.0
TRY_AGAIN_SECONDS = 60.0  # when rooms have to be closed first

_WHO = {"agent": "your agent has", "network": "the guests of your network have", "guests": "all guests together have"}


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """How many rooms one may have open, and make in an hour: an agent or a network of guests, and all guests together."""

    open: int = 300
    hourly: int = 300
    guests_open: int = 1000
    guests_hourly: int = 1000

    def of(self, payer: Payer) -> tuple[int, int]:
        """Open, and in an hour."""
        return (self.guests_open, self.guests_hourly) if payer.whose == "guests" else (self.open, self.hourly)


class MadeRooms:
    """Counts rooms. `clock` gives Unix seconds."""

    def __init__(self, limits: RoomLimits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._open: dict[RoomId, tuple[Payer, ...]] = {}
        self._made: list[tuple[float, RoomId]] = []  # in the last hour, oldest first
        self._makers: dict[RoomId, tuple[Payer, ...]] = {}  # of these
        self._making: dict[RoomId, tuple[Payer, ...]] = {}
        self._open_by: Counter[Payer] = Counter()
        self._made_by: Counter[Payer] = Counter()

    def clear(self) -> None:
        """It is another log."""
        for known in (self._open, self._made, self._makers, self._making, self._open_by, self._made_by):
            known.clear()

    def seen(self, room: Room, network: str | None, *, is_open: bool) -> None:
        """The log has this room, which is open or closed. `network` is that of a guest who made it."""
        room_id = room.room_id
        payers = payers_of(room.created_by, network)
        self._making.pop(room_id, None)
        if is_open and room_id not in self._open:
            self._open[room_id] = payers
            self._open_by.update(payers)
        elif not is_open and room_id in self._open:
            _less(self._open_by, self._open.pop(room_id))
        self._forget_old()
        created = moment.unix(room.created_at)
        if room_id not in self._makers and created > self._clock() - HOUR:
            bisect.insort(self._made, (created, room_id))
            self._makers[room_id] = payers
            self._made_by.update(payers)

    def reserve(self, command: RoomInput) -> None:
        """This command is about to make its room. Raises Refused with `rate_limited` when its agent has made enough.

        Call `release` when the room was not made. Otherwise the log shows it soon.
        """
        if not isinstance(command, CreateRoom | AddParticipant):
            return
        self._forget_old()
        self._making.pop(command.room_id, None)
        payers = payers_of(command.caller.agent_id, command.caller.guest_network)
        for payer in payers:
            most_open, hourly = self._limits.of(payer)
            making = sum(payer in others for others in self._making.values())
            if self._made_by[payer] + making >= hourly:
                raise _refused("rooms_per_hour", payer, hourly, self._seconds_until_fewer(payer))
            if self._open_by[payer] + making >= most_open:
                raise _refused("open_rooms", payer, most_open, TRY_AGAIN_SECONDS)
        self._making[command.room_id] = payers

    def release(self, command: RoomInput) -> None:
        """The room was not made, or it is not known whether it was."""
        self._making.pop(command.room_id, None)

    def _seconds_until_fewer(self, payer: Payer) -> float:
        """When the oldest room of the last hour is older than that."""
        mine = (created for created, room_id in self._made if payer in self._makers[room_id])
        return next(mine, self._clock()) + HOUR - self._clock()

    def _forget_old(self) -> None:
        until = bisect.bisect(self._made, (self._clock() - HOUR,))
        for _, room_id in self._made[:until]:
            _less(self._made_by, self._makers.pop(room_id))
        del self._made[:until]


def _less(counts: Counter[Payer], payers: tuple[Payer, ...]) -> None:
    for payer in payers:
        counts[payer] -= 1
        if not counts[payer]:
            del counts[payer]


_SENTENCES = {
    "rooms_per_hour": "{who} made {most} rooms in the last hour, which is the limit; try again later",
    "open_rooms": "{who} {most} open rooms, which is the limit; close one first",
}


def _refused(quota: str, payer: Payer, most: int, seconds: float) -> Refused:
    QUOTA_REFUSALS.labels(quota, payer.whose).inc()
    sentence = _SENTENCES[quota].format(who=_WHO[payer.whose], most=most)
    return Refused(Code.RATE_LIMITED, sentence, retry_after_ms=max(1, math.ceil(seconds * 1000)))
