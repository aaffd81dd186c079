"""What a gateway keeps of ICE servers: bounded, not asked for again and again, and told once."""

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from services.gateway import ice_servers as ice
from services.gateway.ice_servers import IceServers, SessionIce
from shared.auth.commands import IceServersIssued, IssueIceServers
from shared.auth.ice_server import IceServer
from shared.broker.memory.broker import MemoryBroker
from shared.broker.memory.ports import connect
from shared.broker.requests import Service
from shared.broker.subjects import ICE_SERVERS
from shared.values import pauses
from shared.values.errors import unavailable
from shared.values.ids import AgentId, RoomId
from shared.values.moment import rfc3339
from tests.simulation.clock import in_virtual_time
from tests.support.patience import eventually

ALICE, BOB, ROOM = AgentId("alice"), AgentId("bob"), RoomId("r")


class Auth:
    """An auth whose clock, servers and health the test sets; counts who was asked for."""

    def __init__(self) -> None:
        self.now = 1_770_804_000.0
        self.life: float | None = 600.0
        self.urls = ["turn:turn.example"]
        self.away = False
        self.asked: Counter[str] = Counter()
        self.let = asyncio.Event()
        self.let.set()

    async def answer(self, request: IssueIceServers) -> IceServersIssued:
        self.asked[request.agent_id] += 1
        await self.let.wait()
        if self.away:
            raise unavailable("auth")
        if self.life is None:
            return IceServersIssued(ice_servers=[IceServer(urls=self.urls)])
        end = self.now + self.life
        mine = IceServer(urls=self.urls, username=f"{end:.0f}:{request.agent_id}", credential="secret")
        return IceServersIssued(ice_servers=[mine], expires_at=rfc3339(end))

    async def kept(self) -> IceServers:
        """A gateway's view of it."""
        requests = connect(MemoryBroker()).requests
        await requests.serve(Service("auth", "auth", [(ICE_SERVERS, self.answer)]))
        return IceServers(requests, lambda: self.now)


class Told(SessionIce):
    """A session of alice, and the pushes it was sent."""

    def __init__(self, kept: IceServers) -> None:
        self.frames: list[bytes] = []
        super().__init__(kept, ALICE, self.frames.append)

    @property
    def pushes(self) -> list[dict[str, Any]]:
        return [json.loads(frame[frame.index(b"{") :]) for frame in self.frames]


@in_virtual_time
async def test_one_question_until_half_life() -> None:
    """Many at once and many in a row are one question; from half of the life on there is another, and one only."""
    auth = Auth()
    kept = await auth.kept()
    first = await asyncio.gather(*(kept.soon(ALICE) for _ in range(100)))
    assert all(one is first[0] for one in first)
    auth.now += 299
    assert await kept.soon(ALICE) is first[0]
    assert auth.asked == {"alice": 1}
    auth.now += 2
    assert (await kept.soon(ALICE)).servers != first[0].servers
    assert auth.asked == {"alice": 2}


@in_virtual_time
async def test_agents_are_forgotten_before_memory_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more agents than are kept, those that were asked for last are known."""
    monkeypatch.setattr(ice, "KEPT_AGENTS", 2)
    auth = Auth()
    kept = await auth.kept()
    for agent_id in (ALICE, BOB, AgentId("carol")):
        await kept.soon(agent_id)
    await kept.soon(BOB)
    await kept.soon(ALICE)
    assert auth.asked == {"alice": 2, "bob": 1, "carol": 1}


@in_virtual_time
async def test_so_many_questions_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than the bound are under way; who finds none free is told nothing now, and may ask again."""
    monkeypatch.setattr(ice, "ASKED_AT_ONCE", 1)
    monkeypatch.setattr(ice, "WAIT_SECONDS", 0.01)
    auth = Auth()
    auth.let.clear()
    kept = await auth.kept()
    assert await kept.soon(ALICE) is ice.NOT_KNOWN
    assert await kept.soon(BOB) is ice.NOT_KNOWN
    auth.let.set()
    await eventually(lambda: kept.fresh(ALICE) is not None, "alice's are there")
    assert (await kept.soon(BOB)).servers
    assert auth.asked == {"alice": 1, "bob": 1}


