"""Which connection has a session: what becomes of a hand-over when the newcomer breaks off."""

import asyncio
import contextlib

from services.gateway.session_registry import SessionRegistry
from shared.values.ids import RoomId, SessionKey

KEY, ROOMS = SessionKey("k"), frozenset({RoomId("r")})


class Owner:
    """A connection whose last request takes until the test says so."""

    def __init__(self) -> None:
        self.request_ended = asyncio.Event()
        self.handed_over: frozenset[RoomId] | None = None

    async def hand_over(self, rooms: frozenset[RoomId]) -> None:
        """See SessionOwner."""
        await self.request_ended.wait()
        self.handed_over = rooms


async def test_the_newcomer_waits_for_the_hand_over() -> None:
    """It has the session when nothing of it is handled by the connection before any more."""
    registry, before, newcomer = SessionRegistry(), Owner(), Owner()
    await registry.take(KEY, before, frozenset())
    taking = asyncio.create_task(registry.take(KEY, newcomer, ROOMS))
    await asyncio.sleep(0.01)
    assert not taking.done()
    before.request_ended.set()
    await taking
    assert (before.handed_over, newcomer.handed_over) == (ROOMS, None)


async def test_a_newcomer_that_is_cut_off_leaves_nobody_deaf() -> None:
    """The hand-over that it began is finished all the same: the connection before lets go, and is told."""
    registry, before, newcomer = SessionRegistry(), Owner(), Owner()
    await registry.take(KEY, before, frozenset())
    taking = asyncio.create_task(registry.take(KEY, newcomer, ROOMS))
    await asyncio.sleep(0.01)
    taking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await taking
    before.request_ended.set()
    await asyncio.sleep(0.01)
    assert before.handed_over == ROOMS
