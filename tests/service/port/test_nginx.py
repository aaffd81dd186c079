"""Limits by address through a real nginx, which the gateway trusts to say whom a request is from."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.service.port.test_limits_by_address import ASK, answer
from tests.support.broker_kind import in_memory
from tests.support.client import Client
from tests.support.nginx import Nginx
from tests.support.patience import eventually
from tests.support.ports import HeldPorts
from tests.support.raw import Raw
from tests.support.system import System, token

pytestmark = in_memory
Proxied = Callable[..., Awaitable[Nginx]]


@pytest.fixture
async def proxied(system: System, tmp_path: Path, ports: HeldPorts) -> AsyncIterator[Proxied]:
    """Starts a system with these settings, and nginx in front of it."""
    running: list[Nginx] = []

    async def start(**settings: Any) -> Nginx:
        await system.start(trusted_proxies=["127.0.0.1"], **settings)
        running.append(Nginx(tmp_path, system.url, ports))
        await running[0].start()
        return running[0]

    yield start
    for nginx in running:
        nginx.stop()


async def client_from(nginx: Nginx, address: str) -> Client:
    """A WebSocket through nginx."""
    return await Client.open(nginx.url, local_addr=(address, 0))


async def test_each_address_behind_it_has_its_own_limit(proxied: Proxied, system: System) -> None:
    """Many addresses behind one proxy have their WebSockets each; one address has no more than its own, whatever it writes
    into `X-Forwarded-For`, until one of its connections is gone."""
    nginx = await proxied(connections_per_address=2)
    clients = [await client_from(nginx, f"127.0.5.{n + 1}") for n in range(10)]
    clients.append(await client_from(nginx, "127.0.5.1"))
    with pytest.raises(InvalidStatus) as refused:
        await client_from(nginx, "127.0.5.1")
    assert refused.value.response.status_code == 429
    made_up = {"X-Forwarded-For": "198.51.100.1"}
    with pytest.raises(InvalidStatus):
        await Client.open(nginx.url, local_addr=("127.0.5.1", 0), additional_headers=made_up)
    await clients[0].close()
    sessions = system.gateways[0]._sessions
    await eventually(lambda: len(sessions) == 10, "it is gone")
    clients.append(await client_from(nginx, "127.0.5.1"))
    await clients[-1].login(token("alice"))
    for client in clients:
        await client.close()


async def test_requests_count_for_whom_they_are_from(proxied: Proxied) -> None:
    """Requests of many addresses that share nginx's few connections are limited each for itself."""
    nginx = await proxied(requests_per_address=0.1)
    flooding, others = [await Raw.connect(nginx.url, local_addr=(f"127.0.6.{n + 1}", 0)) for n in range(2)]
    assert [(await answer(flooding))[0] for _ in range(4)] == [200, 429, 429, 429]
    status, headers, _ = await answer(flooding, ASK % b"X-Forwarded-For: 198.51.100.1\r\n")
    assert status == 429
    assert int(headers["retry-after"]) >= 1
    assert (await answer(others))[0] == 200
    for raw in (flooding, others):
        await raw.close()


async def test_an_unread_body_costs_the_proxy_its_connection_alone(proxied: Proxied) -> None:
    """A body that nobody reads ends a connection between proxy and gateway; the next requests are answered over others."""
    nginx = await proxied()
    for _ in range(20):
        raw = await Raw.connect(nginx.url)
        await raw.send(b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 500_000)
        assert (await raw.response())[0] == 404
        await raw.close()
        after = await Raw.connect(nginx.url)
        assert (await answer(after))[0] == 200
        await after.close()
