"""Who is connected to the public port: how many in all, how many from each address, and who of them is still a stranger.

A stranger is who has not authenticated. Strangers are bounded; those who say nothing make place for others. Pure.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence

from services.gateway.transport.handshake import is_in
from shared.values.address import network_of

OVER = 32  # connections above an address's limit that still get an answer; beyond that they are closed at once
SILENT_SECONDS = 1.0  # before a stranger who says nothing makes place: enough for the first bytes to travel


class Arrival:
    """One connection, from its being accepted to its end. `network` is empty for the connection of a trusted proxy."""

    __slots__ = ("connected", "cut", "network", "over", "stranger")

    def __init__(self, network: str, *, over: bool = False) -> None:
        self.network = network
        self.over = over  # above its address's limit: it is answered that, and nothing else
        self.stranger = True
        self.connected = False  # whether it has its protocol, which says when it is gone
        self.cut: Callable[[], object] = _nothing  # closes it at once


class Arrivals:
    """Counts connections by network (shared/values/address.py): HTTP and WebSockets alike, whoever has authenticated too."""

    def __init__(self, *, each: int, strangers: int, most: int, proxies: Sequence[str]) -> None:
        self._each = each
        self._strangers = strangers
        self._most = most
        self._proxies = proxies
        self._counts: Counter[str] = Counter()
        self._silent: OrderedDict[Arrival, float] = OrderedDict()  # since when; the longest first
        self.open = 0
        self.strangers = 0

    # -- coming and going ----------------------------------------------------------------------------------------------

    def arrive(self, peer: str, now: float) -> Arrival | None:
        """Count a connection in. None: close it at once."""
        network = "" if is_in(peer, self._proxies) else network_of(peer)
        over = not self._count(network)
        if over:
            if self._counts[network] >= self._each + OVER:
                return None
            self._counts[network] += 1
        arrival = Arrival(network, over=over)
        self.open += 1
        self.strangers += 1
        self._silent[arrival] = now
        return arrival

    def stands_for(self, arrival: Arrival, network: str) -> bool:
        """From now on a proxy's connection counts for this network, if that may have one more."""
        if not arrival.network:
            if not self._count(network):
                return False
            arrival.network = network
        return True

    def _count(self, network: str) -> bool:
        if network and self._counts[network] >= self._each:
            return False
        if network:
            self._counts[network] += 1
        return True

    def known(self, arrival: Arrival) -> None:
        """It has authenticated: it is no stranger any more."""
        if arrival.stranger:
            arrival.stranger = False
            self.strangers -= 1
        self._silent.pop(arrival, None)

    def gone(self, arrival: Arrival) -> None:
        """It is over."""
        self.known(arrival)
        self.open -= 1
        if arrival.network:
            self._counts[arrival.network] -= 1
            if not self._counts[arrival.network]:
                del self._counts[arrival.network]

    # -- who makes place -----------------------------------------------------------------------------------------------

    def heard(self, arrival: Arrival) -> None:
        """It asked for something, and waits for us: it is not silent."""
        self._silent.pop(arrival, None)

    def silent(self, arrival: Arrival, now: float) -> None:
        """It was answered, and has asked for nothing since."""
        if arrival.stranger:
            self._silent[arrival] = now
            self._silent.move_to_end(arrival)

    def room_for_strangers(self, now: float, *, make_place: bool = True) -> bool:
        """Whether one more stranger may come. When there are too many, the one who has been silent for longest is cut."""
        if self.strangers < self._strangers and self.open < self._most:
            return True
        if not make_place:
            return False
        longest = next(iter(self._silent), None)
        if longest is None or now - self._silent[longest] < SILENT_SECONDS:
            return False
        del self._silent[longest]
        longest.cut()
        return True

    @property
    def room_for_descriptors(self) -> bool:
        """Whether the process has file descriptors for one more connection, besides those in reserve."""
        return self.open < self._most


def _nothing() -> None:
    """Until the connection has its protocol."""
