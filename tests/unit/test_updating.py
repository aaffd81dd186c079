"""The gateway's side of changes made together, where rooms is of another release or cannot answer."""

import json
from types import SimpleNamespace
from typing import Any, cast

from services.gateway.participation.messages import UpdateSelf
from services.gateway.participation.updating import update
from services.gateway.session.feature import TOGETHER, Batch, Request, SessionHandle
from shared.rooms.commands import Updated, UpdateParticipant
from shared.values.errors import Code, Refused, unavailable


class Rooms:
    """Answers as it is told, and keeps what it was asked."""

    def __init__(self, *answers: Updated | Refused) -> None:
        self.asked: list[UpdateParticipant] = []
        self._answers = list(answers)

    async def request(self, _endpoint: object, command: UpdateParticipant) -> Updated:
        self.asked.append(command)
        answer = self._answers.pop(0) if self._answers else Updated.model_validate({})
        if isinstance(answer, Refused):
            raise answer
        return answer


def session(rooms: Rooms, patience: float = 2.0) -> SessionHandle:
    """One participant's."""
    stay = SimpleNamespace(room_id="r", participant_id="p_1", epoch=1)
    part = SimpleNamespace(named=lambda _room_id: stay, opened=SimpleNamespace(key="key"))
    settings = SimpleNamespace(throttle_seconds=patience)
    context = SimpleNamespace(ports=SimpleNamespace(requests=rooms), settings=settings, clock=lambda: 1.0)
    return cast("SessionHandle", SimpleNamespace(part=lambda _kind: part, context=context))


def batch(count: int) -> tuple[Batch[UpdateSelf], list[Request[UpdateSelf]]]:
    """So many requests, of which all but the first wait; and those that wait."""
    messages = [{"type": "update_self", "id": f"{n}", "metadata": {"n": n}} for n in range(count)]
    first, *waiting = (Request(UpdateSelf.model_validate(one), json.dumps(one)) for one in messages)

    def take_next(fits: Any) -> Request[Any] | None:
        return waiting.pop(0) if waiting and fits(waiting[0]) else None

    return Batch(first, take_next, lambda _request: True), waiting


async def test_rooms_of_0_4_0() -> None:
    """It does the first of them, and its answer says nothing of the others: each is asked for itself, in order."""
    rooms = Rooms()
    many, _ = batch(3)
    assert list(await update(session(rooms), many)) == [None, None, None]
    assert [command.metadata for command in rooms.asked] == [{"n": 0}, {"n": 1}, {"n": 2}]


async def test_a_refusal_of_the_first_says_nothing_of_the_others() -> None:
    """Rooms of 0.4.0 refuses the first only; what cannot be answered now is refused for all that were asked together."""
    rooms = Rooms(Refused(Code.TOO_LARGE, "too large"), Updated(), unavailable("the room"))
    many, _ = batch(5)
    results = await update(session(rooms), many)
    codes = [refused.code if refused else None for refused in results]
    assert codes == [Code.TOO_LARGE, None, Code.UNAVAILABLE, Code.UNAVAILABLE, Code.UNAVAILABLE]
    assert len(rooms.asked) == 3


class Losing(Rooms):
    """Loses every request, and meanwhile more changes come."""

    def __init__(self, meanwhile: list[Request[UpdateSelf]], waiting: list[Request[UpdateSelf]]) -> None:
        super().__init__()
        self._meanwhile, self._waiting = meanwhile, waiting

    async def request(self, _endpoint: object, command: UpdateParticipant) -> Updated:
        self._waiting += self._meanwhile
        await super().request(_endpoint, command)
        raise unavailable("the room")


async def test_what_came_while_the_first_was_lost_is_not_made_either() -> None:
    """Else the first, sent again when the connection was lost as well, would be the last word."""
    many, waiting = batch(3)
    meanwhile, waiting[:] = waiting[:], []
    rooms = Losing(meanwhile, waiting)
    results = await update(session(rooms), many)
    assert [refused.code if refused else None for refused in results] == [Code.UNAVAILABLE] * 3
    assert (len(rooms.asked), waiting) == (1, [])


async def test_it_waits_as_long_as_it_may() -> None:
    """Told to wait longer than a connection is slowed down for, it refuses all; told to wait less, it asks again."""
    late = Refused(Code.RATE_LIMITED, "too often", retry_after_ms=5000)
    rooms = Rooms(late)
    many, _ = batch(3)
    results = await update(session(rooms), many)
    assert [refused.code if refused else None for refused in results] == [Code.RATE_LIMITED] * 3
    soon = Refused(Code.RATE_LIMITED, "too often", retry_after_ms=10)
    rooms = Rooms(soon, Updated(refusals=(None,) * 3))
    many, _ = batch(3)
    assert list(await update(session(rooms), many)) == [None] * 3
    assert [len(command.changes) for command in rooms.asked] == [3, 3]


async def test_a_bound_of_what_is_handled_together() -> None:
    """More than so many wait for the next turn."""
    many, waiting = batch(TOGETHER + 20)
    many.grow()
    assert (len(many.requests), len(waiting)) == (TOGETHER, 20)
