"""Who is connected with whom is a strategy of the call."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from parley import Participant
from parley.rtc import Call, Message, Peer, PeerLeft, Topology, TopologyHost

from tests.clients.python.calls import PATIENCE, joined
from tests.clients.python.conftest import until
from tests.clients.python.sound import Tone, hear_somebody
from tests.support.launched import Launched
from tests.support.patience import eventually


class Star:
    """Everybody is connected with whoever came first, and with nobody else."""

    def __init__(self, host: TopologyHost) -> None:
        self._host = host
        self.peers: dict[str, Peer] = {}

    def begin(self) -> None:
        """Whoever is there."""
        for one in self._host.room.others:
            self.joined(one)

    def joined(self, participant: Participant) -> None:
        """A connection, if one of the two is the centre."""
        me, centre = self._host.room.me, next(iter(self._host.room.participants.values()))
        if participant.id in (me.id, *self.peers) or centre.id not in (me.id, participant.id):
            return
        peer = self.peers[participant.id] = Peer(self._host, participant, polite=me.order > participant.order)
        self._host.peer_joined(peer)

    def left(self, participant: Participant, reason: str | None) -> None:
        """Its connection ends."""
        peer = self.peers.pop(participant.id, None)
        if peer is not None:
            self._host.in_background(peer.close())
            self._host.peer_left(peer, reason)

    def updated(self, participant: Participant) -> None:
        """Nothing depends on it here."""

    def take(self, signal: Mapping[str, Any]) -> None:
        """To whose connection it belongs."""
        self.peers[signal["from"]].take(signal)

    def signals_lost(self) -> None:
        """No line is cut here."""

    def ice_servers_changed(self) -> None:
        """Nothing is relayed here."""

    def reset(self) -> None:
        """No session is lost here."""

    async def close(self) -> None:
        """All of them."""
        await asyncio.gather(*(peer.close() for peer in self.peers.values()))
        self.peers.clear()


async def test_another_topology(launched: Launched, room_id: str) -> None:
    """Of three in a star the outer two are connected with the centre by sound and data, and not with each other; when
    one of them leaves, its connection ends and the other one's goes on."""
    star: type[Topology] = Star
    async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE):
        rooms = [await stack.enter_async_context(joined(launched.url, room_id, name)) for name in ("a", "b", "c")]
        await eventually(lambda: all(len(room.others) == 2 for room in rooms), "everybody sees everybody")
        centre, left, right = [await stack.enter_async_context(Call(room, topology=star)) for room in rooms]
        await centre.set_track("audio", Tone())
        await asyncio.gather(hear_somebody(left), hear_somebody(right))
        assert [len(call.peers) for call in (centre, left, right)] == [2, 1, 1]
        assert list(left.peers) == list(right.peers) == [centre.room.me.id]
        heard = right.events()
        left.create_data_channel("chat").send("for the centre only")
        told, who = centre.events(), rooms[1].me.id
        await until(told, Message)
        await rooms[1].leave()
        assert (await until(told, PeerLeft)).peer.id == who
        centre.create_data_channel("chat").send("still here")
        assert (await until(heard, Message)).data == "still here"
