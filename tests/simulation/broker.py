"""The in-memory broker of a run: every entry is traced, and it is known when it was stored, so that reads can lag."""

from shared.broker.memory.bus import MemoryBroker
from tests.simulation.network import Network


class Broker(MemoryBroker):
    """The one of all processes; what is stored late or not at all is the bus's business."""

    def __init__(self, network: Network) -> None:
        super().__init__("simulated", network.loop.wall)
        self._network = network
        self._stored: list[float] = [0.0]  # by sequence

    def store(self, subject: str, headers: dict[str, str], body: bytes) -> int:
        """See MemoryBroker."""
        sequence = super().store(subject, headers, body)
        self._stored.append(self._network.loop.now)
        self._network.note("log", f"{sequence} {subject} {headers} {body!r}")
        return sequence

    def shown(self, lag: float) -> int:
        """Up to which sequence somebody sees the log who sees it as it was so many seconds ago."""
        shown = self.sequence
        while lag and shown and self._stored[shown] > self._network.loop.now - lag:
            shown -= 1
        return shown
