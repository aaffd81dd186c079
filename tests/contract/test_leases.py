"""What both adapters promise about gateways' leases: who can renew one, when it ends, and what its holder is told."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.gateway.held_lease import HeldLease, LeaseEnded
from shared.broker import subjects
from shared.broker.log import Conflict
from shared.broker.memory.connection import MemoryConnection
from shared.broker.ports import Ports
from shared.rooms import timers
from shared.rooms.timers import LeaseEnds
from shared.telemetry import metrics
from shared.values.errors import Refused
from shared.values.ids import GatewayId, LeaseName, gateway_of
from shared.values.position import NOWHERE, Position
from tests.support.backup import asked
from tests.support.broker import over_nats
from tests.support.broker_kind import on_nats
from tests.support.lost import taker
from tests.support.patience import eventually, eventually_async
from tests.support.shared_nats import SharedNats
from tests.support.timers import AN_HOUR, LONG

Connect = Callable[[str], Awaitable[Ports]]

ONE, OTHER = LeaseName("one-that-nobody-knows"), LeaseName("another-one")


class Ends:
    """Takes ended leases as rooms does."""

    def __init__(self) -> None:
        self.gateways: list[GatewayId] = []

    async def handle(self, lease: LeaseEnds) -> None:
        """Remember it."""
        self.gateways.append(lease.gateway)


def soon(seconds: float) -> float:
    """Unix seconds, so many from now."""
    return time.time() + seconds


async def lose_leases(gateway: Ports) -> None:
    """Everything in there is purged, as any gateway might do."""
    if isinstance(gateway.connection, MemoryConnection):
        gateway.connection.broker.lose_leases()
    else:
        await over_nats(gateway).store.store(subjects.PROBE, b"", {"Nats-Rollup": "all"})


async def test_a_lease_is_renewed_on_its_position(connect: Connect) -> None:
    """Anything else is a conflict that changes nothing, and says where the lease is."""
    _, gateway = await connect("rooms"), await connect("gateway")
    first = await gateway.leases.arm(ONE, soon(AN_HOUR), after=NOWHERE)
    for after in (NOWHERE, Position(first + 7)):
        with pytest.raises(Conflict) as caught:
            await gateway.leases.arm(ONE, soon(AN_HOUR), after=after)
        assert caught.value.last == first
    second = await gateway.leases.arm(ONE, soon(AN_HOUR), after=first)
    assert second > first
    with pytest.raises(Conflict) as caught:
        await gateway.leases.arm(OTHER, soon(AN_HOUR), after=second)
    assert caught.value.last == NOWHERE


async def test_rooms_is_told_of_the_end(connect: Connect) -> None:
    """By the gateway's id, once, when the lease was not renewed; until then it is alive."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    ends = Ends()
    await rooms.leases.take(ends.handle, LONG)
    await gateway.leases.arm(ONE, soon(AN_HOUR), after=NOWHERE)
    await gateway.leases.mark(ONE, after=None)
    await gateway.leases.arm(OTHER, soon(0.5), after=NOWHERE)
    assert {gateway_of(ONE), gateway_of(OTHER)} <= await rooms.leases.alive()
    await eventually(lambda: ends.gateways == [gateway_of(OTHER)], "the one that was not renewed ends")
    alive = await rooms.leases.alive()
    assert gateway_of(ONE) in alive
    assert gateway_of(OTHER) not in alive


async def test_a_held_lease_knows_that_it_ended(connect: Connect) -> None:
    """The mark beside it is still there."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    held = HeldLease(gateway.leases, ONE)
    await held.renew(soon(AN_HOUR), now=0.0)
    await held.renew(soon(0.2), now=1.0)

    async def ended() -> bool:
        return held.gateway not in await rooms.leases.alive()

    await eventually_async(ended, "it ends")
    with pytest.raises(LeaseEnded):
        await held.renew(soon(AN_HOUR), now=2.0)


async def test_a_held_lease_that_was_lost_is_armed_anew(connect: Connect) -> None:
    """Purged by whoever may write there, or lost with the stream: it goes on under the same name, also a second time."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    held = HeldLease(gateway.leases, ONE)
    await held.renew(soon(AN_HOUR), now=0.0)
    for _ in range(2):
        await lose_leases(gateway)
        assert held.gateway not in await rooms.leases.alive()
        await held.renew(soon(AN_HOUR), now=1.0)
        assert held.gateway in await rooms.leases.alive()
        await held.renew(soon(AN_HOUR), now=2.0)


