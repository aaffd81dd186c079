"""Fixtures for the Python client: Parley as `make run` starts it, with one gateway or two, and tokens."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import parley
import pytest
from parley.rtc import use_loopback_when_alone

from tests.clients.python.proxy import TcpProxy
from tests.support.launched import Launched
from tests.support.system import token

use_loopback_when_alone()

T = TypeVar("T")
PATIENCE = 20.0


@pytest.fixture(scope="session")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """Parley, running; shared by the tests that leave it as it is."""
    running = Launched(tmp_path_factory.mktemp("client") / "data").ready()
    yield running
    running.stop()


@pytest.fixture
def two_gateways(tmp_path: Path) -> Iterator[Launched]:
    """Parley with two gateways, to kill one of them."""
    running = Launched(tmp_path / "data", environment={"REPLICAS": "2"}).ready()
    yield running
    try:
        running.process.signal(signal.SIGINT)
        running.process.end()
    finally:
        running.destroy()


@pytest.fixture
async def proxy(launched: Launched) -> AsyncIterator[TcpProxy]:
    """A way to the gateway that can be cut."""
    async with TcpProxy(launched.url) as proxy:
        yield proxy


@pytest.fixture
def room_id() -> str:
    """A room that nobody was in."""
    return f"room-{os.urandom(6).hex()}"


def gateway_processes(launched: Launched) -> list[int]:
    """The gateways' process ids, in the order of their URLs."""
    commands = launched.process.tree().commands()
    pids = sorted(pid for pid, command in commands.items() if "services.gateway" in command)
    assert len(pids) == len(launched.urls), commands
    return sorted(pids, key=lambda pid: _port_of(pid, launched.urls))


def _port_of(pid: int, urls: list[str]) -> int:
    """Which of the URLs a process listens on, by its own word: it is not asked by name, so that nobody else's is hit."""
    listening = _listening_ports(pid)
    return next(n for n, url in enumerate(urls) if int(url.rsplit(":", 1)[1]) in listening)


def _listening_ports(pid: int) -> set[int]:
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    rows = [proxy.split() for proxy in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and row[9] in inodes}


def kill(pid: int) -> None:
    """As `kill -9`."""
    os.kill(pid, signal.SIGKILL)


def counting(agent_id: str, **claims: int) -> tuple[Callable[[], str], list[str]]:
    """A token function, and the tokens it gave. `seconds` is their life."""
    given: list[str] = []

    def ask() -> str:
        now = int(time.time())
        seconds = claims.get("seconds", 3600)
        given.append(token(agent_id, iat=now, exp=now + seconds))
        return given[-1]

    return ask, given


async def until(events: "parley.Events[Any]", kind: type[T], **fields: object) -> T:
    """The next event of this kind with these fields."""
    async with asyncio.timeout(PATIENCE):
        async for event in events:
            if isinstance(event, kind) and all(getattr(event, name) == value for name, value in fields.items()):
                return event
    raise AssertionError(f"the events ended before {kind.__name__}")
