"""What guards the public port, composed once for a gateway: who may come, whose turn it is, and how much may wait."""

from collections.abc import Callable
from functools import partial

from services.gateway.settings import GatewaySettings
from services.gateway.transport.arrivals import Arrival, Arrivals
from services.gateway.transport.descriptors import Shortage
from services.gateway.transport.gate import Gate, Work
from services.gateway.transport.handshake import is_in
from services.gateway.transport.request_limits import RequestLimits
from shared.values.address import network_of

MEMBERS_SHARE = 0.9  # of a gateway's time, for parsing what those send who have authenticated


class Guard:
    """The limits of one public port. `ticks` is a clock that only goes forward; `descriptors` are those for connections."""

    def __init__(self, settings: GatewaySettings, ticks: Callable[[], float], descriptors: int) -> None:
        self.settings = settings
        self.ticks = ticks
        self.gate = Gate(settings.stranger_share, "strangers")
        self.members = Gate(MEMBERS_SHARE, "members")
        self.requests = RequestLimits(settings.requests_per_address, settings.requests_at_once)
        self.arrivals = Arrivals(
            each=settings.connections_per_address,
            strangers=settings.strangers,
            most=descriptors,
            proxies=settings.trusted_proxies,
        )
        self.shortage = Shortage()
        self._held = 0

    def network(self, address: str) -> str:
        """What limits count for this address; empty for a trusted proxy's own, which is nobody's."""
        return "" if is_in(address, self.settings.trusted_proxies) else network_of(address)

    def turn_of(self, arrival: Arrival) -> Callable[[Work], None]:
        """What does work for this connection when its address has its turn."""
        return partial(self.gate.enter, arrival.network or f"proxied {id(arrival)}")

    def turn_of_member(self, name: str) -> Callable[[Work], None]:
        """The same once it has authenticated: every agent has its turns, and every network of guests."""
        return partial(self.members.enter, name)

    def close(self) -> None:
        """Nobody has a turn any more."""
        self.gate.close()
        self.members.close()

    def hold(self, more: int) -> bool:
        """Count bytes that wait to be parsed, or (below 0) do so no longer. False when there are too many in all."""
        self._held += more
        return more <= 0 or self._held <= self.settings.unparsed_bytes
