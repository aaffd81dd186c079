"""A process's subscription to a log: entries come in order, with a delay; some never come, and some come twice."""

from collections.abc import Callable

from shared.broker.following import Following
from shared.broker.room_log import RoomEntry, StoredEvents
from tests.simulation.network import Network, Wire
from tests.simulation.process import Process


class Feed:
    """A subscription. `deaf` while the process has no connection to the broker: entries of that time are lost."""

    def __init__(
        self, network: Network, process: Process, receive: Callable[[RoomEntry], None], on_gap: Callable[[], None]
    ) -> None:
        self._sky = network.sky
        self._process = process
        self._receive = receive
        self._on_gap = on_gap
        self._wire = Wire(network, process.context, self._hear)
        self._network = network
        self.following: Following | None = None
        self.stopped = False
        self.deaf = False

    def committed(self, entry: RoomEntry) -> None:
        """An entry was committed: pass it on, unless the weather loses it."""
        if self.deaf or self.stopped or self._process.dead:
            return
        # Never lose a signal in silence: only the next one to the same participant would show that.
        if isinstance(entry, StoredEvents) and self._sky.happens(self._sky.weather.silent):
            self._network.note(self._process.name, f"will not hear of {entry.position}")
            return
        self._wire.send(entry)
        if self._sky.happens(self._sky.weather.twice):
            self._wire.send(entry)

    def _hear(self, entry: RoomEntry) -> None:
        if not (self.deaf or self.stopped or self._process.dead):
            self._receive(entry)

    def repaired(self) -> None:
        """The connection is back. Entries committed meanwhile were lost, so report a gap."""
        self.deaf = False
        if not self.stopped:
            self._process.soon(self._on_gap)

    async def stop(self) -> None:
        """See Following."""
        self.stopped = True
        if self.following is not None:
            await self.following.stop()
