"""Hosts whose clocks are two minutes off: nobody is thrown out, times are right, and the difference is told and shown."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.away import Away
from tests.support.client import Client
from tests.support.processes import Deployment
from tests.support.shifted import shifted
from tests.support.system import token
from tests.support.trouble import metric, objects

OFF = 120.0
ROOM = "hosts"
GRACE = 4.0
QUIET_SECONDS = 10.0  # more than a lease


@pytest.fixture
async def hosts(tmp_path: Path) -> AsyncIterator[Deployment]:
    """A deployment that is not started: tests say whose clocks are wrong."""
    deployment = Deployment(tmp_path, GRACE_SECONDS=str(GRACE))
    yield deployment
    await deployment.stop()


async def agent(deployment: Deployment, name: str) -> Client:
    """A client that is logged in with a token that was issued just now."""
    client = await Client.open(deployment.url)
    await client.login(token(name))
    return client


async def off(deployment: Deployment, name: str) -> float:
    """How far a service says that its host's clock is ahead."""
    url = (await deployment.services[name].hear(r'"metrics": "([^"]+)"'))[1]
    return metric((await asyncio.to_thread(httpx.get, url)).text, "parley_clock_off_seconds")


CASES = [(name, seconds) for name in ("gateway", "rooms", "auth", "gateway+rooms+auth") for seconds in (OFF, -OFF)]
QUICK = {("gateway", -OFF), ("rooms", OFF), ("auth", -OFF)}  # the ways in which the release before failed


@pytest.mark.parametrize(
    ("hosts_off", "seconds"),
    [pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow) for case in CASES],
)
async def test_nobody_is_thrown_out(hosts: Deployment, hosts_off: str, seconds: float) -> None:
    """With one host's clock wrong, or all but the broker's: clients stay, come, resume, and are gone after the grace time."""
    wrong = hosts_off.split("+")
    hosts.hosts = dict.fromkeys(wrong, shifted(seconds))
    await hosts.start()
    alice, bob = await agent(hosts, "alice"), await agent(hosts, "bob")
    await alice.join(ROOM)
    await bob.join(ROOM)
    await alice.hear("user_joined")
    for name in hosts.services:
        assert await off(hosts, name) == pytest.approx(seconds if name in wrong else 0, abs=0.3)
    await asyncio.sleep(QUIET_SECONDS)
    for client in (alice, bob):
        assert (await client.ask("ping"))["type"] == "pong"
        assert client.close_code is None
    assert (await alice.ask("update_self", roomId=ROOM, metadata={"hand": "up"}))["type"] == "ok"

    went = time.monotonic()
    await bob.close()
    await alice.hear("user_updated")
    left = await alice.hear("user_left", within=GRACE + 10)
    assert left["reason"] == "timeout"
    assert GRACE - 1 < time.monotonic() - went < GRACE + 4
    late = await agent(hosts, "late")
    await late.join(ROOM)

    for name, process in hosts.services.items():
        told = [line for line in objects(process) if line["event"].startswith("this host's clock differs")]
        assert len(told) == (1 if name in wrong else 0), process.output
        if told:
            assert told[0]["seconds"] == pytest.approx(seconds, abs=0.3)
    assert not [line for process in hosts.services.values() for line in process.lines if "lease lost" in line]


async def test_the_old_room_is_found_again(hosts: Deployment) -> None:
    """A gateway whose clock is right takes a session over from one whose clock is ahead, and back: no `since` is too old."""
    hosts.hosts = {"gateway": shifted(OFF)}
    await hosts.start()
    alice = await Client.open(hosts.url)
    entered = await alice.login(token("alice"))
    await alice.join(ROOM)
    away = Away(alice, "alice", entered)
    ahead = hosts.services["gateway"]
    hosts.hosts = {}
    hosts.spawn("gateway")
    await hosts.ready("gateway")
    url = (await hosts.services["gateway"].hear(r'"url": "(http://[^"]+)".*"listening"'))[1]
    try:
        for address in (url, hosts.url, url):
            back = await Client.open(address)
            resume = {"token": away.secret, "cursors": away.cursors}
            entered = await back.login(token("alice"), resume=resume)
            assert entered["resumed"] is True
            await back.hear("room_resumed", roomId=ROOM)
    finally:
        ahead.destroy()
