"""Real processes for tests: started, listened to, killed by their ids; and a deployment whose parts die one by one."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from services.launcher.embedded_nats import EmbeddedNats
from services.launcher.options import variables
from services.registry import REGISTRY
from shared.broker.nats import ports as nats_ports
from shared.broker.nats.connection import Broker
from shared.broker.ports import Ports

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 40.0  # generous: a start takes two seconds on an idle machine, and this one is shared
SERVICES = tuple(sorted(REGISTRY.names, key=lambda name: len(REGISTRY[name].asks)))  # services that ask come last
LAUNCHER = variables(REGISTRY)  # the environment variables of the launcher


def _stat(pid: int) -> tuple[int, str, str] | None:
    """Parent, state and start time of a process; None if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), fields[0], fields[19]


class Tree:
    """A process and its descendants, as of one moment. Start times tell a reused process id from the old process."""

    def __init__(self, root: int) -> None:
        parents: dict[int, tuple[int, str]] = {}
        for entry in Path("/proc").iterdir():
            stat = _stat(int(entry.name)) if entry.name.isdigit() else None
            if stat is not None and stat[1] != "Z":
                parents[int(entry.name)] = (stat[0], stat[2])
        self._members = {root: parents[root][1]} if root in parents else {}
        fresh = [root]
        while fresh:
            fresh = [pid for pid, (parent, _) in parents.items() if parent in fresh]
            self._members |= {pid: parents[pid][1] for pid in fresh}

    def __len__(self) -> int:
        return len(self._members)

    def commands(self) -> dict[int, str]:
        """The command line of each process that lives."""
        found = {}
        for pid in self.alive():
            try:
                found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return found

    def alive(self) -> list[int]:
        """Those that still live."""
        stats = {pid: _stat(pid) for pid in self._members}
        return [pid for pid, stat in stats.items() if stat and stat[1] != "Z" and stat[2] == self._members[pid]]

    def kill(self) -> None:
        """End those that still live."""
        for pid in self.alive():
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.kill(pid, signal.SIGKILL)


def started_with(text: str) -> dict[int, str]:
    """The living processes with this text in their environment. Children inherit it, so orphans are found too."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and text.encode() in (entry / "environ").read_bytes():
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return {pid: command for pid, command in found.items() if pid != os.getpid()}


class Process:
    """A process with the lines it wrote. Standard output and standard error are one stream of lines here."""

    def __init__(self, *command: str, cwd: Path = ROOT, environment: Mapping[str, str] | None = None) -> None:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("PARLEY_") and name not in LAUNCHER
        }
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self.popen = subprocess.Popen(  # noqa: S603 - our own code
            command,
            cwd=cwd,
            env={**inherited, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @classmethod
    def module(cls, name: str, *arguments: str, cwd: Path = ROOT, environment: Mapping[str, str] | None = None) -> Self:
        """`python -m name`, with this Python."""
        return cls(sys.executable, "-m", name, *arguments, cwd=cwd, environment=environment)

    @classmethod
    def interpreter(cls, *arguments: str, environment: Mapping[str, str] | None = None) -> Self:
        """This Python with these arguments."""
        return cls(sys.executable, *arguments, environment=environment)

    def _read(self) -> None:
        assert self.popen.stdout is not None
        with self.popen.stdout:
            for line in self.popen.stdout:
                with self._changed:
                    self.lines.append(line.decode(errors="replace").rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def output(self) -> str:
        """Everything it wrote so far."""
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, *, within: float = PATIENCE, since: int = 0) -> re.Match[str]:
        """The first line, from number `since` on, in which the pattern is found; waits for it."""
        deadline = time.monotonic() + within
        seen = since
        with self._changed:
            while True:
                for line in self.lines[seen:]:
                    found = re.search(pattern, line)
                    if found is not None:
                        return found
                seen = len(self.lines)
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    raise AssertionError(f"no line with {pattern!r}; it wrote:\n{self.output}")
                self._changed.wait(left)

    async def hear(self, pattern: str, *, within: float = PATIENCE, since: int = 0) -> re.Match[str]:
        """`wait_for`, while the event loop goes on."""
        return await asyncio.to_thread(self.wait_for, pattern, within=within, since=since)

    def end(self, within: float = PATIENCE) -> int:
        """Wait until it has ended and all its lines are read. Returns its exit status."""
        status = self.popen.wait(within)
        self._reader.join(within)
        return status

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.popen.send_signal(number)

    def tree(self) -> Tree:
        """It and what it started."""
        return Tree(self.popen.pid)

    def destroy(self) -> None:
        """End it and everything it started, at once."""
        tree = self.tree()
        tree.kill()
        self.popen.wait()
        self._reader.join(5)


class Deployment:
    """NATS and each service as a process of its own, to be killed and started again one by one."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.nats = EmbeddedNats(folder / "nats")
        self.services: dict[str, Process] = {}
        self.hosts: dict[str, Mapping[str, str]] = {}  # what is so on the host of a service, as environment variables
        self.url = ""
        self._settings = settings
        self._ports: list[Ports] = []

    async def start(self) -> None:
        """Everything; returns when all are ready."""
        await self.nats.start()
        for name in SERVICES:
            self.spawn(name)
        for name in SERVICES:
            await self.ready(name)
        self.url = (await self.services["gateway"].hear(r'"url": "(http://[^"]+)".*"listening"'))[1]

    def add(self, **settings: str) -> None:
        """More settings, for services that are started from here on."""
        self._settings |= settings

    def spawn(self, name: str) -> None:
        """Start a service, the first time or again."""
        environment = {
            "MODE": "development",
            "NATS_URL": self.nats.url,
            "NATS_USER": name,
            "NATS_PASSWORD": self.nats.passwords[name],
            **({"PORT": "0"} if name == "gateway" else {}),
            **self._settings,
        }
        known = REGISTRY[name].settings.environment_names()
        variables = {f"PARLEY_{key}": value for key, value in environment.items() if f"PARLEY_{key}" in known}
        variables |= self.hosts.get(name, {})
        self.services[name] = Process.module(f"services.{name}", environment=variables)

    async def ready(self, name: str) -> None:
        """Wait until a service says that it is."""
        await self.services[name].hear(r'"event": "ready"')

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """End a service without warning."""
        service = self.services.pop(name)
        service.signal(number)
        service.end()

    async def restart(self, name: str) -> None:
        """Start a service again; returns when it is ready."""
        self.spawn(name)
        await self.ready(name)

    def kill_nats(self) -> None:
        """End NATS without warning."""
        process = self.nats.process
        assert process is not None
        self.nats.kill()
        process.wait()

    async def ports(self, user: str = "rooms") -> Ports:
        """Ports over a new connection, to look at the log."""
        ports = await nats_ports.connect(Broker(self.nats.url, user, self.nats.passwords[user], 5.0), "test")
        self._ports.append(ports)
        return ports

    async def stop(self) -> None:
        """Everything, at once."""
        for ports in self._ports:
            await ports.connection.close()
        for service in self.services.values():
            service.destroy()
        await self.nats.stop()
