"""One run: a cluster, some clients, some faults; then quiet, and a comparison of the clients' records with the log."""

import asyncio
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Any

import structlog

from shared.broker.subjects import CREATE_ROOM
from shared.rooms.commands import CreateRoom
from shared.rooms.model import RoomSettings
from shared.values.errors import Refused
from shared.values.ids import RoomId
from tests.simulation.actor import OWNER, Actor
from tests.simulation.checks import check
from tests.simulation.client import Client
from tests.simulation.clock import Stuck, VirtualLoop
from tests.simulation.cluster import Cluster
from tests.simulation.ledger import Ledger
from tests.simulation.network import Network
from tests.simulation.process import task_factory
from tests.simulation.trouble import Trouble

CLIENTS = 7
STEPS = 300
LONGEST_SECONDS = 900.0  # of virtual time; a run that takes longer is stuck
QUIET_SECONDS = 130.0  # lease, sweep, grace, and a grace anew because a timer was late
ROOMS: dict[str, dict[str, Any]] = {
    "small": {"max_participants": 3},
    "large": {"max_participants": 10},
    "short": {"max_participants": 6, "settings": RoomSettings(max_duration=1)},
    "invited": {"max_participants": 5, "access": "token"},
}


@dataclass(frozen=True, slots=True)
class Run:
    """How a run went. `wrong` is empty when all is well; `digest` is the same for the same seed."""

    seed: int
    wrong: list[str]
    digest: str
    steps: int
    turns: int
    trims: int
    virtual_seconds: float
    seconds: float


class World:
    """Everything of one run."""

    def __init__(self, seed: int, loop: VirtualLoop, tell: Callable[[str], None] | None) -> None:
        self.network = Network(loop, Random(seed), tell)
        self.cluster = Cluster(self.network)
        self.ledger = Ledger()
        chance = self.network.chance
        self.clients = [
            Client(f"c{n}", f"d{n}" if chance.random() < 0.5 else None, self.cluster, self.network, self.ledger)
            for n in range(CLIENTS)
        ]
        rooms = {room_id: fields.get("access") == "token" for room_id, fields in ROOMS.items()}
        self.actors = [Actor(client, self.cluster, rooms) for client in self.clients]
        self._trouble = Trouble(self.cluster, self.network)

    @property
    def steps(self) -> int:
        """What clients have done so far."""
        return sum(actor.done for actor in self.actors)

    async def run(self, steps: int) -> None:
        """Run until the clients have done `steps` things, and then until everything has come to rest."""
        self.network.note("weather", str(self.network.sky.weather))
        await self.cluster.start()
        await asyncio.sleep(1.0)
        await self._make_rooms()
        over = asyncio.Event()
        keeping = [asyncio.create_task(client.keep()) for client in self.clients]
        acting = [asyncio.create_task(actor.act(over)) for actor in self.actors]
        self.network.sky.calm = False
        troubling = self.network.spawn(self._trouble.run())
        while self.steps < steps and self.network.loop.now < LONGEST_SECONDS and not self.network.wrong:
            await asyncio.sleep(1.0)
        over.set()
        troubling.cancel()
        await self._trouble.end()
        if not self.network.wrong:
            await asyncio.wait(acting)
            await asyncio.sleep(QUIET_SECONDS)
        for task in keeping:
            task.cancel()
        if not self.network.wrong:
            for wrong in check(self.cluster, self.ledger, self.clients):
                self.network.blame(wrong)

    async def _make_rooms(self) -> None:
        gateway = self.cluster.gateway()
        if gateway is None:
            raise RuntimeError("no gateway has started")
        for room_id, fields in ROOMS.items():
            create = CreateRoom(
                caller=OWNER, operation=room_id, room_id=RoomId(room_id), name=room_id, type="voice", **fields
            )
            await gateway.ports.requests.request(CREATE_ROOM, create)


@contextmanager
def _watched_logs(network: Network) -> Iterator[None]:
    """Report what the services log as an error. Other log lines are dropped."""

    def watch(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        network.blame(f"{event} {traceback.format_exc()}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[watch],
        wrapper_class=structlog.make_filtering_bound_logger("error"),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def run(seed: int, steps: int = STEPS, tell: Callable[[str], None] | None = None) -> Run:
    """One run, from nothing to its end. `tell` gets every line of its trace."""
    loop = VirtualLoop()
    loop.set_task_factory(task_factory)
    started = time.perf_counter()
    world = World(seed, loop, tell)

    def failed(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), Refused):  # a process that died could not take its answer
            world.network.blame(f"{context}")

    loop.set_exception_handler(failed)
    with _watched_logs(world.network):
        try:
            loop.run_until_complete(world.run(steps))
            wrong, digest = list(world.network.wrong), world.network.digest
        finally:
            _end(loop)
    return Run(
        seed,
        wrong,
        digest,
        world.steps,
        loop.turns,
        world.cluster.broker.traced.trims,
        loop.now,
        time.perf_counter() - started,
    )


def _end(loop: VirtualLoop) -> None:
    """Leave nothing behind that would complain later."""
    while left := asyncio.all_tasks(loop):
        for task in left:
            task.cancel()
        with suppress(Stuck):
            loop.run_until_complete(asyncio.wait(left, timeout=1))
    loop.close()
