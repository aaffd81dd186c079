"""Any number of gateways, rooms and auths as processes, on one NATS or several: started, killed, stopped, replaced."""

import asyncio
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import httpx

from services.auth.settings import AuthSettings
from services.gateway.settings import GatewaySettings
from services.launcher.tether import tethered
from services.rooms.settings import RoomsSettings
from shared.broker.nats import ports as nats_ports
from shared.broker.nats.connection import Broker
from shared.broker.ports import Ports
from shared.runtime.ops import listen
from shared.runtime.settings import ServiceSettings
from shared.values.errors import Refused
from tests.faults.figures import Exposition
from tests.support.processes import PATIENCE, ROOT, Process

SETTINGS: dict[str, type[ServiceSettings]] = {"rooms": RoomsSettings, "auth": AuthSettings, "gateway": GatewaySettings}
HOST = "127.0.0.1"
NO_HOST: Mapping[str, str] = MappingProxyType({})


class Server(Protocol):
    """NATS, as the services are told of it."""

    passwords: dict[str, str]

    @property
    def url(self) -> str:
        """Where it is; several with commas between."""

    async def start(self) -> None:
        """Start it; again, if it was killed."""

    async def stop(self) -> None:
        """Stop it."""


class Release:
    """Code to run a service from, and the settings that code knows."""

    def __init__(self, root: Path = ROOT, known: Mapping[str, set[str]] | None = None) -> None:
        self.root = root
        self._known = known or {name: settings.environment_names() for name, settings in SETTINGS.items()}

    def process(self, service: str, environment: Mapping[str, str], host: Mapping[str, str] = NO_HOST) -> Process:
        """Start a service of this release; what it does not know it is not told. `host` is what is so on its host."""
        told = {name: value for name, value in environment.items() if name in self._known[service]}
        command = tethered([sys.executable, "-m", f"services.{service}"])  # ends with us, however we end
        return Process(*command, cwd=self.root, environment={**told, **host, "PYTHONPATH": str(self.root)})


CURRENT = Release()


def free_port(host: str) -> socket.socket:
    """A port nobody else gets while this is held; whoever says SO_REUSEADDR, as our services do, may listen on it."""
    return listen(host, 0)


