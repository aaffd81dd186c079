"""A room's log as gateways get it: entries with headers and bodies, made by the real rules."""

from services.rooms.decision import Context, RoomInput, Rules
from services.rooms.rules import decide
from shared.broker.bus import LogEntry, Signal
from shared.broker.subjects import LogSubject
from shared.rooms.events import encode
from shared.rooms.roster import Roster, Snapshot
from shared.values.ids import ParticipantId
from tests.support.orders import NOW, ROOM, create
from tests.support.trimmed import snapshot_of


class Tape:
    """The log of one room in a stream it shares with others: its sequences have gaps."""

    def __init__(self, *commands: RoomInput) -> None:
        self.fold = Roster(ROOM, "tape")
        self.entries: list[LogEntry] = []
        self._sequence = 0
        self._last: dict[LogSubject, int] = {}
        for command in commands or (create(),):
            self.do(command)

    def _add(self, subject: LogSubject, headers: dict[str, str], body: bytes) -> LogEntry:
        self._sequence += 1 + len(self.entries) % 3
        before = {"Nats-Last-Sequence": str(self._last.get(subject, 0))}
        self._last[subject] = self._sequence
        self.entries.append(LogEntry(self._sequence, subject, headers | before, body))
        return self.entries[-1]

    def do(self, command: RoomInput) -> LogEntry:
        """Decide and append. The command must change something."""
        decision = decide(self.fold, command, Context(NOW + len(self.entries), Rules()))
        assert decision.events
        entry = self._add(LogSubject(ROOM, "event"), decision.stamp.headers(), encode(decision.events))
        self.fold.apply(entry.events())
        return entry

    def checkpoint(self, *, trim: bool = True) -> LogEntry:
        """Append a snapshot, and delete the events before it."""
        entry = self._add(LogSubject(ROOM, "event"), {}, encode([snapshot_of(self.fold)]))
        self.fold.apply(entry.events())
        if trim:
            self.entries = [one for one in self.entries if one.subject.kind != "event" or one is entry]
        return entry

    def signal(self, sender: str, to: str, body: bytes = b"", epoch: int = 1) -> LogEntry:
        """Append a signal, whoever is in."""
        receiver = ParticipantId(to)
        signal = Signal(ROOM, receiver, ParticipantId(sender), epoch, body or b"%d" % len(self.entries), 60)
        return self._add(LogSubject(ROOM, "signal", receiver), signal.headers(), signal.body)

    def snapshot(self) -> Snapshot:
        """The room now."""
        return self.fold.snapshot()

    def above(self, sequence: int, *, up_to: int | None = None) -> list[LogEntry]:
        """What a read of the log gives; one that lags ends at `up_to` entries."""
        return [entry for entry in self.entries[:up_to] if entry.sequence > sequence]
