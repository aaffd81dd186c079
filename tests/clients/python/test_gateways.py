"""The Python client with two gateways, one of which is killed."""

import asyncio

import parley
from parley import Resumed

from tests.clients.python.conftest import gateway_processes, kill, until
from tests.support.launched import Launched
from tests.support.patience import eventually
from tests.support.system import token


async def test_a_gateway_is_killed(two_gateways: Launched) -> None:
    """Who was connected to a gateway that is killed goes on at the other, as the same participant, with everything
    that happened and was asked meanwhile."""
    first, second = two_gateways.urls
    victim, _ = await asyncio.to_thread(gateway_processes, two_gateways)
    async with (
        parley.connect([first, second], token=token("alice")) as alice,
        parley.connect(second, token=token("bob")) as bob,
        alice.join("r") as here,
        bob.join("r") as there,
    ):
        me, events = here.me.id, here.events()
        kill(victim)
        theirs = [asyncio.ensure_future(there.update(metadata={"n": n})) for n in range(10)]
        ours = [asyncio.ensure_future(here.update(metadata={"n": n})) for n in range(10)]
        assert await until(events, Resumed) == Resumed(recovered=True)
        await asyncio.gather(*theirs, *ours)
        await eventually(lambda: here.participants == there.participants, "both see the same")
        assert (here.me.id, here.me.metadata, here.others[0].metadata) == (me, {"n": 9}, {"n": 9})
