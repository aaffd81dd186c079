"""Joins through one gateway whose answers overtake each other: nobody misses what came between."""

import asyncio
from typing import Any

import pytest

from shared.broker.subjects import ADD_PARTICIPANT
from tests.support.broker_kind import on_both
from tests.support.sdp import offer
from tests.support.system import System
from tests.support.view import View

pytestmark = on_both

ROOM = "voice-1"


async def test_answers_that_overtake_each_other(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who joined first and is answered last has its snapshot as of its own join, then everything since, signals too."""
    await system.start()
    requests = system.ports[-1].requests
    ask, first = requests.request, True
    committed, held = asyncio.Event(), asyncio.Event()

    async def late(endpoint: Any, request: Any) -> Any:
        nonlocal first
        is_first, first = first and endpoint is ADD_PARTICIPANT, first and endpoint is not ADD_PARTICIPANT
        answer = await ask(endpoint, request)
        if is_first:
            committed.set()
            await held.wait()
        return answer

    alice, bob = await system.agent("alice"), await system.agent("bob")
    monkeypatch.setattr(requests, "request", late)
    joining = asyncio.create_task(alice.join(ROOM))
    await committed.wait()
    shown = await bob.join(ROOM)
    to = next(p["id"] for p in shown["participants"] if p["agentId"] == "alice")
    await bob.ask("offer", to=to, sdp=offer())
    await bob.ask("update_self", name="Bob")
    held.set()
    joined = await joining
    assert [p["agentId"] for p in joined["participants"]] == ["alice"]
    assert (await alice.hear("user_updated"))["participant"]["name"] == "Bob"
    about = [m["type"] for m in alice.everything if m.get("roomId") == ROOM]
    assert about == ["room_users", "user_joined", "offer", "user_updated"]
    assert len(View.of(alice.everything, ROOM).participants) == 2
