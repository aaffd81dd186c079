"""The rules of the public port: turns, counts of connections and requests, and the share of time that strangers get."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.transport.arrivals import OVER, SILENT_SECONDS, Arrival, Arrivals
from services.gateway.transport.fair_queue import FairQueue
from services.gateway.transport.gate import Gate
from services.gateway.transport.intake import PIECE, Intake
from services.gateway.transport.request_limits import BURST, RequestLimits
from shared.values.errors import Code


@given(st.lists(st.sampled_from("abcdefgh"), max_size=80))
def test_everybody_has_a_turn(keys: list[str]) -> None:
    """Between two turns of one key every other one that waits has one; within a key it is first come, first served; nothing
    is lost."""
    queue: FairQueue[tuple[str, int]] = FairQueue()
    counts: Counter[str] = Counter()
    for key in keys:
        queue.put(key, (key, counts[key]))
        counts[key] += 1
    taken: list[tuple[str, int]] = []
    while queue:
        assert len(queue) == len(keys) - len(taken)
        taken.append(queue.take())
    assert sorted(taken) == sorted((key, n) for key, count in counts.items() for n in range(count))
    order = [key for key, _ in taken]
    for at, key in enumerate(order):
        assert taken[at][1] == order[:at].count(key)
        if key in order[at + 1 :]:
            until = order.index(key, at + 1)
            waiting = {other for other in counts if other != key and other in order[at + 1 :]}
            assert waiting <= set(order[at + 1 : until]), "it had two turns before somebody had one"


def arrivals(each: int = 3, strangers: int = 5, most: int = 10) -> Arrivals:
    """With small limits."""
    return Arrivals(each=each, strangers=strangers, most=most, proxies=["10.0.0.0/8"])


def come(to: Arrivals, peer: str, now: float = 0.0) -> Arrival:
    """One that is let in."""
    arrival = to.arrive(peer, now)
    assert arrival is not None
    return arrival


def test_an_address_has_so_many() -> None:
    """Above its limit a connection is only answered that; far above it is not let in. When one goes there is room again."""
    port = arrivals(each=3)
    first, *_, third = [come(port, f"2001:db8::{n}") for n in range(3)]
    assert not third.over
    assert all(come(port, "[2001:db8::9]:1").over for _ in range(OVER))
    assert port.arrive("2001:db8::9", 0) is None
    assert not come(port, "2001:db8:0:1::1").over
    port.gone(first)
    assert come(port, "2001:db8::1").over, "there are still more than it may have"


def test_a_proxy_is_no_address() -> None:
    """A trusted proxy may have any number; what it passes on counts for whom it stands for, until it is gone."""
    port = arrivals(each=2, most=100)
    through = [come(port, "10.1.1.1") for _ in range(5)]
    assert not any(one.over for one in through)
    assert [port.stands_for(one, "198.51.100.1") for one in through] == [True, True, False, False, False]
    assert port.stands_for(through[4], "198.51.100.2")
    assert come(port, "198.51.100.1").over
    for one in through:
        port.gone(one)
    port.gone(come(port, "198.51.100.1"))
    assert not come(port, "198.51.100.1").over


def test_who_makes_place() -> None:
    """Who has been silent for longest, once that is more than a moment; nobody who waits for us, or has authenticated."""
    port, cut = arrivals(strangers=3), list[int]()
    ones = [come(port, f"192.0.2.{n}", now=n / 10) for n in range(3)]
    for n, one in enumerate(ones):
        one.cut = partial(cut.append, n)
    assert not port.room_for_strangers(0.5), "the first bytes may still be on their way"
    port.heard(ones[0])
    assert port.room_for_strangers(SILENT_SECONDS + 0.5)
    assert cut == [1]
    port.gone(ones[1])
    port.known(ones[2])
    assert (port.strangers, port.open) == (1, 2)
    assert all(come(port, "192.0.2.9", now=9) and port.strangers <= 3 for _ in range(2))
    port.silent(ones[0], 9.5)
    assert not port.room_for_strangers(9.5)
    assert cut == [1]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), max_size=100))
def test_counts_come_back_to_nothing(steps: list[tuple[int, int]]) -> None:
    """Whatever comes, is heard, becomes known or goes in whatever order: in the end nothing is counted."""
    port, here = arrivals(each=4, strangers=8, most=12), []
    for step, n in steps:
        if step == 0:
            arrival = port.arrive(("192.0.2.1", "192.0.2.2", "10.0.0.1", "junk")[n % 4], 0.0)
            here += [arrival] if arrival else []
        elif here:
            one = here[n % len(here)]
            if step == 1:
                port.known(one)
            elif step == 2:
                port.stands_for(one, "198.51.100.1")
            else:
                here.remove(one)
                port.gone(one)
        assert port.open == len(here)
        assert port.strangers == sum(one.stranger for one in here)
    for one in here:
        port.gone(one)
    assert (port.open, port.strangers, port._counts, len(port._silent)) == (0, 0, Counter(), 0)


def test_requests() -> None:
    """A rate for each address, and a number at once: a fourth of all for one; nobody's own requests count in all only."""
    limits = RequestLimits(rate=2, at_once=8)
    assert [limits.begin("a", 0) for _ in range(2)] == [None, None]
    refused = limits.begin("a", 0)
    assert refused is not None
    assert refused.code is Code.RATE_LIMITED
    assert all(limits.begin("", 0) is None for _ in range(6))
    refused = limits.begin("b", 0)
    assert refused is not None
    assert refused.code is Code.UNAVAILABLE
    for network in ("a", "a", *[""] * 6):
        limits.end(network)
    for _ in range(2 * BURST - 3):
        assert limits.begin("a", 0) is None
        limits.end("a")
    refused = limits.begin("a", 0)
    assert refused is not None
    assert refused.retry_after_ms == 1000
    assert limits.begin("b", 0) is None


