"""A gateway that fences itself: it no longer speaks for anybody, not even to say that they are gone."""

import asyncio

import pytest

from shared.values.errors import CloseCode
from tests.support.broker_kind import in_memory
from tests.support.patience import eventually
from tests.support.system import System


@in_memory
async def test_a_fenced_gateway_gives_up_no_seat(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connections are closed with 4002. Rooms is told nothing by it: another gateway may have the seats by now, and
    those that nobody has are found when the lease ends.
    """
    await system.start()
    alice = await system.agent("alice")
    await alice.join("r")
    server, told = system.gateways[0], list[object]()
    for way in ("drop", "leave", "undo"):
        monkeypatch.setattr(server.context.departures, way, lambda *command: told.append(command))
    server._fence()
    assert await alice.closed() == CloseCode.UNAVAILABLE
    await eventually(lambda: not server._sessions, "the connection is gone")
    await asyncio.sleep(0.05)
    assert told == []
