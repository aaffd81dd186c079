"""A pytest plugin for the tests of the release before: where they compose services, today's run as processes instead.

The process of the tests is all of that release: its clients, its commands to rooms, its fold of the log. Only the support
that starts services is replaced, and the bus in memory: everything runs on a real NATS server. What cannot be run this
way is in `tests/upgrade/not_run.py`, and `left_out.py` leaves it out.

Its names are those of 0.4.0 (`tests/support/system.py` and others there): look through it at each release.
"""

import asyncio
import importlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

TODAY = Path(os.environ["PARLEY_UPGRADE_TODAY"])  # the root of today's tree
PATIENCE = 40.0
DEVELOPMENT = {"PARLEY_MODE": "development"}
# Quotas that 0.4.0 did not have, beside a limit that it had: a test that widens the limit means no other one.
BESIDE = {"signal_byte_burst": ("agent_signal_byte_burst", "room_signal_byte_burst")}
WIDE = 32 << 20  # and one that narrows it narrows no other one either
_numbers = itertools.count(1)


class Forks:
    """Today's services, imported once and forked from then on."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
        self._script = subprocess.Popen(  # noqa: S603 - our own file
            (sys.executable, str(TODAY / "tests/upgrade/forks.py")),
            cwd=TODAY,
            env={**environment, "PYTHONPATH": str(TODAY)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **order: Any) -> int:
        assert self._script.stdin is not None
        assert self._script.stdout is not None
        self._script.stdin.write(json.dumps(order) + "\n")
        self._script.stdin.flush()
        return int(self._script.stdout.readline())

    def log(self, service: str) -> Path:
        return Path(self._folder.name) / f"{service}-{next(_numbers)}.log"

    def close(self) -> None:
        """End it; what it forked ends with it."""
        self._script.kill()
        self._script.communicate()
        self._folder.cleanup()


class Service:
    """One of today's services, on a broker."""

    def __init__(self, name: str, broker: "Broker", environment: Mapping[str, str]) -> None:
        self.name = name
        self._log = forks().log(name)
        given = {
            "PARLEY_NATS_URL": broker.url,
            "PARLEY_NATS_USER": name,
            "PARLEY_NATS_PASSWORD": broker.passwords[name],
            "PARLEY_REQUEST_TIMEOUT": str(broker.timeout),
            **environment,
        }
        self._pid: int | None = forks().ask(start={"service": name, "environment": given, "log": str(self._log)})
        self._url = ""

    async def ready(self) -> None:
        """Wait until it says so."""
        await self._hear(r'"event": "ready"')
        if self.name == "gateway":
            self._url = (await self._hear(r'"url": "(https?://[^"]+)".*"listening"'))[1]

    async def _hear(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + PATIENCE
        while True:
            text = self._log.read_text() if self._log.exists() else ""
            found = re.search(pattern, text)
            if found is not None:
                return found
            assert time.monotonic() < deadline, f"{self.name} did not write {pattern!r}:\n{text}"
            await asyncio.sleep(0.01)

    def url(self) -> str:
        return self._url

    def end(self, number: int = signal.SIGKILL, within: float = PATIENCE) -> None:
        """End it, if it was not ended yet."""
        if self._pid is not None:
            forks().ask(stop={"pid": self._pid, "number": int(number), "within": within})
            self._pid = None

    async def stop(self, within: float = 0.0) -> None:
        """Ask it to end, and wait. (How long a gateway takes to send its clients elsewhere, it was told at the start.)"""
        await asyncio.to_thread(self.end, signal.SIGTERM, within + PATIENCE)


class Broker:
    """A NATS server and who may use it; called as the release before calls what connects its services: with a user."""

    def __init__(
        self, url: str, passwords: dict[str, str], *, max_bytes: int = 1 << 28, timeout: float = 5.0, replicas: int = 1
    ) -> None:
        self.url = url
        self.passwords = passwords
        self.timeout = timeout
        self._streams = {"max_bytes": max_bytes, "replicas": replicas}
        self.served = False  # whether today's rooms made the streams

    async def __call__(self, user: str) -> Any:
        """Ports of the release before. Its rooms make the streams, unless today's did."""
        streams = None
        if user == "rooms" and not self.served:
            streams = old("shared.broker.nats.streams").Streams(**self._streams)
        logs = () if user == "auth" else (old("shared.broker.subjects").LOG_STREAM,)
        given = (self.url, user, self.passwords[user], self.timeout)
        broker = old("shared.broker.nats.connection").Broker(*given, logs=logs, streams=streams)
        ports = await old("shared.broker.nats.ports").connect(broker, f"test-{user}")
        ports.connection.stand_in_broker = self
        return ports

    async def serve(self, name: str, environment: Mapping[str, str]) -> Service:
        """One of today's services on it."""
        self.served = self.served or name == "rooms"
        service = Service(name, self, environment)
        try:
            await service.ready()
        except BaseException:
            service.end()
            raise
        return service


_forks: list[Forks] = []


def forks() -> Forks:
    """Today's services; imported when they are first needed."""
    if not _forks:
        _forks.append(Forks())
    return _forks[0]


def old(module: str) -> Any:
    return importlib.import_module(module)


def environment_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings as a test names them, as the environment of a process in development mode."""
    told = {f"PARLEY_{name.upper()}": _written(value) for name, value in settings.items() if value is not None}
    return DEVELOPMENT | told


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple | frozenset):
        return ",".join(map(str, value))
    return str(value.get_secret_value() if hasattr(value, "get_secret_value") else value)


# In place of methods of `System` in tests/support/system.py:
async def _start(self: Any, name: str, known: list[Any], own: dict[str, Any]) -> Service:
    service: Service = await self._connecting.serve(name, environment_of(own))
    known.append(service)
    ports = await self._connect(name)
    close = ports.connection.close

    async def both() -> None:
        service.end()
        await close()

    ports.connection.close = both  # a test that takes a service away closes its connection
    return service


async def start_rooms(self: Any, **own: Any) -> None:
    """One more replica of rooms."""
    await _start(self, "rooms", self.rooms, own)


async def start_auth(self: Any, **own: Any) -> None:
    """auth, the first time or again."""
    await _start(self, "auth", self._auths, own)


async def start_gateway(self: Any, **own: Any) -> Service:
    """One more gateway."""
    beside = {name: max(own[limit], WIDE) for limit, names in BESIDE.items() if limit in own for name in names}
    return await _start(self, "gateway", self.gateways, {"port": 0, **own, **beside})


def kill(self: Any, gateway: int) -> None:
    """A gateway ends without a word."""
    self.gateways[gateway].end()


async def stop_system(self: Any) -> None:
    """Everything, at once."""
    await asyncio.gather(*(client.close() for client in self._clients), return_exceptions=True)
    for service in [*self.gateways, *self._auths, *self.rooms]:
        service.end()
    for ports in reversed(self.ports):
        await ports.connection.close()


async def serve_rooms(ports: Any, **settings: Any) -> Service:
    """tests/support/rooms.py: one replica of rooms that answers, and is stopped as its directory is there."""
    service: Service = await ports.connection.stand_in_broker.serve("rooms", environment_of(settings))
    return service


async def _undated(answer: Any) -> None:
    """Only a server says when it answered; tests compare whole answers."""
    answer.headers.pop("date", None)


class World:
    """In place of the one in tests/service/rest/world.py: the REST API of today's gateway."""

    def __init__(self, auth: Mapping[str, str] = DEVELOPMENT, **settings: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._nats = old("services.launcher.embedded_nats").EmbeddedNats(Path(self._folder.name) / "nats")
        self._auth = auth
        self._settings = {f"PARLEY_{name.upper()}": value for name, value in settings.items()}
        self._services: list[Service] = []
        self._clients: list[Any] = []
        self.ports: Any = None

    async def start(self) -> None:
        await self._nats.start()
        broker = Broker(self._nats.url, self._nats.passwords)
        own = {"rooms": {}, "auth": self._auth, "gateway": {"PARLEY_PORT": "0", **self._settings}}
        for name, environment in own.items():
            self._services.append(await broker.serve(name, {**DEVELOPMENT, **environment}))
        self.ports = await broker("gateway")

    async def stop(self) -> None:
        for client in self._clients:
            await client.aclose()
        if self.ports is not None:
            await self.ports.connection.close()
        for service in self._services:
            service.end()
        await self._nats.stop()
        self._folder.cleanup()

    def anyone(self, host: str = "localhost:8080") -> Any:
        """A client without a token, which thinks that the gateway is there."""
        given = {"headers": {"Host": host}, "timeout": PATIENCE, "event_hooks": {"response": [_undated]}}
        client = old("httpx").AsyncClient(base_url=self._services[-1].url(), **given)
        self._clients.append(client)
        return client

    async def agent(self, name: str, *permissions: str) -> Any:
        """A client of this agent; without permissions named, with the default ones."""
        client = self.anyone()
        client.headers["Authorization"] = f"Bearer {old('tests.support.system').token(name, *permissions)}"
        return client


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Put all of it in place, before anything else of the tests is imported."""
    # What is launched as `make run` does it, is today's.
    old("tests.support.processes").ROOT = TODAY
    # A claim that holds on any bus, holds on NATS; in memory there would be nothing of today.
    old("tests.support.broker_kind").in_memory = old("tests.support.broker_kind").on_nats
    old("tests.support.broker").connector = Broker
    system = old("tests.support.system").System
    system.start_rooms, system.start_auth, system.start_gateway = start_rooms, start_auth, start_gateway
    system.kill, system.stop = kill, stop_system
    old("tests.support.rooms").serve_rooms = serve_rooms
    world = old("tests.service.rest.world")
    World.join = world.World.join  # type: ignore[attr-defined]  # of the release before, which is not typed here
    world.World = World


def pytest_unconfigure() -> None:
    """End what is left."""
    while _forks:
        _forks.pop().close()
