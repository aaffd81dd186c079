"""How long the gateway goes on telling rooms that somebody is gone, by what rooms answers. In virtual time."""

import asyncio
from collections.abc import Callable

import pytest

from services.gateway.departures import LATE_SECONDS, UNFOLDABLE_SECONDS, PendingDeparture
from shared.broker.memory.broker import MemoryBroker
from shared.broker.memory.ports import connect
from shared.broker.requests import Requests, Service
from shared.broker.subjects import DROP_PARTICIPANT
from shared.rooms.commands import Done, DropParticipant
from shared.rooms.unfoldable import unfoldable
from shared.values import pauses
from shared.values.errors import Code, Refused, unavailable
from tests.simulation.clock import in_virtual_time
from tests.support.absence import drop

LONGEST_PAUSE = pauses.DEPARTURE[-1]
Answer = Callable[[float], Refused | None]


def now() -> float:
    """Seconds of the loop."""
    return asyncio.get_running_loop().time()


async def rooms_answering(answer: Answer) -> Requests:
    """Rooms, which answers a drop by the seconds since now: with a refusal, or that it is done."""
    began = now()

    async def handle(_: DropParticipant) -> Done:
        refused = answer(now() - began)
        if refused is not None:
            raise refused
        return Done()

    requests = connect(MemoryBroker()).requests
    await requests.serve(Service("rooms", "rooms", [(DROP_PARTICIPANT, handle)]))
    return requests


async def seconds_until_over(answer: Answer, *, late: bool, at_most: float = 1000.0) -> float | None:
    """How long it is tried; None if that is longer than at most."""
    requests, began = await rooms_answering(answer), now()
    departure = PendingDeparture([drop("ann")], late=late)
    task = asyncio.create_task(departure.say(requests, asyncio.Semaphore(1)))
    done, _ = await asyncio.wait({task}, timeout=at_most)
    if done:
        return now() - began
    await departure.cancel()
    return None


def not_in_room() -> Refused:
    return Refused(Code.NOT_IN_ROOM, "you are not in this room")


@in_virtual_time
async def test_an_undo_in_a_room_that_cannot_be_folded_ends() -> None:
    """Whoever names such a room when it resumes leaves nothing behind that is tried for ever."""
    took = await seconds_until_over(lambda _: unfoldable(), late=True)
    assert took is not None
    assert UNFOLDABLE_SECONDS <= took <= UNFOLDABLE_SECONDS + LONGEST_PAUSE


@in_virtual_time
async def test_an_undo_may_reach_a_newer_replica() -> None:
    """Until then it goes on: a replica that can fold the room does it, or says that nobody is in it."""
    took = await seconds_until_over(lambda at: unfoldable() if at < 100 else None, late=True)
    assert took is not None
    assert 100 <= took <= 100 + LONGEST_PAUSE
    took = await seconds_until_over(lambda at: unfoldable() if at < 60 else not_in_room(), late=True)
    assert took is not None
    assert 60 + LATE_SECONDS - LONGEST_PAUSE <= took <= 60 + LATE_SECONDS + LONGEST_PAUSE


@in_virtual_time
async def test_replicas_that_disagree_do_not_keep_an_undo_for_ever() -> None:
    """Older replicas that cannot fold the room answer in turn with newer ones that find nobody in it."""
    answers = iter(range(10_000))
    took = await seconds_until_over(lambda _: not_in_room() if next(answers) % 2 else unfoldable(), late=True)
    assert took is not None
    assert took <= UNFOLDABLE_SECONDS + 2 * LONGEST_PAUSE


@in_virtual_time
async def test_an_undo_waits_for_a_broker_that_is_away() -> None:
    """Other refusals end nothing, and the time for rooms that cannot be folded begins after the last of them."""
    assert await seconds_until_over(lambda _: unavailable("rooms"), late=True) is None
    took = await seconds_until_over(lambda at: unavailable("rooms") if at < 300 else unfoldable(), late=True)
    assert took is not None
    assert 300 + UNFOLDABLE_SECONDS - LONGEST_PAUSE <= took <= 300 + UNFOLDABLE_SECONDS + LONGEST_PAUSE


@in_virtual_time
@pytest.mark.parametrize("refused", [unfoldable(), unavailable("rooms")])
async def test_who_had_a_seat_is_dropped_in_the_end(refused: Refused) -> None:
    """A drop that is no undo goes on: as many as this gateway had participants."""
    assert await seconds_until_over(lambda _: refused, late=False) is None
    took = await seconds_until_over(lambda at: refused if at < 500 else None, late=False)
    assert took is not None
    assert 500 <= took <= 500 + LONGEST_PAUSE
