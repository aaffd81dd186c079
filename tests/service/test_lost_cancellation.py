"""A connection that goes away while a request of it is handled, and the cancellation of that request is lost.

Python 3.11's `asyncio.wait_for` loses one that comes together with the answer; nats-py waits with it.
"""

import asyncio
from typing import Any

import pytest
from prometheus_client import REGISTRY

from shared.broker.subjects import ADD_PARTICIPANT, OPEN_SESSION, Endpoint
from tests.support.broker_kind import in_memory
from tests.support.patience import eventually
from tests.support.system import System, token

SLOW = 0.2  # seconds that the answer takes, while the connection goes away


def lose_cancellations(monkeypatch: pytest.MonkeyPatch, system: System, slow: Endpoint[Any, Any]) -> asyncio.Event:
    """From now on the gateway goes on with the answer to this question although it was cancelled. The event: it was asked."""
    requests = system.gateways[0].context.ports.requests
    request, asked = requests.request, asyncio.Event()

    async def deaf(endpoint: Endpoint[Any, Any], question: Any) -> Any:
        if endpoint is not slow:
            return await request(endpoint, question)
        answering = asyncio.ensure_future(request(endpoint, question))
        asked.set()
        try:
            await asyncio.sleep(SLOW)
        except asyncio.CancelledError:
            return await answering
        return await answering

    monkeypatch.setattr(requests, "request", deaf)
    return asked


@in_memory
async def test_a_join_that_goes_on(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """The seat that it took is held for the grace time like any other: nobody sits there for ever without a connection."""
    await system.start(grace_seconds=0.5)
    bob, alice = await system.agent("bob"), await system.agent("alice")
    await bob.join("r")
    asked = lose_cancellations(monkeypatch, system, ADD_PARTICIPANT)
    await alice.say("join_room", roomId="r")
    await asked.wait()
    alice.socket.transport.abort()
    came = await bob.hear("user_joined")
    await bob.hear("user_updated", participant={**came["participant"], "connection": "reconnecting"})
    left = await bob.hear("user_left")
    assert (left["participantId"], left["reason"]) == (came["participant"]["id"], "timeout")


@in_memory
async def test_a_login_that_goes_on(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """No session is counted, nor known, whose connection is gone."""
    await system.start()
    before = REGISTRY.get_sample_value("parley_sessions") or 0.0
    asked = lose_cancellations(monkeypatch, system, OPEN_SESSION)
    alice = await system.client()
    await alice.say("authenticate", token=token("alice"))
    await asked.wait()
    alice.socket.transport.abort()
    gateway = system.gateways[0]
    await eventually(lambda: not gateway._sessions, "the connection is gone")
    await asyncio.sleep(2 * SLOW)
    assert REGISTRY.get_sample_value("parley_sessions") == before
    assert not gateway.context.registry._owners
