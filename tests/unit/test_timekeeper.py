"""Rooms that cannot be looked after when their gateway is lost: the others are, and the sweep ends with what is left."""

from typing import Any

import pytest

from services.rooms.decision import Rules
from services.rooms.executor import RoomExecutor
from services.rooms.log import RoomLog
from services.rooms.timekeeper import SWEEP_SECONDS, Timekeeper
from shared.broker.marks import Marked
from shared.broker.memory.broker import MemoryBroker
from shared.broker.memory.ports import connect
from shared.broker.ports import Ports
from shared.rooms.roster import FOLD_VERSION
from shared.rooms.timers import LeaseEnds, Sweep
from shared.rooms.unfoldable import is_unfoldable
from shared.values.errors import Refused, unavailable
from shared.values.ids import RoomId
from shared.values.position import NOWHERE
from tests.support.absence import G1
from tests.support.orders import NOW, create, join
from tests.support.trimmed import write_snapshot

NAMES = [RoomId(f"room-{n}") for n in range(5)]
BAD = NAMES[1]
LEASE, SWEEP = LeaseEnds(due=NOW, gateway=G1), Sweep(due=NOW + SWEEP_SECONDS, gateway=G1)


class Keeper:
    """One replica of rooms with its timekeeper, and five rooms with one participant of the gateway in each."""

    def __init__(self) -> None:
        self.broker = MemoryBroker(clock=lambda: NOW)
        self.ports: Ports = connect(self.broker)
        self.log = RoomLog(self.ports, capacity=10, snapshot_every=1000, waiting=10)
        self.executor = RoomExecutor(self.log, Rules(), lambda: NOW)
        self.timekeeper = Timekeeper(self.ports, self.executor, lambda: NOW, self.trim)
        self.tried: list[RoomId] = []
        execute = self.executor.execute

        async def tried(command: Any, *, newest: bool = False) -> Any:
            self.tried.append(command.room_id)
            return await execute(command, newest=newest)

        self.executor.execute = tried  # type: ignore[method-assign]  # to see what is tried

    async def trim(self, room_id: RoomId) -> None:
        """No log is kept too long in these tests."""
        raise AssertionError(room_id)

    async def fill(self) -> None:
        """Make the rooms; one gets a snapshot of a newer fold."""
        for name in NAMES:
            await self.executor.execute(create(name))
            await self.executor.execute(join("ann", name))
        self.write(FOLD_VERSION + 1)
        await self.ports.marks.write(Marked.LEASES, b"", after=NOWHERE)
        self.tried.clear()

    def write(self, fold_version: int) -> None:
        """Write a snapshot of this fold into the log of the bad room, instead of what it has."""
        write_snapshot(self.broker, self.log._folds[BAD], fold_version=fold_version)

    async def refuses(self, timer: LeaseEnds | Sweep) -> Refused:
        """Handle a timer, which fails; the rooms tried are counted anew."""
        self.tried.clear()
        with pytest.raises(Refused) as caught:
            await self.timekeeper.handle(timer)
        return caught.value

    async def away(self) -> list[RoomId]:
        """The rooms whose participant is shown as reconnecting."""
        folds = [await self.executor.read(name) for name in NAMES if name != BAD]
        return [fold.room_id for fold in folds for seat in fold.seats.values() if seat.dropped_at]


@pytest.fixture
async def keeper() -> Keeper:
    keeper = Keeper()
    await keeper.fill()
    return keeper


OTHERS = [name for name in NAMES if name != BAD]


async def test_a_lease_leaves_unfoldable_rooms_to_the_sweep(keeper: Keeper) -> None:
    """All others are looked after, and the timer does not come again: it would put the sweep off each time."""
    await keeper.timekeeper.handle(LEASE)
    assert sorted(keeper.tried) == NAMES
    assert await keeper.away() == OTHERS
    assert await keeper.ports.timers.armed(SWEEP) is not None


async def test_the_sweep_ends_with_the_unfoldable_rooms(keeper: Keeper) -> None:
    """It forgets the rooms that are done and comes again for the one that is not, until that can be folded."""
    for tried in (NAMES, [BAD], [BAD]):
        assert is_unfoldable(await keeper.refuses(SWEEP))
        assert sorted(keeper.tried) == tried
        assert await keeper.ports.notes.noted_rooms(G1) == [BAD]
    assert await keeper.away() == OTHERS
    keeper.write(FOLD_VERSION)
    await keeper.timekeeper.handle(SWEEP)
    assert await keeper.ports.notes.noted_rooms(G1) == []
    fold = await keeper.executor.read(BAD)
    assert [seat.participant.connection for seat in fold.seats.values()] == ["reconnecting"]


@pytest.mark.parametrize("timer", [LEASE, SWEEP])
async def test_one_rooms_failure_stops_no_other_room(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch, timer: LeaseEnds | Sweep
) -> None:
    """A room that cannot be read now makes the timer come again, after all rooms were tried, and is told before one that
    cannot be folded.
    """
    read = keeper.ports.room_log.read

    async def failing(subject: str, **bounds: Any) -> Any:
        if NAMES[0] in subject:
            raise unavailable("the log")
        return await read(subject, **bounds)

    monkeypatch.setattr(keeper.ports.room_log, "read", failing)
    keeper.log.forget(NAMES[0])
    assert not is_unfoldable(await keeper.refuses(timer))
    assert sorted(keeper.tried) == NAMES
    noted = await keeper.ports.notes.noted_rooms(G1)
    assert noted == (NAMES if timer is LEASE else NAMES[:2])
    monkeypatch.undo()
    assert await keeper.away() == NAMES[2:]


async def test_no_lease_ends_while_leases_are_lost(keeper: Keeper) -> None:
    """Whoever lives has to have the time to arm its own anew: the timer comes again, and nobody is away meanwhile."""
    keeper.broker.lose_leases()
    await keeper.refuses(LEASE)
    assert keeper.tried == []
    assert await keeper.away() == []