class Fleet:
    """The members are called `gateway-0`, `rooms-1` and so on; each keeps its ports when it is started again."""

    def __init__(
        self,
        nats: Server,
        settings: Mapping[str, str],
        *,
        gateways: int = 2,
        rooms: int = 2,
        auths: int = 1,
        host: str = HOST,
    ) -> None:
        self.nats = nats
        self.names = [
            f"{service}-{n}"
            for service, count in (("rooms", rooms), ("auth", auths), ("gateway", gateways))
            for n in range(count)
        ]
        self.hosts: dict[str, Mapping[str, str]] = {}  # of members whose host is not as it should be
        self.members: dict[str, Process] = {}
        self.ended: list[tuple[str, Process]] = []
        self.trace: list[str] = []
        self._settings = dict(settings)
        self._host = host  # of the gateways' public ports
        self._held: list[socket.socket] = []
        self._ports: dict[str, int] = {}
        self._ops: dict[str, int] = {}
        self._connected: list[Ports] = []
        self._http = httpx.AsyncClient(timeout=5)
        for name in self.names:
            for ports in (self._ports, self._ops):
                self._held.append(free_port(host if ports is self._ports else HOST))
                ports[name] = self._held[-1].getsockname()[1]

    @property
    def gateways(self) -> list[str]:
        """The names of the gateways."""
        return [name for name in self.names if name.startswith("gateway")]

    def url(self, name: str) -> str:
        """Where a gateway is, or would be if it lived."""
        return f"http://{self._host}:{self._ports[name]}"

    @property
    def urls(self) -> list[str]:
        """Where the gateways are."""
        return [self.url(name) for name in self.gateways]

    # -- life ----------------------------------------------------------------------------------------------------------

    async def start(self, release: Release = CURRENT) -> None:
        """NATS and everything on it; returns when all are ready."""
        await self.nats.start()
        for name in self.names:
            self.spawn(name, release)
        await self.ready(*self.names)

    def spawn(self, name: str, release: Release = CURRENT) -> None:
        """Start a member, the first time or again."""
        service = name.partition("-")[0]
        environment = {
            "MODE": "development",
            "NATS_URL": self.nats.url,
            "NATS_USER": service,
            "NATS_PASSWORD": self.nats.passwords[service],
            "HOST": self._host,
            "PORT": str(self._ports[name]),
            "OPS_HOST": HOST,
            "OPS_PORT": str(self._ops[name]),
            "LOG_LEVEL": "warning",
            **self._settings,
        }
        told = {f"PARLEY_{key}": value for key, value in environment.items()}
        self.members[name] = release.process(service, told, self.hosts.get(name, NO_HOST))

    def note(self, what: str) -> None:
        """What is done to it, with the time."""
        self.trace.append(f"{time.time():.2f} {what}")

    async def ready(self, *names: str, within: float = PATIENCE) -> None:
        """Wait until these members say that they can serve."""
        async with asyncio.timeout(within):
            for name in names or tuple(self.members):
                while not await self.answers(name):
                    process = self.members[name]
                    assert process.popen.poll() is None, f"{name} ended by itself:\n{process.output}"
                    await asyncio.sleep(0.05)

    async def answers(self, name: str) -> bool:
        """Whether a member says that it can serve."""
        try:
            answer = await self._http.get(f"http://{HOST}:{self._ops[name]}/readyz")
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK

    async def stop(self) -> None:
        """Everything, at once."""
        await self._http.aclose()
        for ports in self._connected:
            await ports.connection.close()
        for process in self.members.values():
            process.destroy()
        await self.nats.stop()
        for held in self._held:
            held.close()

    # -- faults --------------------------------------------------------------------------------------------------------

    async def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """End a member without warning; with SIGTERM in order. Returns when it has ended."""
        process = self.members.pop(name)
        self.note(f"signal {number} to {name} ({process.popen.pid}) at {self._ports[name]}")
        process.signal(number)
        await asyncio.to_thread(process.end)
        self.ended.append((name, process))

    def freeze(self, name: str) -> None:
        """It does nothing any more, and its connections stay open."""
        self.members[name].signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """It goes on where it was."""
        self.members[name].signal(signal.SIGCONT)

    async def replace(self, name: str, release: Release = CURRENT) -> None:
        """Stop a member in order, and start it again; returns when it is ready."""
        await self.kill(name, signal.SIGTERM)
        self.spawn(name, release)
        await self.ready(name)

    # -- looking -------------------------------------------------------------------------------------------------------

    async def metrics(self, name: str) -> Exposition:
        """The counters of a member; none while it cannot answer."""
        try:
            answer = await self._http.get(f"http://{HOST}:{self._ops[name]}/metrics")
        except httpx.HTTPError:
            return Exposition("")
        return Exposition(answer.text)

    async def total(self, service: str, metric: str, **labels: str) -> float:
        """A counter, summed over all members of a service."""
        names = [name for name in self.members if name.startswith(service)]
        return sum([(await self.metrics(name)).total(metric, **labels) for name in names])

    async def buckets(self, service: str, metric: str, **labels: str) -> Counter[float]:
        """A histogram, summed over all members of a service."""
        names = [name for name in self.members if name.startswith(service)]
        found: Counter[float] = Counter()
        for name in names:
            found.update((await self.metrics(name)).buckets(metric, **labels))
        return found

    async def ports(self, user: str = "rooms") -> Ports:
        """A connection of one's own, to look at the logs."""
        if not self._connected:
            broker = Broker(self.nats.url, user, self.nats.passwords[user], 1.0)
            for _ in range(20):
                try:
                    self._connected.append(await nats_ports.connect(broker, "faults"))
                    break
                except Refused:
                    await asyncio.sleep(0.5)
        return self._connected[0]

    def last_words(self) -> list[str]:
        """The newest lines of everybody, the dead included."""
        everybody = [*self.ended, *self.members.items()]
        return [*self.trace] + [
            f"{name} ({process.popen.pid}): {line}" for name, process in everybody for line in process.lines[-50:]
        ]

    def said(self, name: str, what: str) -> list[str]:
        """The lines of a member with these words."""
        return [line for line in self.members[name].lines if what in line]

    def tracebacks(self) -> list[str]:
        """The lines in which the members tell of bugs of ours."""
        everybody = [*self.ended, *self.members.items()]
        return [
            f"{name}: {line[-400:]}"
            for name, process in everybody
            for line in process.lines
            if "Traceback" in line or '"exception"' in line
        ]
