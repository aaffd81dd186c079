"""ICE servers: with every room, pushed anew in time, the same for whoever asks often, and never worth a wait."""

import asyncio
import base64
import hmac
from typing import Any

import pytest

from services.auth.handlers import AuthHandlers
from shared.auth.commands import IceServersIssued, IssueIceServers
from shared.values import moment
from tests.simulation.clock import in_virtual_time
from tests.support.coturn import SECRET
from tests.support.system import System
from tests.support.virtual import VirtualClient, VirtualSystem
from tests.support.vocabulary import Message

STUN = "stun:turn.example:3478"
TURN = ["turn:turn.example:3478?transport=udp", "turns:turn.example:5349?transport=tcp"]
SERVERS: dict[str, Any] = {"stun_urls": [STUN], "turn_urls": TURN, "turn_secret": SECRET}


def credentials(message: Message) -> tuple[str, str]:
    """Those of the TURN servers that a message names."""
    (turn,) = [server for server in message["iceServers"] if server["urls"] == TURN]
    return turn["username"], turn["credential"]


async def stop_auth(virtual: VirtualSystem) -> None:
    """auth goes away; what it issued stays good."""
    await virtual.ports[1].connection.close()


async def test_a_room_comes_with_its_servers(system: System) -> None:
    """STUN without, TURN with credentials that its secret proves to be this agent's until `expiresAt`; never a null."""
    await system.start(**SERVERS, turn_seconds=600)
    alice = await system.agent("alice")
    seen = await alice.join("r")
    stun, turn = seen["iceServers"]
    assert stun == {"urls": [STUN]}
    assert turn.keys() == {"urls", "username", "credential"}
    end, _, agent = turn["username"].partition(":")
    assert agent == "alice"
    assert moment.unix(seen["expiresAt"]) == int(end)
    proof = hmac.digest(SECRET.encode(), turn["username"].encode(), "sha1")
    assert turn["credential"] == base64.b64encode(proof).decode()
    shown = await alice.ask("get_room")
    assert (shown["iceServers"], shown["expiresAt"]) == (seen["iceServers"], seen["expiresAt"])


@in_virtual_time
async def test_without_servers_there_is_nothing_to_say(virtual: VirtualSystem) -> None:
    """An installation without STUN and TURN: an empty list, no end, and no push ever."""
    await virtual.start()
    alice = await virtual.agent("alice")
    seen = await alice.join("r")
    assert seen["iceServers"] == []
    assert "expiresAt" not in seen
    await alice.silence("ice_servers", seconds=200)


@in_virtual_time
async def test_stun_has_no_end(virtual: VirtualSystem) -> None:
    """STUN servers alone are told without an end, and are not told again."""
    await virtual.start(stun_urls=[STUN])
    alice = await virtual.agent("alice")
    seen = await alice.join("r")
    assert (seen["iceServers"], seen.get("expiresAt")) == ([{"urls": [STUN]}], None)
    await alice.silence("ice_servers", seconds=200)


async def test_asking_often_gives_the_same(system: System) -> None:
    """Rooms, sessions and joins of one agent on one gateway share its credentials; another agent has others."""
    await system.start(**SERVERS)
    alice, again, bob = await system.agent("alice"), await system.agent("alice"), await system.agent("bob")
    first = credentials(await alice.join("r"))
    for _ in range(20):
        await alice.ask("leave_room", roomId="r")
        assert credentials(await alice.join("r")) == first
    assert credentials(await alice.join("other")) == first
    assert credentials(await again.join("r")) == first
    assert credentials(await bob.join("r")) != first


