"""What both adapters promise about timers: when they fire, for whom, and what they survive."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from services.launcher.embedded_nats import EmbeddedNats
from shared.broker.log import Conflict
from shared.broker.ports import Ports
from shared.rooms.timers import GraceEnds, LeaseEnds, LogKept, RoomEmpty, RoomEnds, Sweep, Timer
from shared.values.errors import Code, Refused
from shared.values.ids import GatewayId, ParticipantId, RoomId
from shared.values.position import NOWHERE, Position
from tests.support.broker import connector
from tests.support.broker_kind import on_nats
from tests.support.patience import eventually, eventually_async
from tests.support.timers import AN_HOUR, LONG, RETRY, Taker, empty, lease, settled

Connect = Callable[[str], Awaitable[Ports]]


A, B = RoomId("room-a"), RoomId("room-b")


async def test_a_timer_fires_when_it_is_due(connect: Connect) -> None:
    """Not before its time, once, and as it was armed; those that wait stay where they are."""
    rooms = await connect("rooms")
    taker = Taker()
    await rooms.timers.take(taker.handle, LONG)
    due = time.time() + 0.7
    timers: list[Timer] = [
        LeaseEnds(due=due, gateway=GatewayId("g_1")),
        Sweep(due=due, gateway=GatewayId("g_1")),
        GraceEnds(due=due, room_id=A, participant_id=ParticipantId("p_1"), epoch=3),
        RoomEnds(due=due, room_id=A),
        RoomEmpty(due=due, room_id=A),
        LogKept(due=due, room_id=A),
    ]
    for timer in timers:
        await rooms.timers.arm(timer)
    waits = empty("waits", AN_HOUR)
    position = await rooms.timers.arm(waits)
    await eventually(taker.has(len(timers)), "all are taken")
    await settled(rooms, taker)
    taken = sorted((timer for _, timer in taker.taken[:-1]), key=lambda timer: timer.name)
    assert taken == sorted(timers, key=lambda timer: timer.name)
    assert all(at >= due - 0.05 for at, _ in taker.taken)
    assert await rooms.timers.armed(waits) == position


async def test_a_timer_of_the_past_fires_at_once(connect: Connect) -> None:
    """What should have happened long ago is not forgotten."""
    rooms = await connect("rooms")
    taker = Taker()
    await rooms.timers.take(taker.handle, LONG)
    late = empty("late", -AN_HOUR)
    await rooms.timers.arm(late)
    await eventually(taker.has(1), "it is taken")
    assert [timer for _, timer in taker.taken] == [late]


async def test_arming_again_replaces(connect: Connect) -> None:
    """Later or earlier: of one name there is one timer, the last; others are not touched."""
    rooms = await connect("rooms")
    taker = Taker()
    await rooms.timers.take(taker.handle, LONG)
    other = empty("other", AN_HOUR)
    position = await rooms.timers.arm(other)
    later, sooner = lease("later", AN_HOUR), lease("sooner", 0.2)
    for timer in (lease("later", 0.2), later, lease("sooner", AN_HOUR), sooner):
        await rooms.timers.arm(timer)
    await eventually(taker.has(1), "the sooner one is taken")
    await settled(rooms, taker)
    assert [timer for _, timer in taker.taken[:-1]] == [sooner]
    assert await rooms.timers.armed(later) is not None
    assert await rooms.timers.armed(other) == position


async def test_where_a_timer_waits(connect: Connect) -> None:
    """`armed` gives the position `arm` told, for every process; None before, and when it has fired."""
    rooms, other = await connect("rooms"), await connect("rooms")
    assert await other.timers.armed(lease("g_1", 0)) is None
    position = await other.timers.arm(lease("g_1", AN_HOUR))
    assert await other.timers.armed(lease("g_1", 0)) == await rooms.timers.armed(lease("g_1", 0)) == position
    assert await other.timers.armed(lease("g_2", 0)) is None
    await other.timers.arm(lease("g_1", 0))

    async def gone() -> bool:
        return await other.timers.armed(lease("g_1", 0)) is None

    await eventually_async(gone, "it has fired")


async def test_arming_on_a_position(connect: Connect) -> None:
    """`after` must be where the timer waits, 0 where none does; anything else is a conflict that changes nothing."""
    rooms = await connect("rooms")
    with pytest.raises(Conflict):
        await rooms.timers.arm(lease("g_1", AN_HOUR), after=Position(7))
    first = await rooms.timers.arm(lease("g_1", AN_HOUR), after=NOWHERE)
    for after in (NOWHERE, Position(first - 1), Position(first + 1)):
        with pytest.raises(Conflict):
            await rooms.timers.arm(lease("g_1", AN_HOUR), after=after)
    assert await rooms.timers.armed(lease("g_1", 0)) == first
    second = await rooms.timers.arm(lease("g_1", AN_HOUR), after=first)
    assert second > first
    with pytest.raises(Conflict):
        await rooms.timers.arm(lease("g_1", AN_HOUR), after=first)
    assert await rooms.timers.armed(lease("g_1", 0)) == second


async def test_a_lease_that_ended_cannot_be_renewed(connect: Connect) -> None:
    """Once it has fired, its position is a conflict, whether somebody took it or not; 0 begins it anew."""
    rooms = await connect("rooms")
    position = await rooms.timers.arm(lease("g_1", 0.1), after=NOWHERE)

    async def ended() -> bool:
        return await rooms.timers.armed(lease("g_1", 0)) is None

    await eventually_async(ended, "it has ended")
    with pytest.raises(Conflict):
        await rooms.timers.arm(lease("g_1", AN_HOUR), after=position)
    assert await rooms.timers.arm(lease("g_1", AN_HOUR), after=NOWHERE) > position


async def test_a_renewal_races_the_end(connect: Connect) -> None:
    """Asked for at the moment it is due, a lease either waits, renewed, or has fired, once; whoever renewed it can tell.

    NATS acknowledges a renewal that comes while it is firing, and sweeps it away with what fired: the next one conflicts.
    """
    rooms, other = await connect("rooms"), await connect("rooms")
    taker = Taker()
    await rooms.timers.take(taker.handle, LONG)
    renewed: dict[int, Position] = {}

    async def one(n: int) -> None:
        timer = lease(f"g_{n}", 0.5)
        position = await other.timers.arm(timer, after=NOWHERE)
        await asyncio.sleep(timer.due - time.time() + (n - 15) * 0.02)  # until after NATS came to it
        with contextlib.suppress(Conflict):
            renewed[n] = await other.timers.arm(lease(f"g_{n}", AN_HOUR), after=position)

    await asyncio.gather(*(one(n) for n in range(80)))
    await settled(rooms, taker)
    fired = {n for n in range(80) if lease(f"g_{n}", 0).name in taker.names}
    assert fired
    assert fired != set(range(80))
    assert max(Counter(taker.names).values()) == 1
    for n in range(80):
        waits = await other.timers.armed(lease(f"g_{n}", 0))
        assert waits == (None if n in fired else renewed[n]), "it waits or it fired, and not both"
    for n in fired & set(renewed):
        with pytest.raises(Conflict):
            await other.timers.arm(lease(f"g_{n}", AN_HOUR), after=renewed[n])


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[EmbeddedNats]:
    """A server process of this test's own, to be killed and started."""
    server = EmbeddedNats(tmp_path / "nats")
    await server.start()
    yield server
    await server.stop()


