"""Every service and an embedded NATS server, as separate processes: development and small installations.

`python -m services`: prints where it is and how to use it; Ctrl-C stops everything.
"""

import asyncio
import contextlib
import errno
import json
import os
import signal
import socket
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import nats
import nats.errors
import typer
from rich.console import Console
from rich.text import Text

from services.auth.settings import AuthSettings
from services.embedded_nats import EmbeddedNats, EmbeddedNatsError
from services.gateway.settings import GatewaySettings
from services.parts import NatsPart, Part, ServicePart, keep
from services.rooms.settings import RoomsSettings
from shared.nats_connection import OLDEST_SERVER
from shared.ops import listen
from shared.settings import PREFIX, ServiceSettings, SettingsError

SERVICES: dict[str, type[ServiceSettings]] = {"gateway": GatewaySettings, "rooms": RoomsSettings, "auth": AuthSettings}
COLOURS = {"gateway": "cyan", "rooms": "green", "auth": "magenta", "parley": "bold"}
STOP_SECONDS = 4.0  # for the services; the NATS server is stopped after them
READY_SECONDS = 20.0


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Nobody reads any more (`make run | head`): go on without words, instead of ending wherever this was said."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


console = _Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


class CannotStart(Exception):  # noqa: N818 - what ends the launcher, in one sentence
    """The message is one sentence for whoever started it."""


def say(who: str, line: str) -> None:
    """One line of somebody's, with a prefix."""
    console.print(Text.assemble((f"{who:>7} ", COLOURS.get(who, "")), "│ ", line))


@dataclass
class Plan:
    """What is asked for by the environment and the options."""

    host: str
    port: int
    data: Path
    nats_url: str | None
    environment: dict[str, str] = field(default_factory=dict)

    def environment_of(self, service: str) -> dict[str, str]:
        """What a service is told, except where NATS is."""
        known = SERVICES[service].environment_names()
        environment = {PREFIX + "MODE": "development", PREFIX + "LOG_FORMAT": "console"}
        environment |= {name: value for name, value in self.environment.items() if name in known}
        if service == "gateway":
            environment |= {PREFIX + "HOST": self.host, PREFIX + "PORT": str(self.port)}
        return environment

    @property
    def url(self) -> str:
        """Where the gateway will be."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


class Launcher:
    """Starts the processes, looks after them, stops them in order."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._nats: EmbeddedNats | None = None
        self._services: dict[str, ServicePart] = {}
        self._keeping: list[asyncio.Task[None]] = []
        self._ops: dict[str, int] = {}  # the internal port of each service
        self._held: list[socket.socket] = []  # ports kept free for the services until they listen

    async def run(self) -> None:
        """Until Ctrl-C. Raises CannotStart."""
        stop = asyncio.Event()
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # the last one when the terminal is closed; Windows has it not
            with contextlib.suppress(NotImplementedError, AttributeError):
                asyncio.get_running_loop().add_signal_handler(getattr(signal, name), stop.set)
        started = time.monotonic()
        try:
            await asyncio.to_thread(self._take_ports)
            url = await self._broker()
            await self._start_services(url)
            if not await self._until_ready(stop):
                return
            self._let_go()
            await self._welcome(time.monotonic() - started)
            await self._watch(stop)
        finally:
            self._let_go()
            await self._stop()

    def _take_ports(self) -> None:
        """Said before anything is started, in one sentence. Taken together, so that no two are the same."""
        try:
            self._held.append(listen(self._plan.host, self._plan.port))
        except OSError as error:
            variable = "PORT" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "HOST"
            raise CannotStart(
                f"{self._plan.host}:{self._plan.port} cannot be used ({error.strerror}); choose another with {variable}=…"
            ) from None
        self._plan.port = self._held[0].getsockname()[1]
        for name in SERVICES:
            self._held.append(listen("127.0.0.1", 0))
            self._ops[name] = self._held[-1].getsockname()[1]
        if sys.platform != "linux":
            self._let_go()

    def _let_go(self) -> None:
        """Linux lets the services bind what we hold without listening (both say SO_REUSEADDR), and nobody else."""
        while self._held:
            self._held.pop().close()

    # -- NATS ----------------------------------------------------------------------------------------------------------

    async def _broker(self) -> str:
        if self._plan.nats_url is not None:
            await self._check_server(self._plan.nats_url)
            return self._plan.nats_url
        self._nats = EmbeddedNats(self._plan.data / "nats")
        try:
            await self._nats.start()
        except EmbeddedNatsError as error:
            raise CannotStart(str(error)) from None
        say("parley", f"NATS server at {self._nats.url}, data in {self._plan.data}")
        return self._nats.url

    async def _check_server(self, url: str) -> None:
        shown = ", ".join(part.rpartition("@")[2] for part in url.split(","))
        try:
            client = await nats.connect(
                url.split(","),
                allow_reconnect=False,
                connect_timeout=3,
                max_reconnect_attempts=1,
                reconnect_time_wait=0.2,
                error_cb=_ignore,
            )
        except Exception as error:
            raise CannotStart(f"the NATS server at {shown} (NATS_URL) cannot be used: {_reason(error)}") from None
        version = client.connected_server_version
        jetstream = client._server_info.get("jetstream")
        await client.close()
        if (version.major, version.minor) < OLDEST_SERVER:
            oldest = ".".join(map(str, OLDEST_SERVER))
            found = f"{version.major}.{version.minor}.{version.patch}"
            raise CannotStart(f"the NATS server at {shown} is version {found}; Parley needs {oldest} or later")
        if not jetstream:
            raise CannotStart(f"the NATS server at {shown} runs without JetStream; start it with -js")

    # -- the services --------------------------------------------------------------------------------------------------

    async def _start_services(self, nats_url: str) -> None:
        for name in SERVICES:
            environment = self._plan.environment_of(name) | {
                PREFIX + "NATS_URL": nats_url,
                PREFIX + "OPS_HOST": "127.0.0.1",
                PREFIX + "OPS_PORT": str(self._ops[name]),
            }
            if self._nats is not None:
                environment.pop(PREFIX + "NATS_PASSWORD_FILE", None)
                environment |= {PREFIX + "NATS_USER": name, PREFIX + "NATS_PASSWORD": self._nats.passwords[name]}
            part = self._services[name] = ServicePart(name, environment, say)
            await part.start()

    async def _until_ready(self, stop: asyncio.Event) -> bool:
        deadline = time.monotonic() + READY_SECONDS
        while not stop.is_set() and time.monotonic() < deadline:
            for name, part in self._services.items():
                if not part.alive:
                    await part.ended()
                    raise CannotStart(f"{name} has ended by itself; its lines above say why")
            if all(
                [await asyncio.to_thread(_answers, f"http://127.0.0.1:{port}/readyz") for port in self._ops.values()]
            ):
                return True
            await asyncio.sleep(0.05)
        if not stop.is_set():
            raise CannotStart(f"the services were not ready within {READY_SECONDS:.0f} s; their lines above say why")
        return False

    async def _watch(self, stop: asyncio.Event) -> None:
        """Until told to stop; what ends by itself is started again."""
        parts: list[Part] = [*self._services.values()]
        if self._nats is not None:
            parts.append(NatsPart(self._nats))
        self._keeping = [asyncio.create_task(keep(part, say, stop), name=f"keep {part.name}") for part in parts]
        await stop.wait()

    async def _stop(self) -> None:
        """The gateway first, since the others must still hear from it who left; NATS last."""
        for keeping in self._keeping:
            keeping.cancel()
        deadline = time.monotonic() + STOP_SECONDS
        if "gateway" in self._services:
            await self._services["gateway"].end(STOP_SECONDS * 0.8)
        left = deadline - time.monotonic()
        await asyncio.gather(*(part.end(left) for part in self._services.values()))
        if self._nats is not None:
            await self._nats.stop()

    # -- words ---------------------------------------------------------------------------------------------------------

    async def _welcome(self, seconds: float) -> None:
        url = self._plan.url
        say("parley", f"ready in {seconds:.1f} s")
        console.print()
        console.print(
            f"  [bold]URL[/]    {url}    (REST: {url}/api/docs, WebSocket: {url.replace('http', 'ws', 1)}/ws)"
        )
        token = await asyncio.to_thread(_dev_token, url)
        if token is not None:
            console.print(f"  [bold]token[/]  {token}")
            console.print()
            console.print("  [bold]try[/]    " + _paste(url, token))
        if self._nats is not None:
            console.print()
            passwords = self._nats.folder / "passwords.json"
            console.print(
                f"  [bold]NATS[/]   {self._nats.url}    (room events: user observer, password in {passwords})"
            )
        console.print()


