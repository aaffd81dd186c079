"""What is measured: the processes of `make run` on a free port, and what they use of the machine."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.launcher.embedded_nats import server_binary

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Deployment:
    """Where it is, and the process ids by name."""

    url: str
    pids: dict[str, int]
    needs_token: bool = False

    def cpu_seconds(self, name: str) -> tuple[float, float]:
        """CPU time a process has used: in its own code, and in the kernel for it."""
        fields = Path(f"/proc/{self.pids[name]}/stat").read_text().rpartition(") ")[2].split()
        return int(fields[11]) / TICKS, int(fields[12]) / TICKS

    def resident_bytes(self, name: str) -> int:
        """Memory of a process."""
        return int(Path(f"/proc/{self.pids[name]}/statm").read_text().split()[1]) * PAGE

    def token(self, agent_id: str) -> str:
        """A development token."""
        if not self.needs_token:
            return "none"
        body = json.dumps({"agentId": agent_id}).encode()
        request = urllib.request.Request(  # noqa: S310 - our own gateway
            self.url + "/api/dev/token", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return str(json.load(answer)["token"])


def _children(parent: int) -> dict[str, int]:
    """The launcher's processes by name."""
    found: dict[str, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((folder / "stat").read_text().rpartition(") ")[2].split()[1]) != parent:
                continue
            command = (folder / "cmdline").read_bytes().decode().split("\0")
            name = "nats" if "nats-server" in command[0] else command[2].removeprefix("services.")
            found[name] = int(folder.name)
    return found


@asynccontextmanager
async def deployed(**settings: str) -> AsyncIterator[Deployment]:
    """Start everything; stop it at the end."""
    with tempfile.TemporaryDirectory() as data:
        launcher = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services"),
            env={**os.environ, "PORT": "0", "DATA": data, "TERM": "dumb", "NO_COLOR": "1", **settings},
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(60):
                url = await _url(launcher)
            drain = asyncio.create_task(_drain(launcher))
            yield Deployment(url, _children(launcher.pid), needs_token=True)
            drain.cancel()
        finally:
            with contextlib.suppress(ProcessLookupError):
                launcher.send_signal(signal.SIGINT)
            await launcher.wait()


@asynccontextmanager
async def bare() -> AsyncIterator[Deployment]:
    """The yardstick (bench/bare.py) with a NATS server of its own."""
    with tempfile.TemporaryDirectory() as data:
        ports = Path(data)
        command = (str(server_binary()), "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", data)
        nats = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
        try:
            while not (written := list(ports.glob("*.ports"))):  # noqa: ASYNC240 - a benchmark's start may block
                await asyncio.sleep(0.05)
            nats_url = json.loads(written[0].read_text())["nats"][0]
            gateway = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bench.bare"),
                env={**os.environ, "NATS_URL": nats_url},
                stdout=asyncio.subprocess.PIPE,
            )
            try:
                async with asyncio.timeout(60):
                    url = await _url(gateway)
                yield Deployment(url, {"gateway": gateway.pid, "nats": nats.pid})
            finally:
                gateway.kill()
                await gateway.wait()
        finally:
            nats.kill()
            await nats.wait()


async def _url(launcher: asyncio.subprocess.Process) -> str:
    assert launcher.stdout is not None
    while line := (await launcher.stdout.readline()).decode():
        found = re.search(r"URL +(http://[^ ]+)", line.strip())
        if found:
            return found.group(1)
    raise RuntimeError("the launcher ended before it was ready")


async def _drain(launcher: asyncio.subprocess.Process) -> None:
    assert launcher.stdout is not None
    while await launcher.stdout.readline():
        pass