async def test_timers_survive_the_broker(embedded: EmbeddedNats) -> None:
    """Killed with timers and notes: what became due meanwhile fires when it is back, what waits goes on waiting."""
    rooms = await connector(embedded.url, embedded.passwords)("rooms")
    taker = Taker()
    taking = await rooms.timers.take(taker.handle, RETRY)
    meanwhile = [empty(f"meanwhile-{n}", 0.5) for n in range(20)]
    soon = [empty(f"soon-{n}", 4.0) for n in range(20)]
    waits = empty("waits", AN_HOUR)
    for timer in (*meanwhile, *soon):
        await rooms.timers.arm(timer)
    position = await rooms.timers.arm(waits)
    await rooms.notes.note_room(GatewayId("g_1"), A)
    embedded.kill()
    await eventually(lambda: time.time() > max(timer.due for timer in meanwhile), "they are due")
    assert taker.taken == []
    with pytest.raises(Refused) as caught:
        await rooms.timers.arm(waits)
    assert caught.value.code is Code.UNAVAILABLE
    await embedded.start()
    everyone = {timer.name for timer in (*meanwhile, *soon)}
    await eventually(lambda: everyone <= set(taker.names), "all are taken", within=30)
    assert all(at >= timer.due - 0.05 for at, timer in taker.taken)
    assert await rooms.timers.armed(waits) == position
    assert await rooms.notes.noted_rooms(GatewayId("g_1")) == [A]
    await rooms.timers.arm(waits, after=position)
    await taking.stop()
    await rooms.connection.close()


@on_nats
async def test_a_timer_of_a_newer_version_waits(connect: Connect) -> None:
    """What this version does not understand is not lost: it comes again, and the others come meanwhile."""
    rooms = await connect("rooms")
    taker = Taker()
    await rooms.timers.take(taker.handle, RETRY)

    class Newer(RoomEmpty):
        @property
        def name(self) -> str:
            return f"newer.{self.room_id}"

    await rooms.timers.arm(Newer(due=time.time(), room_id=A).model_copy(update={"kind": "newer"}))
    known = empty("known", 0.2)
    await rooms.timers.arm(known)
    await eventually(taker.has(1), "the known one is taken")
    assert taker.names == [known.name]
