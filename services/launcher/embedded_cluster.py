"""Several NATS servers that keep the same streams: what `make run` has with NATS_SERVERS=3, and what tests cut apart.

Each has a store of its own below the folder; all have the same users and passwords. Routes between them need a password
of their own, so that nobody else joins. Ports stay the same for the life of the cluster.
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

from services.launcher.embedded_nats import SYNC, EmbeddedNats, EmbeddedNatsError, Place, kept_passwords
from services.launcher.ports import Ports
from services.registry import REGISTRY, Registry

READY_SECONDS = 40.0  # an election takes two seconds, or nine when the first fails
ROUTE_USER = "route"


def here(count: int) -> list[Place]:
    """Places for so many servers on this machine."""
    return [Place(f"nats-{number}") for number in range(1, count + 1)]


class EmbeddedCluster:
    """Servers that are started and stopped together, and each by itself: `cluster.servers[0].kill()`."""

    def __init__(
        self, folder: Path, places: Sequence[Place], *, sync: str = SYNC, registry: Registry = REGISTRY
    ) -> None:
        self.folder = folder
        self.servers: list[EmbeddedNats] = []  # from the first start on
        self.passwords: dict[str, str] = {}
        self._places = places
        self._sync = sync
        self._registry = registry
        self._ports = Ports()  # held while the cluster runs, since its servers may be started again
        # For clients and for routes. A server that has a network of its own gets NATS' own, the others free ones.
        self._numbers = [(4222, 6222) if place.prefix else (0, 0) for place in places]

    @property
    def url(self) -> str:
        """Where they listen, separated by commas."""
        return ",".join(server.url for server in self.servers)

    async def start(self) -> None:
        """Start those that do not run; returns when the cluster is ready. Raises EmbeddedNatsError; nothing runs then."""
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
        """Those they had before, or the first time free ones."""
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
        """The servers, which have to know each other's ports before the first one starts."""
        known = kept_passwords(self.folder, (*self._registry.users, ROUTE_USER))
        self.passwords = {user: known[user] for user in self._registry.users}
        routes = [
            f"nats-route://{ROUTE_USER}:{known[ROUTE_USER]}@{place.host}:{port}"
            for place, (_, port) in zip(self._places, self._numbers, strict=True)
        ]
        for place, (clients, route) in zip(self._places, self._numbers, strict=True):
            settings = (
                # A server that hangs, or is cut off, keeps its routes until their pings fail; until then it is still
                # asked, and does not answer.
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
                place=place,
                passwords=self.passwords,
                registry=self._registry,
            )
            self.servers.append(server)

    async def ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until those that run agree on a leader and are up to date. Raises EmbeddedNatsError."""
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
        """Stop all of them, at once; they can be started again, on the same ports."""
        await asyncio.gather(*(server.stop() for server in self.servers))
        self._ports.let_go()


def _meta(server: EmbeddedNats) -> dict[str, Any]:
    """What a server says of the group that knows all streams; empty while it or a stream of its own is not ready."""
    with contextlib.suppress(OSError, ValueError):  # an answer other than 200 is an OSError
        urllib.request.urlopen(f"{server.monitor}/healthz", timeout=1).close()  # noqa: S310 - our own server
        with urllib.request.urlopen(f"{server.monitor}/jsz", timeout=1) as answer:  # noqa: S310 - our own server
            return dict(json.load(answer).get("meta_cluster") or {})
    return {}
