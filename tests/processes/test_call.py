"""A real call: two aiortc peers in processes of their own, introduced by the launched services."""

import asyncio
import json

import httpx

from tests.support.call_peer import MESSAGES
from tests.support.launched import Launched
from tests.support.processes import Process

ROOM = "call-1"


async def test_two_peers_call_each_other(launched: Launched) -> None:
    """Two programs that know a URL, a room's id and a token each find each other, agree who offers (the later one),
    connect by offer, answer and trickled candidates alone, and pass messages both ways over a data channel."""
    peers: list[Process] = []
    try:
        async with httpx.AsyncClient(base_url=launched.url) as api:
            owner = {"Authorization": f"Bearer {launched.token}"}
            order = {"name": "Call", "type": "video", "roomId": ROOM, "maxParticipants": 2}
            assert (await api.post("/api/rooms", json=order, headers=owner)).status_code == 201
            for agent_id in ("alice", "bob"):
                token = (await api.post("/api/dev/token", json={"agentId": agent_id})).json()["token"]
                peers.append(Process.module("tests.support.call_peer", launched.url, ROOM, token))
            assert await asyncio.gather(*(asyncio.to_thread(peer.end) for peer in peers)) == [0, 0], [
                peer.output for peer in peers
            ]
            left = (await api.get(f"/api/rooms/{ROOM}/participants", headers=owner)).json()
    finally:
        for peer in peers:
            peer.destroy()
    first, second = sorted((json.loads(peer.lines[-1]) for peer in peers), key=lambda result: bool(result["offered"]))
    assert (first["self"], first["other"]) == (second["other"], second["self"])
    assert (first["offered"], second["offered"]) == (False, True)
    for one, other in ((first, second), (second, first)):
        assert one["received"] == [f"{other['self']} says {n}" for n in range(MESSAGES)]
        assert (one["state"], one["after"], one["closed"]) == ("connected", "closed", 1000)
        assert one["trickled"] >= 1
    # Created; both joined, told what they heard, and left.
    assert left == {"revision": 7, "participants": []}
