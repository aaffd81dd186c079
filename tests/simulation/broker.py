"""The in-memory broker of a run. It traces every entry and keeps its time, so that reads can lag."""

from shared.broker.log import Draft, Item, LogFormat
from shared.broker.memory.broker import MemoryBroker
from shared.broker.memory.stream import MemoryStream
from shared.values.position import Position
from tests.simulation.network import Network


class TracedStream(MemoryStream[Draft, Item]):
    """A log whose entries are written into the run's trace."""

    def __init__(self, log_format: LogFormat[Draft, Item], incarnation: str, network: Network) -> None:
        super().__init__(log_format, incarnation)
        self._network = network
        self._stored: list[float] = [0.0]  # by position

    def store(self, subject: str, headers: dict[str, str], body: bytes) -> Position:
        """See MemoryStream."""
        position = super().store(subject, headers, body)
        self._stored.append(self._network.loop.now)
        self._network.note("log", f"{position} {subject} {headers} {body!r}")
        return position

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

    def _new_stream(self, log_format: LogFormat[Draft, Item]) -> TracedStream[Draft, Item]:
        return TracedStream(log_format, self.incarnation, self._network)