async def test_a_renewal_that_was_not_acknowledged(connect: Connect) -> None:
    """It is found, and the next one follows it."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    held = HeldLease(gateway.leases, ONE)
    await held.renew(soon(AN_HOUR), now=0.0)
    await gateway.leases.arm(ONE, soon(AN_HOUR), after=held._position)
    await held.renew(soon(AN_HOUR), now=1.0)
    assert held.gateway in await rooms.leases.alive()


@on_nats
async def test_a_lease_in_anothers_name_is_dropped(connect: Connect) -> None:
    """Who knows the id of a gateway cannot have rooms believe that its lease ended."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    ends = Ends()
    await rooms.leases.take(ends.handle, LONG)
    victim = LeaseEnds(due=soon(0), gateway=gateway_of(ONE))
    for name in (OTHER, LeaseName(gateway_of(ONE))):
        headers = {
            "Nats-Schedule": "@at 2020-01-01T00:00:00Z",
            "Nats-Schedule-Target": subjects.due_lease(name),
        }
        await over_nats(gateway).store.store(subjects.armed_lease(name), timers.encode(victim), headers)
    last = LeaseName("the-last-one")
    await gateway.leases.arm(last, soon(0.3), after=NOWHERE)
    await eventually(lambda: bool(ends.gateways), "the last one ends")
    assert ends.gateways == [gateway_of(last)]


@on_nats
async def test_what_is_no_lease_is_dropped(connect: Connect) -> None:
    """It comes never again, however often it was armed: leases that end are taken at once, and nothing of it is left. It
    is counted, and said in one line."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    ends, store = Ends(), over_nats(gateway).store
    await rooms.leases.take(ends.handle, LONG)
    strays, failures = metrics.BROKER_ERRORS.labels("stray_message")._value.get(), metrics.TIMER_FAILURES._value.get()
    bodies = (b"x", b"", b"\xff", b"[]", b'{"kind":"lease"}', b'{"kind":"empty","due":1,"roomId":"a"}')
    with capture_logs() as lines:
        for number in range(60):
            headers = {
                "Nats-Schedule": "@at 2020-01-01T00:00:00Z",
                "Nats-Schedule-Target": subjects.due_lease(LeaseName(f"poison{number}")),
            }
            name = LeaseName(f"poison{number}")
            await store.store(subjects.armed_lease(name), bodies[number % len(bodies)], headers)

        def dropped() -> bool:
            return bool(metrics.BROKER_ERRORS.labels("stray_message")._value.get() == strays + 60)

        await eventually(dropped, "all are dropped")
    assert metrics.TIMER_FAILURES._value.get() == failures
    assert len([line for line in lines if "a lease was armed" in line["event"]]) == 1
    last = LeaseName("the-last-one")
    await gateway.leases.arm(last, soon(0.3), after=NOWHERE)
    await eventually(lambda: ends.gateways == [gateway_of(last)], "the last one ends")


@on_nats
async def test_a_gateway_cannot_fill_the_store_with_leases(connect: Connect, shared_nats: SharedNats) -> None:
    """A message that is larger than a lease is refused. What is stored stays below a limit of its own, one message for
    each subject; and a lease that was dropped is armed anew, as one that was lost."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    held, store = HeldLease(gateway.leases, ONE), over_nats(gateway).store
    await held.renew(soon(AN_HOUR), now=0.0)
    with pytest.raises(Refused):
        await store.store(subjects.armed_lease(OTHER), bytes(900_000), {})
    for _ in range(5):
        await store.store(subjects.armed_lease(OTHER), bytes(1000), {})
    async with taker(shared_nats) as one:

        async def told() -> dict[str, Any]:
            return dict(
                await asked(one.client, f"$JS.API.STREAM.INFO.{subjects.LEASE_STREAM}", {"subjects_filter": ">"})
            )

        names = (await told())["state"]["subjects"]
        assert names[subjects.armed_lease(OTHER)] == 1
        for first in range(0, 12_000, 500):
            filling = (subjects.armed_lease(LeaseName(f"fill{first + number}")) for number in range(500))
            await asyncio.gather(*(store.store(subject, bytes(1500), {}) for subject in filling))
        assert (await told())["state"]["bytes"] <= 16 << 20
    assert held.gateway not in await rooms.leases.alive()
    await held.renew(soon(AN_HOUR), now=1.0)
    assert held.gateway in await rooms.leases.alive()
