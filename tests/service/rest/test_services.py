"""REST: who answers the gateway, told to anybody who asks, however often."""

import asyncio

from shared.broker.subjects import READ_SNAPSHOT, VALIDATE
from tests.service.rest.world import World


def count(world: World, subject: str, asked: list[str]) -> None:
    """Note every request to this subject."""
    for key, (endpoint, handler) in world.broker.answering[subject].items():

        async def noted(request: object, handler: object = handler) -> object:
            asked.append(subject)
            return await handler(request)  # type: ignore[operator]

        world.broker.answering[subject][key] = (endpoint, noted)


async def test_who_answers(world: World) -> None:
    """Each service by itself: one that does not answer is named, the other is not; and nobody, without the broker."""
    client = world.anyone()

    async def told() -> dict[str, bool]:
        world.now += 10
        answer: dict[str, dict[str, bool]] = (await client.get("/api/services")).json()
        return answer["answering"]

    assert await told() == {"auth": True, "rooms": True}
    auth = world.broker.answering.pop(VALIDATE.subject)
    assert await told() == {"auth": False, "rooms": True}
    world.broker.answering[VALIDATE.subject] = auth
    world.broker.answering.pop(READ_SNAPSHOT.subject)
    assert await told() == {"auth": True, "rooms": False}
    world.broker.down = True
    assert await told() == {"auth": False, "rooms": False}


async def test_strangers_cost_the_services_nothing(world: World) -> None:
    """However many ask, at the same time or one after another: each service is asked once in two seconds."""
    asked: list[str] = []
    for subject in (VALIDATE.subject, READ_SNAPSHOT.subject):
        count(world, subject, asked)
    client = world.anyone()
    world.now += 10
    await asyncio.gather(*(client.get("/api/services") for _ in range(50)))
    for _ in range(50):
        await client.get("/api/services")
    assert sorted(asked) == sorted([VALIDATE.subject, READ_SNAPSHOT.subject])
    world.now += 2
    await client.get("/api/services")
    assert len(asked) == 4
