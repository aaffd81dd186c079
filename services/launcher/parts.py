"""The processes that the launcher runs: starts them, waits for their end, restarts and ends them."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Protocol

from services.launcher.disk import DiskWatch
from services.launcher.embedded_nats import EmbeddedNats, EmbeddedNatsError
from services.launcher.tether import tethered
from services.registry import ServiceRecord
from shared.runtime.settings import PREFIX
from shared.values import pauses

STEADY_SECONDS = 30.0  # after running so long, a process that ends is restarted after the first pause again


class Part(Protocol):
    """One process that the launcher runs."""

    name: str

    async def start(self) -> None:
        """Start it. Raises EmbeddedNatsError."""

    async def ended(self) -> int:
        """Wait until it ends. Returns its exit status, negative for a signal."""


class ServicePart:
    """One process of a service, which Python runs as a module. Its lines go to `say`."""

    def __init__(
        self, name: str, service: ServiceRecord, environment: Mapping[str, str], say: Callable[[str, str], None]
    ) -> None:
        self.name = name
        self.service = service
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)} | dict(environment)
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._copying: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """See Part."""
        self._process = await asyncio.create_subprocess_exec(
            *tethered([sys.executable, "-m", self.service.module]),
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the launcher, which passes it on in order
        )
        self._copying = asyncio.create_task(self._copy(self._process), name=f"lines of {self.name}")

    async def _copy(self, process: asyncio.subprocess.Process) -> None:
        while process.stdout is not None and (line := await process.stdout.readline()):
            self._say(self.name, line.decode(errors="replace").rstrip())

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None

    async def ended(self) -> int:
        """See Part. Waits at most a second more for its last lines."""
        if self._process is None or self._copying is None:
            return 0
        status = await self._process.wait()
        await asyncio.wait({self._copying}, timeout=1)
        return status

    async def end(self, seconds: float) -> None:
        """Ask it to end, and kill it after `seconds`."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await process.wait()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await self.ended()


class NatsPart:
    """An embedded NATS server."""

    def __init__(self, name: str, server: EmbeddedNats, disk: DiskWatch) -> None:
        self.name = name
        self._server = server
        self._disk = disk

    async def start(self) -> None:
        """See Part. Waits while the disk is full: a server that cannot write would end, or refuse everything."""
        await self._disk.wait_for_space(self._server)
        await self._server.start()

    async def ended(self) -> int:
        """See Part."""
        process = self._server.process
        return await asyncio.to_thread(process.wait) if process is not None else 0


async def keep(part: Part, say: Callable[[str, str], None], stop: asyncio.Event) -> None:
    """Restart a part whenever it ends by itself, until `stop`."""
    loop = asyncio.get_running_loop()
    attempt = 0
    while True:
        since = loop.time()
        status = await part.ended()
        if stop.is_set():
            return
        attempt = 0 if loop.time() - since > STEADY_SECONDS else attempt
        pause = pauses.before(attempt, pauses.RESTART)
        attempt += 1
        say("parley", f"{part.name} has ended by itself ({how(status)}); starting it again in {pause:g} s")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await stop.wait()
            return
        try:
            await part.start()
        except EmbeddedNatsError as error:
            say("parley", str(error))


def how(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"exit status {status}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-status).name
    return f"signal {-status}"
