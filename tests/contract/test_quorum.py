"""Readiness tells the truth: a server that is cut off from its quorum still answers, and still counts as connected."""

import asyncio
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from services.registry import REGISTRY
from shared.broker.ports import Ports
from shared.values.errors import Refused
from tests.support.broker import connector
from tests.support.cluster import clustered
from tests.support.patience import eventually_async

# Who makes the streams comes first: the others wait for them.
USERS = [service.user for service in sorted(REGISTRY, key=lambda service: not service.stores)]
WITHIN = 5.0  # seconds: what is promised to load balancers


async def ready(ports: Ports) -> bool:
    """Whether a check passes."""
    try:
        await ports.connection.check()
    except Refused:
        return False
    return True


@pytest.mark.slow
async def test_without_its_quorum_nobody_is_ready(tmp_path: Path) -> None:
    """With two of three servers stopped, every service's check fails within 5 s, although its own server answers; when
    they go on, it passes again."""
    async with clustered(tmp_path) as cluster:
        last = cluster.servers[2].url
        everybody = {user: await connector(last, cluster.passwords, replicas=3)(user) for user in USERS}
        try:
            for user, ports in everybody.items():
                await eventually_async(partial(ready, ports), f"{user} is ready", within=30)
            for index in (0, 1):
                await cluster.kill(index, signal.SIGSTOP)
            cut = time.monotonic()
            answers = await asyncio.gather(*(ready(ports) for ports in everybody.values()))
            assert time.monotonic() - cut < WITHIN
            assert not any(answers)
            for index in (0, 1):
                await cluster.kill(index, signal.SIGCONT)
            for user, ports in everybody.items():
                await eventually_async(partial(ready, ports), f"{user} is ready again", within=60)
        finally:
            for index in (0, 1):
                await cluster.kill(index, signal.SIGCONT)
            for ports in everybody.values():
                await ports.connection.close()
