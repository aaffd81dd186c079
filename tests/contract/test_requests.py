"""What both adapters promise about asking and answering."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.broker.ports import Ports
from shared.broker.requests import Service
from shared.broker.subjects import Endpoint
from shared.values.errors import Code, Refused
from shared.values.model import Tolerant
from tests.support.patience import eventually_async

Connect = Callable[[str], Awaitable[Ports]]


class Ask(Tolerant):
    """A question of this test."""

    how_many: int
    note: str | None = None


class Told(Tolerant):
    """Its answer."""

    total: int
    by: str = ""


class Ill(Tolerant):
    """A question of another shape."""

    how_many: str


ASK = Endpoint("rooms.test", Ask, Told)


def service(answer: Callable[[Ask], Awaitable[Told]]) -> Service:
    return Service("rooms", "answers tests", [(ASK, answer)])


async def refused(asking: Awaitable[object]) -> Refused:
    with pytest.raises(Refused) as caught:
        await asking
    return caught.value


def nobody_answers(ports: Ports) -> Callable[[], Awaitable[bool]]:
    """Whether a question finds nobody. One that was taken is waited for no longer than a moment."""

    async def found_nobody() -> bool:
        try:
            async with asyncio.timeout(0.1):
                await ports.requests.request(ASK, Ask(how_many=9))
        except TimeoutError:
            return False
        except Refused as refused:
            return refused.code is Code.UNAVAILABLE
        return False

    return found_nobody


async def test_a_question_is_answered(connect: Connect) -> None:
    """The handler gets the request's type with everything in it, the caller the reply's type."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    got: list[Ask] = []

    async def answer(ask: Ask) -> Told:
        got.append(ask)
        return Told(total=ask.how_many + 1)

    await rooms.requests.serve(service(answer))
    question = Ask(how_many=41, note="ä 😀 \u2028")
    assert await gateway.requests.request(ASK, question) == Told(total=42)
    assert got == [question]


async def test_a_refusal_arrives_whole(connect: Connect) -> None:
    """Code, sentence, details, the time to wait and the cause are the same for the caller as for the handler."""
    rooms, gateway = await connect("rooms"), await connect("gateway")

    async def answer(_: Ask) -> Told:
        details = {"limit": [1, {"a": None}]}
        raise Refused(Code.RATE_LIMITED, "not so fast, Zoë", details=details, retry_after_ms=1500, cause="haste")

    await rooms.requests.serve(service(answer))
    got = await refused(gateway.requests.request(ASK, Ask(how_many=1)))
    assert (got.code, got.message) == (Code.RATE_LIMITED, "not so fast, Zoë")
    assert (got.details, got.retry_after_ms, got.cause) == ({"limit": [1, {"a": None}]}, 1500, "haste")


async def test_a_bug_is_told_as_internal(connect: Connect) -> None:
    """Nothing of an unexpected exception leaves the service, and the service goes on answering."""
    rooms, gateway = await connect("rooms"), await connect("gateway")

    async def answer(ask: Ask) -> Told:
        if ask.how_many == 0:
            raise ZeroDivisionError("canary-4711")
        return Told(total=1)

    await rooms.requests.serve(service(answer))
    got = await refused(gateway.requests.request(ASK, Ask(how_many=0)))
    assert got.code is Code.INTERNAL
    assert "canary" not in got.message + str(got.details)
    assert "ZeroDivision" not in got.message + str(got.details)
    assert (await gateway.requests.request(ASK, Ask(how_many=1))).total == 1


async def test_a_question_of_the_wrong_shape_is_refused(connect: Connect) -> None:
    """What does not fit the schema never reaches the handler, and the refusal does not repeat it."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    called = False

    async def answer(_: Ask) -> Told:
        nonlocal called
        called = True
        return Told(total=1)

    await rooms.requests.serve(service(answer))
    got = await refused(gateway.requests.request(Endpoint(ASK.name, Ill, Told), Ill(how_many="canary-4711")))
    assert got.code is Code.BAD_MESSAGE
    assert "canary" not in got.message + str(got.details)
    assert not called


async def test_nobody_to_ask_is_unavailable_at_once(connect: Connect) -> None:
    """Without a service the caller does not wait for the timeout."""
    await connect("rooms")
    gateway = await connect("gateway")
    started = asyncio.get_running_loop().time()
    got = await refused(gateway.requests.request(ASK, Ask(how_many=1)))
    assert (got.code, got.retryable) == (Code.UNAVAILABLE, True)
    assert asyncio.get_running_loop().time() - started < 2


async def test_replicas_share_the_questions(connect: Connect) -> None:
    """Each question is answered once, and of two replicas both have their part."""
    answered = {"one": 0, "two": 0}
    for name in answered:
        rooms = await connect("rooms")

        async def answer(ask: Ask, name: str = name) -> Told:
            answered[name] += 1
            return Told(total=ask.how_many, by=name)

        await rooms.requests.serve(service(answer))
    gateway = await connect("gateway")
    asking = [gateway.requests.request(ASK, Ask(how_many=n)) for n in range(60)]
    assert [told.total for told in await asyncio.gather(*asking)] == list(range(60))
    assert sum(answered.values()) == 60
    assert min(answered.values()) > 0


async def test_a_slow_answer_does_not_hold_up_others(connect: Connect) -> None:
    """One question waiting in its handler leaves the others free to be answered."""
    rooms = await connect("rooms")
    gateway = await connect("gateway")
    release = asyncio.Event()

    async def answer(ask: Ask) -> Told:
        if ask.how_many == 0:
            await release.wait()
        return Told(total=ask.how_many)

    await rooms.requests.serve(service(answer))
    slow = asyncio.ensure_future(gateway.requests.request(ASK, Ask(how_many=0)))
    assert (await gateway.requests.request(ASK, Ask(how_many=1))).total == 1
    assert not slow.done()
    release.set()
    assert (await slow).total == 0


async def test_closing_finishes_what_was_taken(connect: Connect) -> None:
    """A service that closes while it answers still gives that answer; later questions find nobody."""
    rooms = await connect("rooms")
    gateway = await connect("gateway")
    taken, release = asyncio.Event(), asyncio.Event()

    async def answer(ask: Ask) -> Told:
        taken.set()
        await release.wait()
        return Told(total=ask.how_many)

    await rooms.requests.serve(service(answer))
    asking = asyncio.ensure_future(gateway.requests.request(ASK, Ask(how_many=7)))
    await taken.wait()
    closing = asyncio.ensure_future(rooms.connection.close())
    await eventually_async(nobody_answers(gateway), "it answers nothing new")
    release.set()
    assert (await asking).total == 7
    await closing
    assert (await refused(gateway.requests.request(ASK, Ask(how_many=8)))).code is Code.UNAVAILABLE
