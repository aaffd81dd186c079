"""A room's log as gateways get it: stored events and signals, made by the real rules."""

from services.rooms.decision import Context, RoomInput, Rules
from services.rooms.rules import decide
from shared.broker import headers
from shared.broker.room_log import RoomEntry, StoredEvents, StoredSignal
from shared.rooms.events import encode
from shared.rooms.roster import Roster, Snapshot
from shared.values.ids import ParticipantId
from shared.values.position import NOWHERE, Position
from tests.support.orders import NOW, ROOM, create
from tests.support.trimmed import snapshot_of


class Tape:
    """The log of one room in a stream shared with other rooms, whose entries have the positions in between."""

    def __init__(self, *commands: RoomInput) -> None:
        self.fold = Roster(ROOM, "tape")
        self.entries: list[RoomEntry] = []
        self._position = NOWHERE
        self._last: dict[ParticipantId, Position] = {}
        for command in commands or (create(),):
            self.do(command)

    def _next(self) -> Position:
        self._position = Position(self._position + 1 + len(self.entries) % 3)
        return self._position

    def do(self, command: RoomInput) -> StoredEvents:
        """Decide and append. The command must change something."""
        decision = decide(self.fold, command, Context(NOW + len(self.entries), Rules()))
        assert decision.events
        stored = StoredEvents(self._next(), ROOM, encode(decision.events), headers.of_stamp(decision.stamp))
        self.entries.append(stored)
        self.fold.apply(stored.entry())
        return stored

    def checkpoint(self, *, trim: bool = True) -> StoredEvents:
        """Append a snapshot, and delete the events before it."""
        stored = StoredEvents(self._next(), ROOM, encode([snapshot_of(self.fold)]))
        self.entries.append(stored)
        self.fold.apply(stored.entry())
        if trim:
            self.entries = [one for one in self.entries if not isinstance(one, StoredEvents) or one is stored]
        return stored

    def signal(self, sender: str, to: str, body: bytes = b"", epoch: int = 1) -> StoredSignal:
        """Append a signal. Sender and receiver need not be in the room."""
        receiver, previous = ParticipantId(to), self._last.get(ParticipantId(to), NOWHERE)
        body = body or b"%d" % len(self.entries)
        stored = StoredSignal(self._next(), ROOM, receiver, ParticipantId(sender), epoch, previous, body)
        self._last[receiver] = stored.position
        self.entries.append(stored)
        return stored

    def snapshot(self) -> Snapshot:
        """The room now."""
        return self.fold.snapshot()

    def above(self, position: int, *, up_to: int | None = None) -> list[RoomEntry]:
        """The entries that a read of the log gives. With `up_to`, the read lags and ends there."""
        return [entry for entry in self.entries[:up_to] if entry.position > position]
