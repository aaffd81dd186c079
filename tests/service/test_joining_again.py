"""A join whose answer is lost, again and again, while others write to the seat it took: nothing of that is missed."""

from typing import Any

import pytest

from shared.broker.subjects import ADD_PARTICIPANT, DROP_PARTICIPANT, REMOVE_PARTICIPANT
from shared.values.errors import unavailable
from tests.support.broker_kind import on_both
from tests.support.sdp import offer
from tests.support.system import System

pytestmark = on_both

ROOM = "voice-1"


async def test_two_lost_answers(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signals from before each of the lost answers are heard, once and in order, behind the answer that arrives."""
    await system.start()
    requests = system.ports[-1].requests
    ask, to_lose = requests.request, 2

    async def lossy(endpoint: Any, request: Any) -> Any:
        nonlocal to_lose
        if endpoint in (REMOVE_PARTICIPANT, DROP_PARTICIPANT):  # nor can the gateway take the seat back
            raise unavailable("the broker")
        answer = await ask(endpoint, request)
        if endpoint is ADD_PARTICIPANT and to_lose:
            to_lose -= 1
            raise unavailable("the broker")
        return answer

    bob = await system.agent("bob")
    await bob.join(ROOM)
    monkeypatch.setattr(requests, "request", lossy)
    alice = await system.agent("alice")
    assert (await alice.ask("join_room", roomId=ROOM))["code"] == "unavailable"
    to = (await bob.hear("user_joined"))["participant"]["id"]
    await bob.ask("offer", to=to, sdp=offer(), negotiation="1")
    assert (await alice.ask("join_room", roomId=ROOM))["code"] == "unavailable"
    await bob.ask("offer", to=to, sdp=offer(), negotiation="2")
    assert (await alice.join(ROOM))["self"] == to
    await bob.ask("offer", to=to, sdp=offer(), negotiation="3")
    await alice.hear("offer", negotiation="3")
    about = [m.get("negotiation", m["type"]) for m in alice.everything if m.get("roomId") == ROOM]
    assert about == ["room_users", "1", "2", "3"]
