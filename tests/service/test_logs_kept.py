"""The clock of rooms' logs: silent rooms are trimmed by their age, closed ones soon after they closed."""

import asyncio

from shared.broker.subjects import event_log
from shared.values.ids import RoomId
from tests.simulation.clock import in_virtual_time
from tests.support.broker_kind import on_both
from tests.support.patience import eventually_async
from tests.support.stored import events_of
from tests.support.system import System
from tests.support.virtual import VirtualSystem


@in_virtual_time
async def test_a_room_in_which_nothing_happens_any_more(virtual: VirtualSystem) -> None:
    """Its log is trimmed by its age all the same, by the clock alone; who is in it hears nothing, and it goes on."""
    await virtual.start(log_seconds=100, log_kept_seconds=20)
    alice = await virtual.agent("alice")
    await alice.join("silent")
    log = virtual.ports[0].room_log

    async def stored() -> list[bool]:
        return [one.checkpoint is not None for one in events_of(await log.read(event_log(RoomId("silent")), limit=10))]

    await asyncio.sleep(98)
    assert await stored() == [False]
    await asyncio.sleep(6)
    assert await stored() == [False, True]
    await asyncio.sleep(24)
    assert await stored() == [True]
    await asyncio.sleep(1000)
    assert await stored() == [True]
    assert (await alice.ask("update_self", name="Alicia"))["type"] == "ok"
    assert (await alice.hear("user_updated"))["revision"] == 3


@on_both
async def test_a_room_that_closed_long_ago(system: System) -> None:
    """Its log goes but for the end, so that its id stays taken, for replicas that never knew it too; no list shows it."""
    await system.start(closed_log_seconds=0.3)
    alice = await system.agent("alice")
    await alice.join("old")
    for n in range(5):
        await alice.ask("update_self", name=f"Alice {n}")
    await system.rest("DELETE", "/old")
    log = system.ports[0].room_log

    async def trimmed() -> bool:
        return len(await log.read(event_log(RoomId("old")), limit=10)) == 1

    await eventually_async(trimmed, "only the end is left")
    await system.start_rooms()
    for _ in range(4):  # both replicas answer
        assert (await alice.ask("join_room", roomId="old"))["code"] == "room_closed"
        taken = await system.rest("POST", "", name="New", type="voice", roomId="old")
        assert (taken.status_code, taken.json()["code"]) == (409, "room_exists")
        assert (await system.rest("GET", "")).json()["rooms"] == []
