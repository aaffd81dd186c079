"""`make run` with several of everything: each by its own flag, each found, each started again where it was."""

import asyncio
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from nats.aio.client import Client as NatsClient

from services.registry import REGISTRY
from tests.support.client import Client
from tests.support.launched import Launched, bearer
from tests.support.patience import eventually, eventually_async
from tests.support.ports import HeldPorts
from tests.support.processes import PATIENCE
from tests.support.system import token


@pytest.fixture(scope="module")
def doubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """Two of each service, on two ports in a row."""
    ports = HeldPorts()
    environment = {"REPLICAS": "2", "PORT": str(ports.row(2))}
    launched = Launched(tmp_path_factory.mktemp("doubled") / "data", environment=environment)
    try:
        yield launched.ready()
        launched.stop()
    finally:
        launched.destroy()
        ports.let_go()


def running(launched: Launched, part: str) -> list[int]:
    """The processes whose command says this."""
    return [pid for pid, command in launched.process.tree().commands().items() if part in command]


def works(launched: Launched) -> bool:
    """Whether every gateway says so."""
    try:
        return all(httpx.get(f"{url}/readyz", timeout=5).status_code == 200 for url in launched.urls)
    except httpx.HTTPError:
        return False


async def test_two_of_each(doubled: Launched) -> None:
    """REPLICAS=2: two processes of each service; gateways on PORT and PORT+1, both in the welcome, both ready, and who
    is connected to one meets who is connected to the other."""
    assert {service.name: len(running(doubled, service.module)) for service in REGISTRY} == dict.fromkeys(
        REGISTRY.names, 2
    )
    first, second = (int(url.rpartition(":")[2]) for url in doubled.urls)
    assert second == first + 1
    assert len(set(re.findall(r"metrics=(\S+)", doubled.process.output))) == 2 * len(REGISTRY)
    assert works(doubled)
    alice, bob = [await Client.open(url) for url in doubled.urls]
    await alice.login(doubled.token)
    await bob.login(token("bob"))
    await alice.join("two-gateways")
    room = await bob.join("two-gateways")
    assert [one["agentId"] for one in room["participants"]] == ["you", "bob"]
    assert (await alice.hear("user_joined"))["participant"]["agentId"] == "bob"
    await alice.close()
    await bob.close()


async def test_each_comes_back_where_it_was(doubled: Launched) -> None:
    """A gateway that is killed is started again by name and on its port; clients of the other one stay."""
    client = await Client.open(doubled.urls[0])
    await client.login(doubled.token)
    lost = await Client.open(doubled.urls[1])
    (pid,) = [pid for pid in running(doubled, "services.gateway") if listens(pid, doubled.urls[1])]
    os.kill(pid, signal.SIGKILL)
    await lost.closed()
    await doubled.process.hear(r"parley .*gateway-2 has ended by itself \(SIGKILL\); starting it again in")
    await eventually_async(lambda: asyncio.to_thread(works, doubled), "gateway-2 is back", within=PATIENCE)
    assert (await client.ask("ping"))["type"] == "pong"
    assert client.close_code is None
    await client.close()


def listens(pid: int, url: str) -> bool:
    """Whether a process was told to be there."""
    port = url.rpartition(":")[2]
    return f"PARLEY_PORT={port}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes()


async def test_each_by_its_own_flag(tmp_path: Path) -> None:
    """GATEWAYS, ROOMS and AUTHS each say how many of one; free ports are found for several gateways too."""
    launched = Launched(tmp_path / "data", environment={"GATEWAYS": "2", "AUTHS": "1", "ROOMS": "3", "REPLICAS": "9"})
    try:
        await asyncio.to_thread(launched.ready)
        parts = ("gateway", "rooms", "auth")
        assert [len(running(launched, f"services.{part}")) for part in parts] == [2, 3, 1]
        assert len(set(launched.urls)) == 2
        assert re.search(r"^ *auth │", launched.process.output, re.MULTILINE)
        assert re.search(r"^ *rooms-3 │", launched.process.output, re.MULTILINE)
        assert await asyncio.to_thread(works, launched)
    finally:
        assert await asyncio.to_thread(launched.stop) == 0


@pytest.mark.slow
async def test_a_cluster_goes_on_without_one_server(tmp_path: Path) -> None:
    """NATS_SERVERS=3: three copies of the log; when a server is killed rooms are made and joined all the same, and it is
    started again on its port."""
    launched = Launched(tmp_path / "data", environment={"NATS_SERVERS": "3"})
    try:
        await asyncio.to_thread(launched.ready)
        servers = running(launched, "nats-server")
        assert len(servers) == 3
        told = launched.process.wait_for(r"NATS +(nats://\S+)")[1]
        assert await copies(launched, told.split(",")) == 3
        os.kill(servers[0], signal.SIGKILL)
        await launched.process.hear(r"parley .*nats-\d has ended by itself \(SIGKILL\); starting it again in")
        await eventually_async(lambda: asyncio.to_thread(makes_a_room, launched), "rooms are made", within=PATIENCE)
        await eventually_async(lambda: enters(launched), "somebody is let in", within=PATIENCE)
        await eventually_async(lambda: all_listen(told.split(",")), "it is started again", within=PATIENCE)
    finally:
        assert await asyncio.to_thread(launched.stop) == 0


async def enters(launched: Launched) -> bool:
    """Whether somebody logs in and joins. Nothing but `unavailable` keeps it from that: each stream has a leader of its own."""
    client = await Client.open(launched.url)
    try:
        told = await client.ask("authenticate", token=launched.token)
        if told["type"] == "auth_ok":
            told = await client.ask("join_room", roomId="made-with-two")
        assert told["type"] == "room_users" or told["code"] == "unavailable", told
        return bool(told["type"] == "room_users")
    finally:
        await client.close()


async def copies(launched: Launched, servers: list[str]) -> int:
    """How many copies of the log the servers keep, as its owner is told."""
    (kept,) = launched.data.glob("*/passwords.json")
    client = NatsClient()
    await client.connect(
        servers, user="rooms", password=json.loads(kept.read_text())["rooms"], inbox_prefix="_INBOX.rooms"
    )
    told = json.loads((await client.request("$JS.API.STREAM.INFO.ROOMS", timeout=PATIENCE)).data)
    await client.close()
    return int(told["config"]["num_replicas"])


async def all_listen(servers: list[str]) -> bool:
    """Whether each is where it was."""
    for server in servers:
        host, port = server.removeprefix("nats://").split(":")
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            return False
        writer.close()
    return True


def makes_a_room(launched: Launched) -> bool:
    """A room is made, or was when the answer got lost. One that has three copies needs two servers that agree."""
    order = {"name": "Made", "type": "voice", "roomId": "made-with-two"}
    answer = httpx.post(f"{launched.url}/api/rooms", json=order, headers=bearer(launched.token), timeout=PATIENCE)
    return answer.status_code in (201, 409)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the kernel's tie between processes is Linux'")
@pytest.mark.slow
async def test_nothing_outlives_the_launcher(tmp_path: Path) -> None:
    """Killed without a chance to stop anything, it leaves no service and no NATS server, and the next start works."""
    for _ in range(2):
        launched = Launched(tmp_path / "data")
        try:
            await asyncio.to_thread(launched.ready)
            assert len(launched.process.tree()) == 5
            launched.process.signal(signal.SIGKILL)
            await asyncio.to_thread(launched.process.end)
            await eventually(lambda: not launched.left_behind(), "all have ended")  # noqa: B023 - waited for right here
        finally:
            launched.destroy()
