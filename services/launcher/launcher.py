"""Starts all processes, restarts those that end, and stops them in order."""

import asyncio
import datetime
import errno
import time
import urllib.request
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from services.launcher import disk
from services.launcher.addresses import own_addresses, reachable
from services.launcher.certificate import certificate, names_of
from services.launcher.disk import DiskWatch
from services.launcher.embedded_cluster import EmbeddedCluster, here
from services.launcher.embedded_nats import EmbeddedNats, EmbeddedNatsError
from services.launcher.existing_nats import check_server
from services.launcher.lines import Lines
from services.launcher.parts import NatsPart, Part, ServicePart, keep
from services.launcher.plan import CannotStart, Plan
from services.launcher.ports import Ports
from services.launcher.welcome import Welcome
from shared.runtime.settings import PREFIX
from shared.runtime.told import TOLD

STOP_SECONDS = 4.0  # for the services; the NATS servers are stopped after them
READY_SECONDS = 20.0  # for the first of each service; every further process shares the machine with them
READY_SECONDS_EACH = 5.0
ADDRESSES_TOLD = 4  # addresses of this machine that are shown; a machine with containers has many

MONITOR = 'http: "127.0.0.1:-1"'  # where a single server says whether it can write

T = TypeVar("T")


class Launcher:
    """The processes of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._registry = plan.registry
        self._say = Lines({name: service.colour for service in plan.registry for name in plan.names(service)}).say
        self._nats: EmbeddedNats | EmbeddedCluster | None = None
        self._services: list[ServicePart] = []
        self._keeping: list[asyncio.Task[None]] = []
        self._ports = Ports()
        self._public: dict[str, int] = {}  # the port of each gateway process, by its name in log lines
        self._ops: dict[str, int] = {}  # the internal port of each process

    async def run(self) -> None:
        """Run everything until Ctrl-C. Raises CannotStart."""
        stop = asyncio.Event()
        TOLD.tell(stop.set, stop.set)  # SIGHUP: the terminal was closed
        started = time.monotonic()
        try:
            await asyncio.to_thread(self._take_ports)
            await asyncio.to_thread(self._make_certificate)
            url = await _unless(stop, self._broker())
            if url is None:
                return
            await self._start_services(url)
            if not await self._until_ready(stop):
                return
            self._say("parley", f"ready in {time.monotonic() - started:.1f} s")
            await self._welcome()
            await self._watch(stop)
        finally:
            await self._stop()

    def _take_ports(self) -> None:
        """Take the ports of all processes before anything starts, together so that no two are the same.

        Raises CannotStart.
        """
        host, first = self._plan.host, self._plan.port
        for number, name in enumerate(name for one in self._registry if one.public for name in self._plan.names(one)):
            wanted = first + number if first else 0
            try:
                self._public[name] = self._ports.take(host, wanted)
            except OSError as error:
                variable = "PORT" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "HOST"
                why = f"{host}:{wanted} cannot be used ({error.strerror})"
                raise CannotStart(f"{why}; choose another with {variable}=…") from None
        for service in self._registry:
            self._ops |= {name: self._ports.take("127.0.0.1") for name in self._plan.names(service)}
        self._ports.complete()

    def _make_certificate(self) -> None:
        plan = self._plan
        if not plan.makes_certificate:
            return
        names = names_of(plan.host, own_addresses())
        try:
            certificate(plan.tls_folder, names, datetime.datetime.now(datetime.UTC))
        except OSError as error:
            raise CannotStart(
                f"{plan.tls_folder} cannot be used ({error.strerror}); choose another with DATA=…"
            ) from None

    # -- NATS ----------------------------------------------------------------------------------------------------------

    async def _broker(self) -> str:
        plan = self._plan
        if plan.nats_url is not None:
            await check_server(plan.nats_url)
            return plan.nats_url
        folder, needed = plan.nats_folder, plan.store_bytes * plan.nats_servers
        try:
            await asyncio.to_thread(disk.check, folder)
            if plan.nats_servers == 1:
                self._nats = EmbeddedNats(
                    folder, settings=MONITOR, sync=plan.sync, store_bytes=plan.store_bytes, registry=plan.registry
                )
            else:
                places = here(plan.nats_servers)
                self._nats = EmbeddedCluster(
                    folder,
                    places,
                    sync=plan.sync,
                    store_bytes=plan.store_bytes,
                    copies=plan.copies,
                    registry=plan.registry,
                )
            await self._nats.start()
        except EmbeddedNatsError as error:
            raise CannotStart(str(error)) from None
        servers = "NATS server" if plan.nats_servers == 1 else f"{plan.nats_servers} NATS servers"
        self._say("parley", f"{servers} at {self._nats.url}, data in {folder}")
        self._say("parley", await asyncio.to_thread(disk.spoken, folder, needed))
        return self._nats.url

    @property
    def _servers(self) -> list[EmbeddedNats]:
        if isinstance(self._nats, EmbeddedCluster):
            return self._nats.servers
        return [self._nats] if self._nats is not None else []

    # -- the services --------------------------------------------------------------------------------------------------

    async def _start_services(self, nats_url: str) -> None:
        for service in self._registry:
            for name in self._plan.names(service):
                environment = self._plan.environment_of(service) | {
                    PREFIX + "NATS_URL": nats_url,
                    PREFIX + "OPS_HOST": "127.0.0.1",
                    PREFIX + "OPS_PORT": str(self._ops[name]),
                }
                if service.public:
                    environment[PREFIX + "PORT"] = str(self._public[name])
                if self._nats is not None:
                    password = self._nats.passwords[service.user]
                    environment.pop(PREFIX + "NATS_PASSWORD_FILE", None)
                    environment |= {PREFIX + "NATS_USER": service.user, PREFIX + "NATS_PASSWORD": password}
                part = ServicePart(name, service, environment, self._say)
                self._services.append(part)
                await part.start()

    async def _until_ready(self, stop: asyncio.Event) -> bool:
        seconds = READY_SECONDS + READY_SECONDS_EACH * (len(self._services) - len(self._registry))
        deadline = time.monotonic() + seconds
        waiting = list(self._ops.values())
        while not stop.is_set() and time.monotonic() < deadline:
            for part in self._services:
                if not part.alive:
                    await part.ended()
                    raise CannotStart(f"{part.name} has ended by itself; its lines above say why")
            waiting = [port for port in waiting if not await asyncio.to_thread(_is_ready, port)]
            if not waiting:
                return True
            await asyncio.sleep(0.05)
        if not stop.is_set():
            raise CannotStart(f"the services were not ready within {seconds:.0f} s; their lines above say why")
        return False

    async def _welcome(self) -> None:
        plan, settings = self._plan, self._plan.gateway()
        ports = list(self._public.values())
        others = [plan.url(ports[0], str(address)) for address in reachable(plan.host)]
        said = Welcome(
            urls=[plan.url(port) for port in ports],
            others=others[:ADDRESSES_TOLD],
            page=settings.serves_page,
            certificate=Path(settings.tls_certificate) if settings.tls_certificate else None,
            self_signed=plan.makes_certificate,
            nats=(self._nats.url, self._nats.folder / "passwords.json") if self._nats is not None else None,
        )
        await asyncio.to_thread(said.say)

    async def _watch(self, stop: asyncio.Event) -> None:
        """Wait until told to stop. Meanwhile restart each process that ends by itself, with the ports it had."""
        watch = DiskWatch(self._servers, self._say)
        self._keeping.append(asyncio.create_task(watch.run(), name="disk"))
        one = len(self._servers) == 1
        nats: list[Part] = [NatsPart("NATS" if one else server.place.name, server, watch) for server in self._servers]
        for part in (*self._services, *nats):
            self._keeping.append(asyncio.create_task(keep(part, self._say, stop), name=f"keep {part.name}"))
        await stop.wait()

    async def _stop(self) -> None:
        """Stop the services that ask others first, since gateways must still tell rooms who left. Stop NATS last."""
        for keeping in self._keeping:
            keeping.cancel()
        deadline = time.monotonic() + STOP_SECONDS
        asking = [part for part in self._services if part.service.asks]
        await asyncio.gather(*(part.end(STOP_SECONDS * 0.8) for part in asking))
        left = deadline - time.monotonic()
        await asyncio.gather(*(part.end(left) for part in self._services))
        if self._nats is not None:
            await self._nats.stop()
        self._ports.let_go()


async def _unless(stop: asyncio.Event, starting: Coroutine[Any, Any, T]) -> T | None:
    """The result of `starting`; None when told to stop before it is there."""
    task, stopping = asyncio.ensure_future(starting), asyncio.ensure_future(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.wait({task})
    return None


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