@in_virtual_time
async def test_auth_that_is_away_is_left_alone() -> None:
    """After a refusal nobody asks for a while, whoever it is; what is still good is told, and nothing after its end."""
    auth = Auth()
    kept = await auth.kept()
    first = await kept.soon(ALICE)
    auth.away = True
    auth.now += 400
    for _ in range(10):
        assert await kept.soon(ALICE) is first
        assert await kept.soon(BOB) is ice.NOT_KNOWN
        await asyncio.sleep(0.005)  # whoever was asked for would be by now
    assert auth.asked == {"alice": 2}
    auth.now += 201
    assert await kept.soon(ALICE) is ice.NOT_KNOWN


@in_virtual_time
async def test_nobody_waits_for_an_auth_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once auth has failed, it is asked in the background until it has answered: a join goes on at once."""
    monkeypatch.setattr(ice, "WAIT_SECONDS", 3600.0)
    monkeypatch.setattr(pauses, "ICE_SERVERS", 0.0)
    auth = Auth()
    auth.away = True
    kept = await auth.kept()
    assert await kept.soon(ALICE) is ice.NOT_KNOWN
    auth.let.clear()
    async with asyncio.timeout(10):
        assert await kept.soon(BOB) is ice.NOT_KNOWN
    auth.away = False
    auth.let.set()
    await eventually(lambda: kept.fresh(BOB) is not None, "bob's are there")


@in_virtual_time
async def test_servers_without_credentials_are_everybodys() -> None:
    """They are asked for once, for all agents, and again after a while, so that another setting is noticed."""
    auth = Auth()
    auth.life = None
    kept = await auth.kept()
    for agent_id in (ALICE, BOB):
        assert [server.urls for server in (await kept.soon(agent_id)).servers] == [["turn:turn.example"]]
    assert sum(auth.asked.values()) == 1
    auth.now += ice.SAME_FOR_ALL_SECONDS + 1
    auth.life = 600.0
    assert (await kept.soon(BOB)).servers[0].username
    assert (await kept.soon(ALICE)).servers[0].username


@in_virtual_time
async def test_each_room_is_told_once() -> None:
    """A room is pushed what it was not told: at half-life, or when it was shown before auth had answered."""
    auth = Auth()
    kept = await auth.kept()
    told = Told(kept)
    told.refresh(auth.now)
    assert auth.asked == {}, "without a room nobody asks"
    told.sent(ROOM, await told.soon())
    told.sent(RoomId("unknown"), ice.NOT_KNOWN)
    for _ in range(3):
        told.refresh(auth.now)
    assert [push["roomId"] for push in told.pushes] == ["unknown"]
    auth.now += 301
    told.refresh(auth.now)  # asks
    await eventually(lambda: kept.fresh(ALICE) is not None, "the newer ones are there")
    told.forget(ROOM)
    for _ in range(3):
        told.refresh(auth.now)
    assert [push["roomId"] for push in told.pushes] == ["unknown", "unknown"]
    told.forget(RoomId("unknown"))
    auth.now += 301
    told.refresh(auth.now)
    await asyncio.sleep(0)
    assert auth.asked == {"alice": 2}


@in_virtual_time
async def test_changed_servers_are_pushed() -> None:
    """Servers without an end are looked at again, and told when they are others; the same ones are not repeated."""
    auth = Auth()
    auth.life = None
    kept = await auth.kept()
    told = Told(kept)
    told.sent(ROOM, await told.soon())
    for urls in (["turn:turn.example"], ["turn:other.example"]):
        auth.urls = urls
        auth.now += ice.SAME_FOR_ALL_SECONDS + 1
        told.refresh(auth.now)
        await eventually(lambda: kept.fresh(ALICE) is not None, "auth answered")
        told.refresh(auth.now)
    assert told.pushes == [{"type": "ice_servers", "roomId": "r", "iceServers": [{"urls": ["turn:other.example"]}]}]