@in_virtual_time
async def test_only_for_participants(virtual: VirtualSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has only logged in gets none, and none are made; neither does who is refused at the door."""
    asked: list[str] = []
    original = AuthHandlers.ice_servers

    async def counted(self: AuthHandlers, request: IssueIceServers) -> IceServersIssued:
        asked.append(request.agent_id)
        return await original(self, request)

    monkeypatch.setattr(AuthHandlers, "ice_servers", counted)
    await virtual.start(**SERVERS, default_max_participants=1)
    idle, alice, bob = await virtual.agent("idle"), await virtual.agent("alice"), await virtual.agent("bob")
    await alice.join("r")
    refused = await bob.ask("join_room", roomId="r")
    assert refused["code"] == "room_full"
    await idle.silence("ice_servers", seconds=200)
    assert "idle" not in asked
    assert asked.count("alice") == 1
    for client in (idle, bob):
        assert "credential" not in str(client.everything)


@in_virtual_time
async def test_new_ones_come_in_time(virtual: VirtualSystem) -> None:
    """At half of their life each room of the session is told others; they are no change of the room."""
    await virtual.start(**SERVERS, turn_seconds=600)
    alice = await virtual.agent("alice")
    first = await alice.join("one")
    await alice.join("two")
    half = virtual.clock() + 300
    for room in ("one", "two"):
        push = await alice.hear("ice_servers", roomId=room, within=400)
        assert virtual.clock() == pytest.approx(half, abs=2)
        assert push.keys() == {"type", "roomId", "iceServers", "expiresAt"}
        assert credentials(push)[0] > credentials(first)[0]
        assert push["expiresAt"] > first["expiresAt"]
    newest = await alice.hear("ice_servers", roomId="two", within=400)
    shown = await alice.ask("get_room", roomId="two")
    assert credentials(shown)[0] >= credentials(newest)[0]
    assert shown["revision"] == 2


@in_virtual_time
async def test_a_room_that_was_left_hears_no_more(virtual: VirtualSystem) -> None:
    """Pushes go to the rooms one is in."""
    await virtual.start(**SERVERS, turn_seconds=600)
    alice = await virtual.agent("alice")
    await alice.join("one")
    await alice.join("two")
    await alice.ask("leave_room", roomId="one")
    seen = len(alice.everything)
    await alice.hear("ice_servers", roomId="two", within=400)
    await alice.hear("ice_servers", roomId="two", within=400)
    assert not [m for m in alice.everything[seen:] if m.get("roomId") == "one"]


@in_virtual_time
async def test_coming_back(virtual: VirtualSystem) -> None:
    """After a resume with all that was missed the servers are pushed; a room shown anew has them itself."""
    await virtual.start(gateways=2, **SERVERS)
    alice = await virtual.client()
    login = await alice.login(virtual.token("alice"))
    first = await alice.join("r")
    await alice.close()
    back, reply = await resumed(virtual, login, {"r": first["cursor"]})
    assert reply["resumed"]
    await back.hear("room_resumed")
    push = await back.hear("ice_servers", roomId="r")
    assert credentials(push)[0].endswith(":alice")
    kinds = [m["type"] for m in back.everything]
    assert kinds.index("ice_servers") > kinds.index("room_resumed")
    await back.close()
    again, reply = await resumed(virtual, login, {"r": "nonsense"})
    shown = await again.hear("room_users", recovered=False)
    assert credentials(shown) == credentials(push)
    await again.hear("room_resumed")
    await again.silence("ice_servers", seconds=200)


async def resumed(virtual: VirtualSystem, login: Message, cursors: dict[str, str]) -> tuple[VirtualClient, Message]:
    """A new connection of alice's session, on the second gateway."""
    client = await virtual.client(1)
    resume = {"token": login["resumeToken"], "cursors": cursors}
    return client, await client.ask("authenticate", token=virtual.token("alice"), resume=resume)


@in_virtual_time
async def test_auth_is_away_at_a_join(virtual: VirtualSystem) -> None:
    """The join goes on with an empty list, and the servers follow when auth is there again."""
    await virtual.start(**SERVERS)
    alice = await virtual.agent("alice")
    await stop_auth(virtual)
    seen = await alice.join("r")
    assert (seen["iceServers"], seen.get("expiresAt")) == ([], None)
    await alice.silence("ice_servers")
    await virtual.start_auth(**SERVERS)
    assert credentials(await alice.hear("ice_servers", roomId="r"))


@in_virtual_time
async def test_auth_is_slow(virtual: VirtualSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """While auth thinks, joins and `get_room` are answered without it; what it says then is pushed, once."""
    thinking, thought = asyncio.Event(), asyncio.Event()
    original = AuthHandlers.ice_servers

    async def slow(self: AuthHandlers, request: IssueIceServers) -> IceServersIssued:
        thinking.set()
        await thought.wait()
        return await original(self, request)

    monkeypatch.setattr(AuthHandlers, "ice_servers", slow)
    await virtual.start(**SERVERS)
    alice = await virtual.agent("alice")
    seen = await alice.join("r")
    assert thinking.is_set(), "auth was asked"
    assert not thought.is_set(), "the join did not wait for auth"
    assert seen["iceServers"] == []
    assert (await alice.ask("get_room"))["iceServers"] == []
    thought.set()
    push = await alice.hear("ice_servers", roomId="r")
    assert credentials(await alice.ask("get_room")) == credentials(push)
    await alice.silence("ice_servers", seconds=200)


@in_virtual_time
async def test_auth_is_away_at_half_life(virtual: VirtualSystem) -> None:
    """The old credentials are told as long as they are good; new ones come as soon as auth is back."""
    await virtual.start(**SERVERS, turn_seconds=600)
    alice = await virtual.agent("alice")
    first = await alice.join("one")
    await stop_auth(virtual)
    await asyncio.sleep(400)
    assert credentials(await alice.join("two")) == credentials(first)
    await virtual.start_auth(**SERVERS, turn_seconds=600)
    for room in ("one", "two"):
        assert credentials(await alice.hear("ice_servers", roomId=room)) != credentials(first)