async def _ignore(_error: Exception) -> None:
    """nats-py would print it; the launcher says it in one sentence."""


def _reason(error: Exception) -> str:
    if isinstance(error, nats.errors.NoServersError | OSError | asyncio.TimeoutError):
        return "nobody answers there"
    return str(error).removeprefix("nats: ").strip("'")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - our own gateway
            return bool(answer.status == 200)
    except OSError:
        return False


def _dev_token(url: str) -> str | None:
    body = json.dumps({"agentId": "you", "ttl": 86400}).encode()
    request = urllib.request.Request(  # noqa: S310 - our own gateway
        url + "/api/dev/token", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return str(json.load(answer)["token"])
    except (OSError, ValueError, KeyError):
        return None  # not development mode, or not a loopback address


def _paste(url: str, token: str) -> str:
    return (
        f"curl -s {url}/api/rooms -H 'Authorization: Bearer {token}' "
        '-H \'Content-Type: application/json\' -d \'{"name": "First room", "type": "video"}\''
    )


def read_plan(host: str, port: int, data: Path, nats_url: str | None) -> Plan:
    """The plan, tried on every service's settings before anything is started. Raises SettingsError."""
    environment = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    known = set().union(*(settings.environment_names() for settings in SERVICES.values()))
    unknown = sorted(environment.keys() - known)
    if unknown:
        raise SettingsError(f"unknown setting {unknown[0]} (docs/configuration.md lists what there is)")
    plan = Plan(host, port, data, nats_url, environment)
    for name, settings in SERVICES.items():
        settings.read(plan.environment_of(name))
    return plan


def main(
    host: str = typer.Option("127.0.0.1", envvar=["HOST", "PARLEY_HOST"], help="Address of the gateway's port."),
    port: int = typer.Option(
        8080, envvar=["PORT", "PARLEY_PORT"], min=0, max=65535, help="The gateway's port; 0 takes a free one."
    ),
    data: Path = typer.Option(Path(".data"), envvar="DATA", help="Folder of the embedded NATS server's data."),  # noqa: B008
    nats_url: str | None = typer.Option(
        None, envvar=["NATS_URL", "PARLEY_NATS_URL"], help="An existing NATS server, instead of the embedded one."
    ),
) -> None:
    """Run the gateway, rooms and auth with an embedded NATS server."""
    try:
        asyncio.run(Launcher(read_plan(host, port, data, nats_url or None)).run())
    except (CannotStart, SettingsError) as error:
        errors.print(f"parley cannot start: {error}")
        raise SystemExit(1) from None


if __name__ == "__main__":
    typer.run(main)
