"""The public port of a real process: file descriptors run out, and whoever is in stays in."""

import asyncio
import os
import re
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.client import Client
from tests.support.processes import Deployment, Process
from tests.support.raw import Raw
from tests.support.sdp import offer
from tests.support.system import token

SHORT = "no file descriptors for more connections"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are Linux'")


def gateway_of(deployment: Deployment) -> Process:
    """The gateway's process."""
    return deployment.services["gateway"]


def descriptors(process: Process) -> int:
    """How many it has open."""
    return len(os.listdir(f"/proc/{process.popen.pid}/fd"))  # noqa: PTH208 - counted, not opened


async def pair(deployment: Deployment) -> tuple[Client, Client]:
    """Two in one room."""
    clients = []
    for name in ("alice", "bob"):
        client = await Client.open(deployment.url)
        await client.login(token(name))
        clients.append(client)
        await client.join("voice-1")
    await clients[0].hear("user_joined")
    return clients[0], clients[1]


async def talk(alice: Client, bob: Client) -> None:
    """A signal passes."""
    await bob.ask("offer", to=alice.participants["voice-1"], sdp=offer())
    await alice.hear("offer")


async def strangers(deployment: Deployment, count: int) -> list[Raw]:
    """Connections that say nothing, each from another address. Some are refused."""
    raws = []
    for n in range(count):
        try:
            raws.append(await Raw.connect(deployment.url, local_addr=(f"127.0.4.{n % 250 + 1}", 0)))
        except OSError:
            continue
    return raws


async def metric(process: Process, name: str) -> float:
    """One of the gateway's metrics."""
    ops = process.wait_for(r'"metrics": "(http://[^"]+)"')[1]
    async with httpx.AsyncClient() as http:
        return float(re.findall(rf"^{name} (\S+)", (await http.get(ops)).text, re.MULTILINE)[0])


@asynccontextmanager
async def deployed(folder: Path, **settings: str) -> AsyncIterator[Deployment]:
    """Processes with these settings."""
    deployment = Deployment(folder, **settings)
    try:
        await deployment.start()
        yield deployment
    finally:
        await deployment.stop()


async def test_descriptors_in_reserve(tmp_path: Path) -> None:
    """Strangers cannot have the descriptors in reserve: those above are refused, which is said once, shown and readable;
    who is in a room goes on, and newcomers who speak come in, for silent ones make place."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    reserved = min(limit, 1 << 20) - 40 if limit != resource.RLIM_INFINITY else (1 << 20) - 40
    async with deployed(tmp_path, RESERVED_DESCRIPTORS=str(reserved)) as deployment:
        gateway = gateway_of(deployment)
        alice, bob = await pair(deployment)
        raws = await strangers(deployment, 120)
        await gateway.hear(SHORT)
        await talk(alice, bob)
        assert await metric(gateway, "parley_descriptors_short") == 1
        assert descriptors(gateway) < 100
        await asyncio.sleep(1.2)  # so long a stranger may be silent
        async with httpx.AsyncClient(base_url=deployment.url) as http:
            answer = await http.get("/readyz")
            assert answer.status_code == 200
            assert "file descriptors" in answer.json()["notice"]
        carol = await Client.open(deployment.url)
        await carol.login(token("carol"))
        raws += await strangers(deployment, 120)
        for client in (alice, bob, carol):
            assert (await client.ask("ping"))["type"] == "pong"
        assert len([line for line in gateway.lines if SHORT in line]) == 1
        for client in (alice, bob, carol):
            await client.close()
        for raw in raws:
            await raw.close()


async def test_no_descriptor_at_all(tmp_path: Path) -> None:
    """When the process has really none left it says so once, however often it tries; then it takes connections again."""
    async with deployed(tmp_path) as deployment:
        gateway = gateway_of(deployment)
        alice, bob = await pair(deployment)
        hard = resource.prlimit(gateway.popen.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(gateway.popen.pid, resource.RLIMIT_NOFILE, (descriptors(gateway), hard))
        waiting = await strangers(deployment, 50)
        await gateway.hear(SHORT)
        await asyncio.sleep(2.5)  # it has tried twice more
        await talk(alice, bob)
        assert len([line for line in gateway.lines if SHORT in line]) == 1
        resource.prlimit(gateway.popen.pid, resource.RLIMIT_NOFILE, (hard, hard))
        carol = await Client.open(deployment.url)
        await carol.login(token("carol"))
        for client in (alice, bob, carol):
            await client.close()
        for raw in waiting:
            await raw.close()
