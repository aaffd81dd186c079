"""The port for who is connected with whom in a call. `Mesh` is the one there is; an SFU's would be another."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from parley.participant import Participant
from parley.rtc.peer import Peer, PeerHost


class TopologyHost(PeerHost, Protocol):
    """What a topology needs of its call, and what it tells it. Its peers get the same object."""

    def peer_joined(self, peer: Peer) -> None:
        """There is one more peer."""

    def peer_left(self, peer: Peer, reason: str | None) -> None:
        """A peer is gone. The reason is that of the room's event, or None when everything began anew."""


class Topology(Protocol):
    """Makes the peers of a call. The call says what happens in the room; nothing happens before `begin`."""

    @property
    def peers(self) -> Mapping[str, Peer]:
        """Those there are connections with, by participant id."""

    def begin(self) -> None:
        """Connect with whoever is in the room."""

    def joined(self, participant: Participant) -> None:
        """Somebody came. It may be said of somebody who is known already, and of oneself."""

    def left(self, participant: Participant, reason: str | None) -> None:
        """Somebody left."""

    def updated(self, participant: Participant) -> None:
        """Somebody says something else of itself."""

    def take(self, signal: Mapping[str, Any]) -> None:
        """An `offer`, `answer` or `candidate` came, as it is on the wire."""

    def signals_lost(self) -> None:
        """Signals may have been lost: whatever was under way begins anew."""

    def ice_servers_changed(self) -> None:
        """The room has other STUN and TURN servers, or other credentials for them."""

    def reset(self) -> None:
        """We are another participant now: nobody knows our connections. `begin` follows."""

    async def close(self) -> None:
        """End all connections."""


TopologyFactory = Callable[[TopologyHost], Topology]
