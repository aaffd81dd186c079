"""What both adapters promise about who is handed a timer: one taker, again after a failure, all of them in the end."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from shared.broker.nats import taker as nats_taker
from shared.broker.nats.taker import Due
from shared.broker.ports import Ports
from shared.broker.subjects import DUE_TIMERS, TIMER_STREAM
from shared.rooms import timers
from shared.rooms.timers import RoomEmpty, Timer
from shared.rooms.unfoldable import unfoldable
from shared.values.errors import unavailable
from shared.values.ids import RoomId
from tests.support.backup import asked
from tests.support.broker import over_nats
from tests.support.broker_kind import on_nats
from tests.support.lost import taker as administrator
from tests.support.patience import eventually, eventually_async
from tests.support.shared_nats import SharedNats
from tests.support.timers import LONG, RETRY, Taker, empty, settled

Connect = Callable[[str], Awaitable[Ports]]


A, B = RoomId("room-a"), RoomId("room-b")


async def test_two_takers_share(connect: Connect) -> None:
    """Each timer goes to one of the processes that take them, and both have some."""
    one, two = await connect("rooms"), await connect("rooms")
    takers = [Taker(), Taker()]
    for ports, taker in zip((one, two), takers, strict=True):
        await ports.timers.take(taker.handle, LONG)
    timers = [empty(f"room-{n}", 0.5) for n in range(200)]
    await asyncio.gather(*(one.timers.arm(timer) for timer in timers))
    await eventually(lambda: sum(len(taker.taken) for taker in takers) >= 200, "all are taken")
    names = takers[0].names + takers[1].names
    assert Counter(names) == {timer.name: 1 for timer in timers}
    assert takers[0].taken
    assert takers[1].taken


@pytest.mark.parametrize("failure", [unavailable("the log"), KeyError("a bug")])
async def test_a_timer_that_failed_comes_again(connect: Connect, failure: Exception) -> None:
    """A handler that refuses, or has a bug, gets it again until it is done; then never more."""
    rooms = await connect("rooms")
    taker = Taker()
    taker.failures = [failure, failure]
    await rooms.timers.take(taker.handle, RETRY)
    timer = empty("again")
    await rooms.timers.arm(timer)
    await eventually(taker.has(3), "it is handed over three times")
    await settled(rooms, taker)
    assert [taken for _, taken in taker.taken[:3]] == [timer] * 3
    times = [at for at, _ in taker.taken]
    assert times[1] - times[0] >= RETRY * 0.9
    assert Counter(taker.names)[timer.name] == 3


async def test_another_one_takes_what_failed(connect: Connect) -> None:
    """What one process cannot do, another one is handed."""
    broken, sound = await connect("rooms"), await connect("rooms")
    fails, works = Taker(), Taker()
    fails.failures = [unavailable("the log")] * 1000
    await broken.timers.take(fails.handle, RETRY)
    await sound.timers.take(works.handle, RETRY)
    timers = [empty(f"room-{n}") for n in range(6)]
    for timer in timers:
        await sound.timers.arm(timer)
    await eventually(lambda: {timer.name for timer in timers} <= set(works.names), "the other one has taken them")


async def test_who_stopped_is_handed_nothing(connect: Connect) -> None:
    """After `stop` returned what is due goes to the others; what was being handled has been finished."""
    one, two = await connect("rooms"), await connect("rooms")
    other = Taker()
    began, goes_on = asyncio.Event(), asyncio.Event()
    finished: list[str] = []

    async def slow(timer: Timer) -> None:
        began.set()
        await goes_on.wait()
        finished.append(timer.name)

    taking = await one.timers.take(slow, LONG)
    first = empty("first")
    await one.timers.arm(first)
    async with asyncio.timeout(10):
        await began.wait()
    stopping = asyncio.create_task(taking.stop())
    await two.timers.take(other.handle, LONG)
    goes_on.set()
    async with asyncio.timeout(10):
        await stopping
    later = [empty(f"room-{n}", 0.1) for n in range(10)]
    for timer in later:
        await two.timers.arm(timer)
    await eventually(other.has(10), "the other one takes them")
    await eventually(lambda: finished == [first.name], "the first is finished")
    assert sorted(other.names) == sorted(timer.name for timer in later)


async def test_what_was_due_while_nobody_took(connect: Connect) -> None:
    """It waits, and is handed over when somebody comes; then it is gone for whoever comes later."""
    rooms = await connect("rooms")
    timers = [empty(f"room-{n}") for n in range(10)]
    for timer in timers:
        await rooms.timers.arm(timer)

    async def fired() -> bool:
        return await rooms.timers.armed(timers[-1]) is None

    await eventually_async(fired, "they are due")
    first, second = Taker(), Taker()
    taking = await rooms.timers.take(first.handle, LONG)
    await eventually(first.has(10), "they are taken")
    await taking.stop()
    await rooms.timers.take(second.handle, LONG)
    await settled(rooms, second)
    assert sorted(first.names) == sorted(timer.name for timer in timers)
    assert len(second.names) == 1


async def test_very_many_at_once(connect: Connect) -> None:
    """Thousands that are due in the same moment all arrive, each once."""
    rooms = await connect("rooms")
    taker = Taker()
    await rooms.timers.take(taker.handle, LONG)
    due = time.time() + 2.0
    timers = [RoomEmpty(due=due, room_id=RoomId(f"room-{n}")) for n in range(2000)]
    await asyncio.gather(*(rooms.timers.arm(timer) for timer in timers))
    await eventually(taker.has(2000), "all are taken")
    await settled(rooms, taker)
    assert Counter(taker.names[:-1]) == {timer.name: 1 for timer in timers}


@on_nats
async def test_beside_the_release_before(connect: Connect, shared_nats: SharedNats) -> None:
    """0.4.0 gives the durable consumer a wider filter whenever it starts. Both take; with this release alone another
    service may have due timers of its own in there."""
    rooms, old = await connect("rooms"), await connect("rooms")
    taker, olds = Taker(), Taker()
    await rooms.timers.take(taker.handle, LONG)
    connection = over_nats(old)

    async def decoded(due: Due) -> None:
        await olds.handle(timers.decode(due.body))

    old_taker = nats_taker.Taker(
        connection.client, connection.replies, TIMER_STREAM, ("agentlink.timer.due.>",), decoded, LONG
    )
    await old_taker.start()
    await asyncio.gather(*(rooms.timers.arm(empty(f"room-{n}", 0.3)) for n in range(200)))
    await eventually(lambda: len(taker.taken) + len(olds.taken) == 200, "both take")
    assert await filters(shared_nats) == ["agentlink.timer.due.>"]
    await old_taker.stop()
    again = Taker()
    await rooms.timers.take(again.handle, LONG)
    assert await filters(shared_nats) == list(DUE_TIMERS)


async def filters(nats: SharedNats) -> list[str]:
    """What the durable consumer of rooms takes."""
    async with administrator(nats) as one:
        told = await asked(one.client, f"$JS.API.CONSUMER.INFO.{TIMER_STREAM}.rooms", {})
    config = told["config"]
    return list(config.get("filter_subjects") or [config["filter_subject"]])


async def test_very_many_that_nobody_can_handle_keep_no_others_waiting(connect: Connect) -> None:
    """Twelve hundred timers of rooms that cannot be folded come again and again. Another one is taken when it is due."""
    rooms = await connect("rooms")
    broken = [empty(f"broken-{n}") for n in range(1200)]
    failing = Counter[str]()
    taken: list[str] = []

    async def handle(timer: Timer) -> None:
        if isinstance(timer, RoomEmpty):
            taken.append(timer.name)
            return
        failing[timer.name] += 1
        raise unfoldable()

    await rooms.timers.take(handle, LONG)
    await asyncio.gather(*(rooms.timers.arm(timer) for timer in broken))
    await eventually(lambda: len(failing) == len(broken), "all have failed")
    sound = RoomEmpty(due=time.time() + 0.5, room_id=A)
    await rooms.timers.arm(sound)
    await eventually(lambda: taken == [sound.name], "the other one is taken", within=5)


async def test_what_cannot_be_folded_comes_ever_more_seldom(connect: Connect) -> None:
    """After one second, then two: a room that is mended gets its timer, and until then it costs little."""
    rooms = await connect("rooms")
    taker = Taker()
    taker.failures = [unfoldable(), unfoldable()]
    await rooms.timers.take(taker.handle, 1.0)
    await rooms.timers.arm(empty("unfoldable"))
    await eventually(taker.has(3), "it is handed over three times")
    first, second, third = (at for at, _ in taker.taken)
    assert second - first >= 0.9
    assert third - second >= 1.8


@on_nats
async def test_a_consumer_of_an_earlier_release_gets_no_bound(connect: Connect, shared_nats: SharedNats) -> None:
    """0.4.0 made it with a bound of a thousand messages that are not acknowledged, and makes it so again when it starts."""
    rooms = await connect("rooms")
    async with administrator(shared_nats) as one:
        config = {"durable_name": "rooms", "ack_policy": "explicit", "filter_subject": "agentlink.timer.due.>"}
        body = {"stream_name": TIMER_STREAM, "config": config}
        made = await asked(one.client, f"$JS.API.CONSUMER.CREATE.{TIMER_STREAM}.rooms.agentlink.timer.due.>", body)
        assert made["config"]["max_ack_pending"] == 1000
        await rooms.timers.take(Taker().handle, LONG)
        told = await asked(one.client, f"$JS.API.CONSUMER.INFO.{TIMER_STREAM}.rooms", {})
        assert told["config"]["max_ack_pending"] == -1