class Clock:
    """Moves only when told to, or when work is done."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now

    def work(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@pytest.mark.parametrize("share", [0.25, 0.5])
async def test_strangers_get_their_share(share: float) -> None:
    """However much they ask for, work for strangers takes their share of the time, and everybody else has turns between."""
    clock, done, turns = Clock(), Counter[str](), 0
    gate = Gate(share, "strangers", clock)

    def enter(key: str) -> None:
        def work() -> None:
            clock.work(0.001)
            done[key] += 1
            enter(key)

        gate.enter(key, work)

    for key in "abc":
        enter(key)
    while clock.now < 2:
        turns += 1
        clock.work(0.0005)
        await asyncio.sleep(0.0005)
    gate.close()
    spent = sum(done.values()) * 0.001
    assert spent <= share * clock.now + 0.05
    assert spent >= share * clock.now * 0.5
    assert turns > 100
    assert max(done.values()) - min(done.values()) <= 2


async def test_work_is_done_at_once_while_nobody_floods() -> None:
    """Nobody waits for a turn that is free; and what waits elsewhere costs nothing."""
    clock, done = Clock(), []
    gate = Gate(0.5, "strangers", clock)
    gate.enter("a", lambda: done.append("a"))
    assert done == ["a"]

    async def waits() -> None:
        clock.work(0.001)
        await asyncio.sleep(0)
        clock.now += 5
        await asyncio.sleep(0)

    await gate.measured(waits())
    gate.enter("a", lambda: done.append("b"))
    assert done == ["a"], "five seconds of work are not paid back yet"
    gate.close()


async def test_measured_work_is_cancelled_and_raises_as_ever() -> None:
    """A cancellation reaches the work inside, and its exceptions come out."""
    gate, seen = Gate(0.5, "strangers"), []

    async def fails() -> None:
        await asyncio.sleep(0)
        raise KeyError("x")

    with pytest.raises(KeyError):
        await gate.measured(fails())

    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    task = asyncio.ensure_future(gate.measured(stubborn()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cancelled"]


async def test_an_intake_keeps_order() -> None:
    """A stranger's bytes are parsed a piece at a turn and in order, whoever gives the turns, while they are taken; at the end what came."""
    parsed: list[bytes] = []
    turns: list[Callable[[], None]] = []
    ready = True
    intake = Intake(parsed.append, lambda: ready, turns.append)
    sent = bytes(range(256)) * (3 * PIECE // 256)
    intake.take(sent)
    assert parsed == []
    turns.pop()()
    assert len(parsed[0]) == PIECE
    assert len(turns) == 1, "it asks for its next turn itself"
    intake.change(lambda work: work())
    intake.take(b"later")
    turns.pop()()
    assert b"".join(parsed) == sent + b"later"
    assert len(parsed) == math.ceil(len(sent + b"later") / PIECE)
    intake.take(b"now")
    assert parsed[-1] == b"now"
    ready = False
    intake.take(sent)
    assert parsed[-1] == b"now"
    intake.finish(lambda: True)
    assert b"".join(parsed[-3:]) == sent
