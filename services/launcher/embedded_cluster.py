"""Several NATS servers that replicate the same streams, for `make run` with NATS_SERVERS=3 and for tests.

Each server has its own store below the folder. All have the same users and passwords. Routes between them have another
password, so that no other server joins. Ports stay the same for the life of the cluster.
"""

import asyncio
import contextlib
import json
import signal
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from services.launcher.embedded_nats import STORE_BYTES, SYNC, EmbeddedNats, EmbeddedNatsError, Place, kept_passwords
from services.launcher.ports import Ports
from services.registry import REGISTRY, Registry

READY_SECONDS = 40.0  # an election takes two seconds, or nine when the first fails
ROUTE_USER = "route"


def here(count: int) -> list[Place]:
    """The places of `count` servers on this machine."""
    return [Place(f"nats-{number}") for number in range(1, count + 1)]


class EmbeddedCluster:
    """Servers that are started and stopped together. Each can also be stopped alone: `cluster.kill(0)`."""

    def __init__(
        self,
        folder: Path,
        places: Sequence[Place],
        *,
        sync: str = SYNC,
        store_bytes: int = STORE_BYTES,
        copies: int | None = None,
        registry: Registry = REGISTRY,
    ) -> None:
        self.folder = folder
        self.servers: list[EmbeddedNats] = []  # from the first start on
        self.passwords: dict[str, str] = {}
        self._places = places
        self._sync = sync
        self._store_bytes = store_bytes
        self._copies = copies or len(places)  # of what is stored
        self._registry = registry
        self._ports = Ports()  # held while the cluster runs, since its servers may be started again
        # Ports for clients and for routes. A server in its own network gets NATS' default ports, the others free ones.
        self._numbers = [(4222, 6222) if place.prefix else (0, 0) for place in places]

    @property
    def url(self) -> str:
        """The URLs of the servers, separated by commas."""
        return ",".join(server.url for server in self.servers)

    async def start(self) -> None:
        """Start the servers that do not run. Returns when the cluster is ready.

        Raises EmbeddedNatsError; then no server runs.
        """
        if not any(server.running for server in self.servers):
            self._take_ports()
        if not self.servers:
            self._make()
        starting = [server.start() for server in self.servers if not server.running]
        try:
            for outcome in await asyncio.gather(*starting, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome
            await self.ready()
        except BaseException:
            await self.stop()
            raise

    def _take_ports(self) -> None:
        """Take the ports they had before, or free ones the first time. Raises EmbeddedNatsError."""
        for index, (place, numbers) in enumerate(zip(self._places, self._numbers, strict=True)):
            if not place.prefix:
                try:
                    clients, routes = (self._ports.take(place.host, number) for number in numbers)
                except OSError as error:
                    self._ports.let_go()
                    raise EmbeddedNatsError(f"a port of {place.name} cannot be used ({error.strerror})") from None
                self._numbers[index] = clients, routes
        self._ports.complete()

    def _make(self) -> None:
        """Make the servers. Each must know the ports of the others before the first one starts."""
        known = kept_passwords(self.folder, (*self._registry.users, ROUTE_USER))
        self.passwords = {user: known[user] for user in self._registry.users}
        routes = [
            f"nats-route://{ROUTE_USER}:{known[ROUTE_USER]}@{place.host}:{port}"
            for place, (_, port) in zip(self._places, self._numbers, strict=True)
        ]
        for place, (clients, route) in zip(self._places, self._numbers, strict=True):
            settings = (
                # The routes to a server that hangs, or is cut off, stay until their pings fail. Until then the other
                # servers still ask it, without an answer.
                f'http: "{place.host}:-1"\nping_interval: "2s"\nping_max: 2\n'
                f'cluster {{ name: parley, listen: "{place.host}:{route}", routes: {json.dumps(routes)}\n'
                f'  ping_interval: "1s", ping_max: 2\n'
                f'  authorization {{ user: {ROUTE_USER}, password: "{known[ROUTE_USER]}" }} }}'
            )
            server = EmbeddedNats(
                self.folder / place.name,
                port=clients,
                settings=settings,
                sync=self._sync,
                store_bytes=self._store_bytes,
                copies=self._copies,
                place=place,
                passwords=self.passwords,
                registry=self._registry,
            )
            self.servers.append(server)

    async def ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until the running servers agree on a leader and are up to date. Raises EmbeddedNatsError."""
        deadline = time.monotonic() + seconds
        while not await self._agree():
            if time.monotonic() > deadline:
                raise EmbeddedNatsError(
                    f"the NATS servers in {self.folder} did not find together within {seconds:.0f} s; see their nats.log"
                )
            await asyncio.sleep(0.25)

    async def _agree(self) -> bool:
        running = {server.place.name: server for server in self.servers if server.running}
        views = await asyncio.gather(*(asyncio.to_thread(_meta, server) for server in running.values()))
        leaders = {view.get("leader") for view in views}
        leader = leaders.pop()
        if leaders or leader not in running:
            return False
        told = dict(zip(running, views, strict=True))[leader].get("replicas", [])
        return running.keys() <= {leader} | {one["name"] for one in told if one["current"] and not one.get("offline")}

    async def kill(self, index: int, number: int = signal.SIGKILL) -> None:
        """Send a server a signal; after SIGKILL it has ended. `servers[index].start()` and `ready()` bring it back."""
        server = self.servers[index]
        server.kill(number)
        if number == signal.SIGKILL and server.process is not None:
            await asyncio.to_thread(server.process.wait)

    async def stop(self) -> None:
        """Stop all servers at the same time. They can be started again, on the same ports."""
        await asyncio.gather(*(server.stop() for server in self.servers))
        self._ports.let_go()


def _meta(server: EmbeddedNats) -> dict[str, Any]:
    """A server's view of the group that manages all streams; empty while the server or a stream of it is not ready."""
    with contextlib.suppress(OSError, ValueError):  # an answer other than 200 is an OSError
        urllib.request.urlopen(f"{server.monitor}/healthz", timeout=1).close()  # noqa: S310 - our own server
        with urllib.request.urlopen(f"{server.monitor}/jsz", timeout=1) as answer:  # noqa: S310 - our own server
            return dict(json.load(answer).get("meta_cluster") or {})
    return {}
