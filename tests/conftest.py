"""Fixtures every layer uses: a NATS server, systems of services on it or on the broker in memory, and a running launcher."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis

from services.launcher.embedded_nats import EmbeddedNats
from shared.broker.memory.broker import MemoryBroker
from shared.broker.memory.ports import connect
from shared.broker.ports import Ports
from tests.support import tiers
from tests.support.broker import ContainerNats, connector, container_engine, nats_for_tests
from tests.support.launched import Launched
from tests.support.needed import PROGRAMS, found
from tests.support.ports import HeldPorts
from tests.support.shared_nats import SharedNats
from tests.support.system import System

# No test is judged by its time: machines are shared.
hypothesis.register_profile("parley", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis.load_profile("parley")

# A shell starts what runs in its background with SIGINT ignored, and so would be what tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SEED = "PARLEY_TEST_SEED"  # of what is chosen anew in every run
LEFT_OVER = "a-token-that-is-none-of-the-services-business"


def pytest_configure() -> None:
    """Choose a seed, here and for the processes that run the tests."""
    os.environ.setdefault(SEED, str(random.SystemRandom().randrange(1000, 1_000_000)))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """See tiers."""
    tiers.sort(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> tiers.Groups:
    """See tiers."""
    config.option.loadscopereorder = False  # they are in order
    return tiers.Groups(config, log)


def pytest_report_header() -> list[str]:
    """Say which NATS server the tests run against, what they have of the programs that some need, and the seed."""
    nats = "a container, by testcontainers" if container_engine() else "nats-server from the wheel (no engine answers)"
    programs = ", ".join(f"{name}: {found(name) or 'not here, its tests are skipped'}" for name in PROGRAMS)
    return [f"nats: {nats}", programs, f"seed of this run: {os.environ[SEED]} (again: {SEED}={os.environ[SEED]})"]


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[EmbeddedNats | ContainerNats]:
    """A real NATS server of this test's own, which it may stop."""
    server = nats_for_tests(tmp_path / "nats")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="session")
def _shared_nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedNats]:
    shared = SharedNats(tmp_path_factory.mktemp("nats"))
    yield shared
    asyncio.run(shared.stop())


@pytest.fixture
def shared_nats(_shared_nats: SharedNats) -> SharedNats:
    """Where the server of `make_ports` is, for tests that take something from it."""
    return _shared_nats


@pytest.fixture
async def empty_nats(_shared_nats: SharedNats) -> EmbeddedNats | ContainerNats:
    """A real NATS server with nothing in it, to be left running."""
    return await _shared_nats.empty()


@pytest.fixture(params=["memory", "nats"])
def broker_kind(request: pytest.FixtureRequest) -> str:
    """Which broker: everything that uses this runs on both."""
    kind: str = request.param
    return kind


@pytest.fixture
async def make_ports(broker_kind: str, _shared_nats: SharedNats) -> Callable[[str], Awaitable[Ports]]:
    """Connects services to one broker, in memory or real."""
    if broker_kind == "nats":
        server = await _shared_nats.empty()
        return connector(server.url, server.passwords)
    broker = MemoryBroker()

    async def in_memory(_user: str) -> Ports:
        return connect(broker)

    return in_memory


@pytest.fixture
async def system(make_ports: Callable[[str], Awaitable[Ports]]) -> AsyncIterator[System]:
    """Not started: a test says how many of what."""
    system = System(make_ports)
    yield system
    await system.stop()


@pytest.fixture(scope="session")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """Parley as `make run` starts it, in a shell in which `parley` was used; shared by the tests that leave it as it is."""
    variables = {"PARLEY_URL": "http://elsewhere.invalid", "PARLEY_TOKEN": LEFT_OVER, "PARLEY_TOKEN_FILE": "/nowhere"}
    running = Launched(tmp_path_factory.mktemp("launched") / "data", environment=variables).ready()
    yield running
    running.stop()


@pytest.fixture
def ports() -> Iterator[HeldPorts]:
    """Ports that are this test's."""
    held = HeldPorts()
    yield held
    held.let_go()


@pytest.fixture(scope="session")
def chosen_seed() -> int:
    """Another one in each run."""
    return int(os.environ[SEED])
