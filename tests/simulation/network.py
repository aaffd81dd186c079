"""The network between processes and clients: it delays every message, and keeps the trace of the run."""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from random import Random
from typing import Any

from tests.simulation.clock import VirtualLoop
from tests.simulation.weather import Sky


class Trace:
    """Everything that happened, as a hash. With `tell`, also as lines."""

    def __init__(self, tell: Callable[[str], None] | None) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._tell = tell

    def add(self, line: str) -> None:
        """Add a line."""
        self._hash.update(line.encode())
        if self._tell is not None:
            self._tell(line)

    @property
    def digest(self) -> str:
        """The hash of all lines so far."""
        return self._hash.hexdigest()


class Network:
    """Runs calls and tasks that belong to no process. `chance` is the run's only source of chance."""

    def __init__(self, loop: VirtualLoop, chance: Random, tell: Callable[[str], None] | None = None) -> None:
        self.loop = loop
        self.chance = chance
        self.sky = Sky(chance)
        self.context: Context = copy_context()
        self.wrong: list[str] = []
        self._trace = Trace(tell)

    def later(self, seconds: float, call: Callable[..., object], *arguments: Any) -> None:
        """Call later, outside of all processes."""
        self.loop.call_later(seconds, call, *arguments, context=self.context)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task that belongs to no process."""
        return self.loop.create_task(work, context=self.context)

    def note(self, who: str, what: str) -> None:
        """Add a line to the trace."""
        self._trace.add(f"{self.loop.now:.6f} {who} {what}")

    @property
    def digest(self) -> str:
        """The hash of the trace."""
        return self._trace.digest

    def blame(self, what: str) -> None:
        """Report something that must not happen. The run ends with the first report."""
        self.note("VIOLATION", what)
        self.wrong.append(what)


class Wire:
    """One direction of a connection. Messages arrive in order, unless it is cut."""

    def __init__(self, network: Network, context: Context, receive: Callable[..., object]) -> None:
        self._network = network
        self._context = context
        self._receive = receive
        self._free_at = 0.0
        self.cut = False

    def send(self, *what: Any) -> None:
        """Send something. It arrives later, after what was sent before it."""
        loop = self._network.loop
        self._free_at = max(self._free_at + 1e-6, loop.now + self._network.sky.delay())
        loop.call_at(self._free_at, self._arrive, what, context=self._context)

    def _arrive(self, what: tuple[Any, ...]) -> None:
        if not self.cut:
            self._receive(*what)
