"""A full mesh: a peer for each other participant of the room, made when it comes and closed when it goes."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from parley.participant import Participant
from parley.rtc.ice_credentials import renewed
from parley.rtc.peer import Peer
from parley.rtc.topology import TopologyHost


class Mesh:
    """Everybody is connected with everybody (a `Topology`)."""

    def __init__(self, host: TopologyHost) -> None:
        self._host = host
        self._peers: dict[str, Peer] = {}
        self._credentials_end = host.room.ice_expires_at

    @property
    def peers(self) -> Mapping[str, Peer]:
        """All others, by participant id. It is a live view."""
        return MappingProxyType(self._peers)

    def begin(self) -> None:
        """Connect with whoever is in the room."""
        for one in self._host.room.others:
            self.joined(one)

    def joined(self, participant: Participant) -> None:
        """Connect with somebody who came. Of two, the one that came later offers, and gives way."""
        me = self._host.room.me
        if participant.id in self._peers or participant.id == me.id:
            return
        peer = Peer(self._host, participant, polite=me.order > participant.order)
        self._peers[peer.id] = peer
        self._host.peer_joined(peer)

    def left(self, participant: Participant, reason: str | None) -> None:
        """End the connection with somebody who left."""
        peer = self._peers.pop(participant.id, None)
        if peer is not None:
            self._host.in_background(peer.close())
            self._host.peer_left(peer, reason)

    def updated(self, participant: Participant) -> None:
        """Somebody says something else of itself."""
        peer = self._peers.get(participant.id)
        if peer is not None:
            peer.updated()

    def take(self, signal: Mapping[str, Any]) -> None:
        """A signal is its sender's peer's."""
        peer = self._peers.get(signal["from"])
        if peer is not None:
            peer.take(signal)

    def signals_lost(self) -> None:
        """Whatever was under way begins anew."""
        for peer in self._peers.values():
            peer.recover()

    def ice_servers_changed(self) -> None:
        """New connections use the new servers by themselves. A relayed one, whose credentials will end, is replaced."""
        told = self._host.room.ice_expires_at
        replace, self._credentials_end = renewed(self._credentials_end, told, datetime.now(UTC))
        for peer in self._peers.values() if replace else ():
            if peer.relayed:
                peer.rebuild()

    def reset(self) -> None:
        """Nothing of these connections goes on."""
        for peer in list(self._peers.values()):
            self.left(peer.participant, None)

    async def close(self) -> None:
        """End all connections."""
        peers = list(self._peers.values())
        self._peers.clear()
        await asyncio.gather(*(peer.close() for peer in peers), return_exceptions=True)
