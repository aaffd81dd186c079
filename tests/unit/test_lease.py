"""The gateway's lease: kept while the broker answers, given up in time when it does not. In virtual time, on the broker in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

import pytest

from services.gateway.lease import FENCE, Lease
from shared.broker.log import Conflict
from shared.broker.memory.broker import MemoryBroker
from shared.broker.memory.connection import MemoryConnection
from shared.broker.memory.leases import MemoryLeases
from shared.broker.memory.ports import connect
from shared.rooms.timers import LeaseEnds
from shared.values.errors import Code, Refused, unavailable
from shared.values.ids import GatewayId, LeaseName
from shared.values.position import Position
from tests.simulation.clock import VirtualLoop, in_virtual_time
from tests.support.patience import eventually

SECONDS = 8.0
A_MOMENT = 0.001  # less than anybody waits for


def clock() -> VirtualLoop:
    """The time of a test: its loop's."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def wall() -> float:
    """Unix seconds."""
    return clock().wall()


class LeasesOfMoods(MemoryLeases):
    """Fails as it is told, and remembers when it was asked for what it did."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(MemoryConnection(broker))
        self.mood: Literal["well", "refuses", "hangs", "stores and forgets"] = "well"
        self.renewed: list[float] = []

    async def arm(self, name: LeaseName, due: float, *, after: Position, stopped: bool = False) -> Position:
        """See Leases."""
        sent = clock().now
        if self.mood == "refuses":
            raise unavailable("the broker")
        if self.mood == "hangs":
            await asyncio.Event().wait()
        position = await super().arm(name, due, after=after, stopped=stopped)
        if self.mood == "stores and forgets":
            raise unavailable("the broker")
        self.renewed.append(sent)
        return position


class Kept:
    """A lease being kept, and what became of it: in order, who lost it and whose end rooms was told."""

    def __init__(self, seconds: float) -> None:
        self.broker = MemoryBroker(clock=wall)
        self.leases = LeasesOfMoods(self.broker)
        self.history: list[tuple[str, GatewayId]] = []
        self.lost_at = 0.0
        self.doubts = 0
        self.ended_as: Callable[[LeaseEnds], None] = lambda timer: None
        calls = iter(range(1, 1000))
        self.lease = Lease(self.leases, seconds, wall, lambda count: next(calls).to_bytes(count, "big"))
        self.lease.lost = self._lost
        self.lease.recovered = self._doubted
        self.running = asyncio.create_task(self.lease.run())

    def _lost(self) -> None:
        assert not self.lease.held
        self.lost_at = clock().now
        self.history.append(("lost", self.lease.gateway))

    def _doubted(self) -> None:
        self.doubts += 1

    async def ended(self, timer: LeaseEnds) -> None:
        """As rooms takes it."""
        self.ended_as(timer)
        self.history.append(("ended", timer.gateway))

    def ended_is(self, gateway: GatewayId) -> Callable[[], bool]:
        """Whether rooms was told of this one's end."""
        return lambda: ("ended", gateway) in self.history


@asynccontextmanager
async def a_lease(seconds: float = SECONDS) -> AsyncIterator[Kept]:
    """One that is held, with somebody to take its end."""
    kept = Kept(seconds)
    await connect(kept.broker).leases.take(kept.ended, A_MOMENT)
    async with asyncio.timeout(10):
        await kept.lease.acquired()
    yield kept
    kept.running.cancel()


@in_virtual_time
async def test_it_is_held_while_it_is_renewed() -> None:
    """For several times its length: the same id, no doubt, and rooms is never told that it ended."""
    async with a_lease() as kept:
        gateway = kept.lease.gateway
        ends = clock().now + 2.5 * SECONDS
        while clock().now < ends:
            assert kept.lease.held
            await kept.lease.check()
            await asyncio.sleep(0.02)
        assert (kept.lease.gateway, kept.history, kept.doubts) == (gateway, [], 0)
        assert len(kept.leases.renewed) >= 5


@pytest.mark.parametrize("mood", ["refuses", "hangs", "stores and forgets"])
@in_virtual_time
async def test_it_fences_itself_in_time(mood: Literal["refuses", "hangs", "stores and forgets"]) -> None:
    """When no renewal is acknowledged it is lost 5/8 after the last one was sent, once, before rooms is told its end."""
    async with a_lease() as kept:
        gateway = kept.lease.gateway
        kept.leases.mood = mood
        await eventually(lambda: bool(kept.history), "it is lost")
        assert kept.history == [("lost", gateway)]
        assert kept.lost_at - kept.leases.renewed[-1] == pytest.approx(FENCE * SECONDS)
        with pytest.raises(Refused) as caught:
            await kept.lease.check()
        assert caught.value.code is Code.UNAVAILABLE
        await eventually(kept.ended_is(gateway), "rooms is told")
        assert kept.history == [("lost", gateway), ("ended", gateway)]
        assert not kept.lease.held
        kept.leases.mood = "well"
        await eventually(lambda: kept.lease.held, "it has another one")
        assert kept.lease.gateway != gateway


@in_virtual_time
async def test_another_one_afterwards() -> None:
    """When the broker is back it takes a lease under another id; whom it held before is told to nobody else as lost."""
    async with a_lease() as kept:
        before = kept.lease.gateway
        kept.broker.down = True
        await eventually(lambda: bool(kept.history), "it is lost")
        kept.broker.down = False
        async with asyncio.timeout(10):
            await kept.lease.acquired()
        assert kept.lease.held
        assert kept.lease.gateway != before
        await eventually(kept.ended_is(before), "rooms is told of the first one")
        assert kept.history == [("lost", before), ("ended", before)]


