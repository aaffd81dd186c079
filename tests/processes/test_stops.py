"""SIGTERM in every state of every process, and SIGHUP: it ends with status 0 and no traceback, or goes on."""

import asyncio
import random
import signal
from pathlib import Path

import httpx
import pytest

from services.launcher.embedded_nats import EmbeddedNats
from services.registry import REGISTRY
from shared.broker.nats import ports as nats_ports
from shared.broker.nats.connection import Broker
from shared.broker.nats.streams import Streams
from tests.support.client import Client
from tests.support.launched import Launched
from tests.support.processes import Deployment, Process
from tests.support.system import token
from tests.support.trouble import NOWHERE, Silent, heeds, metric, objects, service, stopped_well

STOPS_EACH = 5  # of four kinds of process


def stopped_at(process: Process, seconds: float) -> None:
    """Tell it to stop so many seconds after it heeds that, and once more just after."""
    try:
        heeds(process)
        if seconds:
            with_line = process.popen.poll() is None
            assert with_line, process.output
            signal.sigtimedwait([], seconds)
        process.signal(signal.SIGTERM)
        signal.sigtimedwait([], seconds / 10)
        if process.popen.poll() is None:
            process.signal(signal.SIGTERM)
        stopped_well(process)
    finally:
        process.destroy()


@pytest.mark.parametrize("name", REGISTRY.names)
async def test_without_nats(name: str, chosen_seed: int) -> None:
    """Before it connects or while it tries to: five stops of each service, twice each time, at moments by chance."""
    dice = random.Random(f"{chosen_seed} {name}")
    moments = [0.0, 0.3, 0.8, *(dice.uniform(0, 3) for _ in range(STOPS_EACH - 3))]
    for moment in moments:
        await asyncio.to_thread(stopped_at, service(name), moment)


async def test_the_launcher_without_nats(tmp_path: Path, chosen_seed: int) -> None:
    """The launcher ends with status 0 and leaves nobody behind, whether it looks for a server or starts its own."""
    dice = random.Random(chosen_seed)
    with_silent = Silent()
    try:
        for number in range(STOPS_EACH):
            environment = {"NATS_URL": with_silent.url} if number % 2 else {}
            launched = Launched(tmp_path / str(number), environment=environment)
            try:
                await asyncio.to_thread(heeds, launched.process)
                await asyncio.sleep(dice.uniform(0, 2))
                assert await asyncio.to_thread(launched.stop, signal.SIGTERM) == 0, launched.process.output
                assert "Traceback" not in launched.process.output
            finally:
                launched.destroy()
    finally:
        with_silent.close()


@pytest.mark.parametrize("name", REGISTRY.names)
async def test_a_server_that_says_nothing(name: str) -> None:
    """Connected to something that never answers: told as such, and stopped at once."""
    silent = Silent()
    process = service(name, silent.url)
    try:
        await process.hear(r"waiting for NATS at \S+: it does not answer")
        process.signal(signal.SIGTERM)
        await asyncio.to_thread(stopped_well, process)
    finally:
        process.destroy()
        silent.close()


async def test_while_streams_are_missing(nats_server: EmbeddedNats) -> None:
    """A gateway without rooms waits for the streams: it says for which, is not ready, and stops at once."""
    process = service("gateway", nats_server.url, NATS_USER="gateway", NATS_PASSWORD=nats_server.passwords["gateway"])
    try:
        await process.hear(r"stream ROOMS is not there yet")
        assert not [line for line in objects(process) if line["event"] == "ready"]
        process.signal(signal.SIGTERM)
        await asyncio.to_thread(stopped_well, process)
    finally:
        process.destroy()


async def test_connected_away_and_draining(deployment: Deployment) -> None:
    """Connected, with NATS away, and while a gateway sends its clients elsewhere, told twice: status 0 each time."""
    auth, rooms, gateway = (deployment.services[name] for name in ("auth", "rooms", "gateway"))
    client = await Client.open(deployment.url)
    await client.login(token("alice"))
    gateway.signal(signal.SIGTERM)
    await client.hear("go_away")
    gateway.signal(signal.SIGTERM)
    await asyncio.to_thread(stopped_well, gateway)
    await client.close()
    rooms.signal(signal.SIGTERM)
    await asyncio.to_thread(stopped_well, rooms)

    for name in ("rooms", "gateway"):
        await deployment.restart(name)
    deployment.kill_nats()
    for process in (auth, deployment.services["rooms"], deployment.services["gateway"]):
        await process.hear(r'"event": "not ready"')
        process.signal(signal.SIGTERM)
    for process in (auth, deployment.services["rooms"], deployment.services["gateway"]):
        await asyncio.to_thread(stopped_well, process)


async def test_a_hang_up_kills_nobody(deployment: Deployment) -> None:
    """SIGHUP: every service reads its files again and goes on; without NATS it does too."""
    for process in deployment.services.values():
        process.signal(signal.SIGHUP)
        await process.hear(r'"event": "read again"')
    alone = service("gateway", NOWHERE)
    try:
        await asyncio.to_thread(heeds, alone, signal.SIGHUP)
        alone.signal(signal.SIGHUP)
        await alone.hear(r'"event": "read again"|"event": "waiting"')
        alone.signal(signal.SIGTERM)
        await asyncio.to_thread(stopped_well, alone)
    finally:
        alone.destroy()
    for process in deployment.services.values():
        assert process.popen.poll() is None, process.output


async def test_a_stop_before_the_first_line(tmp_path: Path, nats_server: EmbeddedNats) -> None:
    """Streams and all: stopped at any moment of its first second with a broker there, rooms ends well, five times."""
    del tmp_path
    password = nats_server.passwords["rooms"]
    ports = await nats_ports.connect(
        Broker(nats_server.url, "rooms", password, 5.0, streams=Streams(max_bytes=1 << 24)), "test"
    )
    await ports.connection.close()
    for number in range(STOPS_EACH):
        process = service("rooms", nats_server.url, NATS_USER="rooms", NATS_PASSWORD=password)
        await asyncio.to_thread(stopped_at, process, 0.5 + number / 4)


async def test_a_stop_is_no_lost_lease(deployment: Deployment) -> None:
    """A gateway that is told to stop has not lost its lease: neither its lines nor the counters of rooms say so."""
    gateway, rooms = deployment.services["gateway"], deployment.services["rooms"]
    client = await Client.open(deployment.url)
    await client.login(token("alice"))
    await client.join("room")
    gateway.signal(signal.SIGTERM)
    await rooms.hear(r'"event": "a gateway stopped"')
    await asyncio.to_thread(stopped_well, gateway)
    assert "lease" not in "\n".join(line for line in gateway.lines if "metrics" not in line)
    url = (await rooms.hear(r'"metrics": "([^"]+)"'))[1]
    text = (await asyncio.to_thread(httpx.get, url)).text
    assert metric(text, "parley_timers_due_total", {"kind": "stop"}) == 1
    assert metric(text, "parley_timers_due_total", {"kind": "lease"}) == 0
    await client.close()
