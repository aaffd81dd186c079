"""A replica of rooms that trims, at a time that the test sets."""

from typing import Any

from services.rooms.decision import RoomInput, Rules
from services.rooms.executor import RoomExecutor
from services.rooms.log import RoomLog
from services.rooms.trimmer import Trimmer
from services.rooms.trimming import Limits
from shared.broker.ports import Ports
from shared.broker.room_log import RoomEntry
from shared.broker.subjects import event_log, state_log
from shared.rooms.roster import Roster
from shared.values.ids import RoomId
from tests.support.orders import NOW, ROOM

SMALL = Limits(size=0, seconds=1, kept_seconds=60, closed_seconds=30)


class TrimmingReplica:
    """One replica of rooms. Its trimmer is not started: the test says when it looks."""

    def __init__(self, ports: Ports, limits: Limits = SMALL, rules: Rules | None = None) -> None:
        self.now = NOW
        self.ports = ports
        self.log = RoomLog(ports, capacity=10, snapshot_every=1000, waiting=100)
        self.trimmer = Trimmer(self.log, ports, limits, lambda: self.now)
        self.executor = RoomExecutor(self.log, rules or Rules(), lambda: self.now, trimmer=self.trimmer)

    async def do(self, *commands: RoomInput) -> Roster:
        """Do these; the room after them."""
        for command in commands:
            roster = await self.executor.execute(command)
        return roster

    async def look(self, *, after: float = 0.0, room_id: RoomId = ROOM) -> None:
        """Look at a room's log so many seconds later."""
        self.now += after
        await self.trimmer.look(room_id)

    async def trim(self, room_id: RoomId = ROOM) -> None:
        """Both steps of a trim."""
        await self.look(after=SMALL.seconds, room_id=room_id)
        await self.look(after=SMALL.kept_seconds + 1, room_id=room_id)

    async def entries(self, **which: Any) -> list[RoomEntry]:
        """What is in a room's log of events."""
        return list(await self.ports.room_log.read(event_log(which.get("room_id", ROOM)), limit=1000))

    async def states(self, room_id: RoomId = ROOM) -> list[int]:
        """Where the private states of a room are."""
        return [one.position for one in await self.ports.room_log.read(state_log(room_id), limit=1000)]