@in_virtual_time
async def test_an_answer_that_got_lost() -> None:
    """A renewal may be stored without anybody knowing: the next one finds it in its place and goes on, with a doubt."""
    async with a_lease(2.0) as kept:
        gateway = kept.lease.gateway
        kept.leases.mood = "stores and forgets"
        position = kept.broker.leases.armed(LeaseEnds(due=0, gateway=gateway))
        while kept.broker.leases.armed(LeaseEnds(due=0, gateway=gateway)) == position:
            await asyncio.sleep(0.01)
        kept.leases.mood = "well"
        await eventually(lambda: kept.doubts == 1, "the broker answers again")
        assert kept.lease.held
        assert (kept.lease.gateway, kept.history) == (gateway, [])


@in_virtual_time
async def test_a_hiccup_is_a_doubt() -> None:
    """After one failure the broker answers again: still held, and said once, since something may have been missed."""
    async with a_lease(2.0) as kept:
        kept.leases.mood = "refuses"
        await asyncio.sleep(0.6)  # one renewal
        kept.leases.mood = "well"
        await eventually(lambda: kept.doubts == 1, "it says so")
        renewed = len(kept.leases.renewed)
        await eventually(lambda: len(kept.leases.renewed) > renewed, "it is renewed once more")
        assert (kept.doubts, kept.history, kept.lease.held) == (1, [], True)


@in_virtual_time
async def test_a_lease_that_ended_behind_its_back() -> None:
    """When a renewal finds that the lease has fired, it is lost at that moment, and another one begins."""
    async with a_lease(2.0) as kept:
        gateway = kept.lease.gateway
        kept.broker.leases.arm(LeaseEnds(due=wall() - 1, gateway=gateway), None)
        await eventually(lambda: kept.lease.gateway != gateway, "it has another one")
        assert sorted(kept.history) == [("ended", gateway), ("lost", gateway)]
        assert kept.lost_at - kept.leases.renewed[0] < FENCE * 2.0
        assert kept.lease.held


@in_virtual_time
async def test_lost_leases() -> None:
    """The broker loses all leases: this one is armed anew and kept, and rooms is told when it does end."""
    async with a_lease() as kept:
        gateway = kept.lease.gateway
        kept.broker.lose_leases()
        await asyncio.sleep(2 * SECONDS)
        assert (kept.lease.gateway, kept.lease.held, kept.history) == (gateway, True, [])
        kept.running.cancel()
        await eventually(kept.ended_is(gateway), "rooms is told")


@in_virtual_time
async def test_lost_leases_that_come_too_late() -> None:
    """While they are away the lease is not prolonged: it is lost in time."""
    async with a_lease() as kept:
        gateway = kept.lease.gateway
        kept.broker.lose_leases()
        kept.leases.mood = "refuses"
        await eventually(lambda: bool(kept.history), "it is lost")
        assert kept.history == [("lost", gateway)]
        assert kept.lost_at - kept.leases.renewed[-1] == pytest.approx(FENCE * SECONDS)


@in_virtual_time
async def test_a_process_that_stood_still() -> None:
    """Stopped for longer than it may, it knows so before it does anything else, and does not renew as if nothing were."""
    async with a_lease() as kept:
        gateway = kept.lease.gateway
        clock().now += SECONDS * FENCE + A_MOMENT
        assert not kept.lease.held
        await eventually(lambda: bool(kept.history), "it is lost")
        assert kept.history[0] == ("lost", gateway)
        await eventually(lambda: kept.lease.held, "it has another one")
        assert kept.lease.gateway != gateway


@in_virtual_time
async def test_a_stopped_gateways_lease_ends() -> None:
    """Nobody has to say good-bye: rooms is told when it is not renewed any more, and a renewal then is a conflict."""
    async with a_lease() as kept:
        gateway = kept.lease.gateway
        kept.running.cancel()
        await eventually(kept.ended_is(gateway), "rooms is told")
        with pytest.raises(Conflict):
            kept.broker.leases.arm(LeaseEnds(due=wall() + 60, gateway=gateway), Position(1))


@in_virtual_time
async def test_without_a_broker_there_is_none() -> None:
    """A gateway that starts without a broker holds nothing until it is there, and never had anything to lose."""
    kept = Kept(SECONDS)
    kept.broker.down = True
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SECONDS):
            await kept.lease.acquired()
    assert not kept.lease.held
    kept.broker.down = False
    async with asyncio.timeout(10):
        await kept.lease.acquired()
    assert kept.lease.held
    assert kept.history == []
    kept.running.cancel()


@in_virtual_time
async def test_a_stop_is_no_loss() -> None:
    """A gateway that is told to stop ends its lease at once; that is no loss, neither there nor for rooms."""
    async with a_lease() as kept:
        gateway, before = kept.lease.gateway, clock().now
        told: list[LeaseEnds] = []
        kept.ended_as = told.append
        kept.running.cancel()
        await kept.lease.end()
        await eventually(kept.ended_is(gateway), "rooms is told")
        assert clock().now - before < FENCE * SECONDS
        assert [timer.stopped for timer in told] == [True]
        await asyncio.sleep(2 * SECONDS)
        assert kept.history == [("ended", gateway)]
        assert not kept.lease.held
