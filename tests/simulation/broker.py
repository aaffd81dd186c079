"""The in-memory broker of a run. It traces every entry and keeps its time, so that reads can lag."""

from shared.broker.log import Draft, Item, LogFormat
from shared.broker.memory.broker import MemoryBroker
from shared.broker.memory.stream import MemoryStream, Message
from shared.broker.room_log import RoomDraft, RoomEntry
from shared.values.position import Position
from tests.simulation.network import Network


class TracedStream(MemoryStream[Draft, Item]):
    """A log whose entries are written into the run's trace."""

    def __init__(self, log_format: LogFormat[Draft, Item], incarnation: str, network: Network) -> None:
        super().__init__(log_format, incarnation)
        self._network = network
        self._stored: list[float] = [0.0]  # by position
        self.written: list[Message[Item]] = []  # all that was ever stored, for the checks
        self.trims = 0

    def store(self, subject: str, headers: dict[str, str], body: bytes) -> Position:
        """See MemoryStream."""
        position = super().store(subject, headers, body)
        self._stored.append(self._network.loop.now)
        self.written.append(self.messages[-1])
        self._network.note("log", f"{position} {subject} {headers} {body!r}")
        return position

    def trim(self, subject: str, before: Position | None = None) -> None:
        """See MemoryStream."""
        count = len(self.messages)
        super().trim(subject, before)
        if len(self.messages) < count:
            self.trims += 1
            self._network.note("log", f"{subject} is trimmed up to {before}")

    @property
    def everything(self) -> list[Item]:
        """Every entry that there ever was."""
        return [message.entry for message in self.written]

    def shown(self, lag: float) -> Position:
        """The last position of the log as it was `lag` seconds ago."""
        shown = self.position
        while lag and shown and self._stored[shown] > self._network.loop.now - lag:
            shown = Position(shown - 1)
        return shown


class Broker(MemoryBroker):
    """The broker of all processes. It has no faults itself; the processes' connections add them."""

    def __init__(self, network: Network) -> None:
        super().__init__("simulated", network.loop.wall)
        self._network = network

    @property
    def traced(self) -> TracedStream[RoomDraft, RoomEntry]:
        """The log of rooms."""
        assert isinstance(self.rooms, TracedStream)
        return self.rooms

    def _new_stream(self, log_format: LogFormat[Draft, Item]) -> TracedStream[Draft, Item]:
        return TracedStream(log_format, self.incarnation, self._network)
