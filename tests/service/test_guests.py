"""Guests in calls: in by a guest token, back by a resume token, on by another guest token; and where they are not let in."""

import asyncio
import time
from typing import Any

import httpx

from services.auth.grants import Grants, Guest
from services.auth.settings import AuthSettings
from shared.values.ids import AgentId
from shared.values.moment import unix
from tests.simulation.clock import in_virtual_time
from tests.support.broker_kind import in_memory
from tests.support.sdp import offer
from tests.support.services import AnyClient, Services
from tests.support.system import System, token
from tests.support.virtual import VirtualSystem

GUESTS = "/api/guest/token"


async def issued(system: Services[AnyClient], **options: Any) -> dict[str, Any]:
    """What a new guest gets; or with a token, the guest of that one."""
    async with system.http() as api:
        answer = await api.post(GUESTS, **options)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_a_guest_in_a_call(system: System) -> None:
    """A guest joins an open room under its name, is seen as a person, and signals; it finds no room that is not open."""
    await system.start(guest_permissions=["rooms:join"])
    owner = await system.agent("owner", "rooms:create", "rooms:join")
    await owner.join("daily")
    guest, mine = await system.client(), await issued(system, json={"name": "Sara"})
    assert (await guest.login(mine["token"]))["agentId"] == mine["agentId"]
    await guest.join("daily")
    seen = (await owner.hear("user_joined"))["participant"]
    assert (seen["agentId"], seen["name"], seen["kind"], seen["role"]) == (
        mine["agentId"],
        "Sara",
        "human",
        "participant",
    )
    assert (await guest.ask("offer", to=owner.participants["daily"], sdp=offer()))["type"] == "ok"
    assert (await owner.hear("offer"))["from"] == guest.participants["daily"]
    assert (await guest.ask("join_room", roomId="nowhere"))["code"] == "room_not_found"
    async with httpx.AsyncClient(base_url=system.url) as api:
        headers = {"Authorization": f"Bearer {token('owner')}"}
        room = {"name": "Closed", "type": "video", "roomId": "closed", "access": "token"}
        assert (await api.post("/api/rooms", json=room, headers=headers)).status_code == 201
        refused = await guest.ask("join_room", roomId="closed")
        assert refused["code"] == "room_not_found"
        order = {"agentId": mine["agentId"]}
        join = (await api.post("/api/rooms/closed/join", json=order, headers=headers)).json()["token"]
    assert (await guest.join("closed", token=join))["room"]["access"] == "token"


async def test_a_guest_comes_back(system: System) -> None:
    """To another gateway too: the seat is the guest's, by resume token and guest token together, and not another guest's."""
    await system.start(gateways=2)
    mine, other = await issued(system), await issued(system)
    guest = await system.client()
    welcome = await guest.login(mine["token"])
    joined = await guest.join("daily")
    await guest.close()
    resume = {"token": welcome["resumeToken"], "cursors": {"daily": joined["cursor"]}}
    stranger = await system.client(1)
    assert not (await stranger.login(other["token"], resume=resume))["resumed"]
    again = await system.client(1)
    assert (await again.login(mine["token"], resume=resume))["resumed"]
    await again.hear("room_resumed")
    assert (await again.ask("get_room", roomId="daily"))["self"] == joined["self"]


@in_virtual_time
async def test_a_guest_renews_on_a_live_connection(virtual: VirtualSystem) -> None:
    """With a fresh token of the same guest the session goes on; with another guest's, or anybody else's, it ends."""
    await virtual.start()
    mine, other = await issued(virtual), await issued(virtual)
    guest = await virtual.client()
    first = await guest.login(mine["token"])
    await asyncio.sleep(1.0)  # ends are whole seconds
    renewed = await issued(virtual, headers={"Authorization": f"Bearer {mine['token']}"})
    assert renewed["agentId"] == mine["agentId"]
    second = await guest.login(renewed["token"])
    assert unix(second["expiresAt"]) > unix(first["expiresAt"])
    assert second["sessionId"] == first["sessionId"]
    refused = await guest.ask("authenticate", token=other["token"])
    assert (refused["type"], refused["code"]) == ("auth_error", "subject_mismatch")
    assert await guest.closed() == 4501


@in_memory
async def test_where_guests_are_not_let_in(system: System) -> None:
    """There is no such path, and a guest token from the time when there was is worth nothing."""
    await system.start(guest_access=False)
    async with httpx.AsyncClient(base_url=system.url) as api:
        assert (await api.post(GUESTS)).status_code == 404
    grants = Grants.under(AuthSettings(mode="development").grant_key())
    stray = grants.issue_guest_token(Guest(AgentId("guest-1"), "Sara"), 600, time.time(), bytes(16))
    client = await system.client()
    refused = await client.ask("authenticate", token=stray.token)
    assert (refused["type"], refused["code"]) == ("auth_error", "invalid_token")
    assert await client.closed() == 4501
