"""Entries and signals for a log, and a follower that remembers what it received."""

from collections.abc import Callable
from typing import Any

from services.rooms.decision import Context, Decision, Rules
from services.rooms.rules import decide
from shared.broker.ports import Ports
from shared.broker.room_log import RoomEntry
from shared.broker.signals import Signal
from shared.broker.subjects import event_log
from shared.rooms.events import Batch
from shared.rooms.roster import Roster
from shared.values.ids import ParticipantId, RoomId
from shared.values.position import Position
from tests.support.orders import NOW, create


def created(room_id: str, **fields: Any) -> Decision:
    """The first entry of a room's log."""
    return decide(Roster(RoomId(room_id), ""), create(room_id, **fields), Context(NOW, Rules()))


async def begin(ports: Ports, room_id: str, *, after: int = 0, **fields: Any) -> Position:
    """Append a first entry, and return its position. Only `after` keeps it from being appended twice."""
    decision = created(room_id, **fields)
    batch = Batch(decision.events, decision.stamp)
    return await ports.room_log.append(event_log(RoomId(room_id)), batch, after=Position(after))


def signal(room_id: str, to: str = "p_bob", body: bytes = b"sealed", **fields: Any) -> Signal:
    """A signal on its way."""
    given = {"sender": ParticipantId("p_ann"), "epoch": 1, "seconds": 60, **fields}
    return Signal(room_id=RoomId(room_id), to=ParticipantId(to), body=body, **given)


class Ear:
    """A follower that remembers."""

    def __init__(self) -> None:
        self.heard: list[RoomEntry] = []
        self.missed = 0

    def receive(self, entry: RoomEntry) -> None:
        """Take an entry."""
        self.heard.append(entry)

    def miss(self) -> None:
        """Count an `on_gap`: entries may have been lost."""
        self.missed += 1

    @property
    def positions(self) -> list[int]:
        """The positions of the received entries."""
        return [entry.position for entry in self.heard]

    def hears(self, position: int) -> Callable[[], bool]:
        """A condition: whether the entry at this position was received."""
        return lambda: position in self.positions
