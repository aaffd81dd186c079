"""The disk of embedded NATS servers: what there is at the start, and what to do when it is full, and when it is not again.

After a write error nats-server refuses everything until it is restarted. So it is restarted when there is space again,
and never while there is none.
"""

import asyncio
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from services.launcher.embedded_nats import EmbeddedNats, EmbeddedNatsError

LEAST_BYTES = 32 << 20  # NATS needs so much to start and to tidy up; rooms leaves as much free (storage_watch.py)
LOOK_SECONDS = 1.0
ROUND = 1000
NO_DISK = 1 << 62

Say = Callable[[str, str], None]


def free(folder: Path) -> int:
    """The bytes that are left on the folder's disk. The folder need not exist yet, and may be on none (`/proc`)."""
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    return usage.free if usage.total else NO_DISK


def shown(size: float) -> str:
    """So many bytes, for people."""
    for unit in ("bytes", "kB", "MB"):
        if size < ROUND:
            return f"{size:.0f} {unit}"
        size /= ROUND
    return f"{size:.1f} GB"


def kept(folder: Path) -> int:
    """The bytes of what is in the folder already."""
    return sum(file.stat().st_size for file in folder.rglob("*.blk")) if folder.exists() else 0


def check(folder: Path) -> None:
    """Raises EmbeddedNatsError when there is too little space to start in."""
    if (there := free(folder)) < LEAST_BYTES:
        raise EmbeddedNatsError(
            f"the disk of {folder} is full: NATS needs {shown(LEAST_BYTES)} to start, and there are {shown(there)} free"
        )


def spoken(folder: Path, needed: int) -> str:
    """How much space there is, and how much may be needed, in one line."""
    there, has = free(folder), free(folder) + kept(folder)
    said = f"{shown(there)} free on the disk of {folder}; rooms and what belongs to them take {shown(needed)} at most"
    if has >= needed:
        return said
    return f"{said}, which is more than there is: make space, or set PARLEY_LOG_MAX_BYTES lower"


class DiskWatch:
    """Looks after the disk of these servers, which are kept running by others. `space` gives the bytes that are left."""

    def __init__(self, servers: Sequence[EmbeddedNats], say: Say, space: Callable[[Path], int] = free) -> None:
        self._servers = servers
        self._say = say
        self._space = space
        self._said: set[str] = set()  # the servers whose write error was said

    async def run(self) -> None:
        """Look every second. Runs until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for server in self._servers:
                await self.look(server)

    async def look(self, server: EmbeddedNats) -> None:
        """Say a write error once; end the server when there is space again, so that it is started anew."""
        why = await asyncio.to_thread(write_error, server) if server.running else None
        name = server.place.name
        if why is None:
            return
        there = self._space(server.folder)
        if there < LEAST_BYTES:
            if name not in self._said:
                self._said.add(name)
                self._say("parley", f"{_disk(server)} ({shown(there)} free), and NATS stores nothing: {why}")
            return
        self._said.discard(name)
        self._say("parley", f"NATS could not write ({why}); there are {shown(there)} free, and it is started anew")
        await server.end()

    async def wait_for_space(self, server: EmbeddedNats) -> None:
        """Return when there is enough space to start the server."""
        said = False
        while (there := self._space(server.folder)) < LEAST_BYTES:
            if not said:
                self._say("parley", f"{_disk(server)} ({shown(there)} free); NATS is started when there is space again")
            said = True
            await asyncio.sleep(LOOK_SECONDS)


def _disk(server: EmbeddedNats) -> str:
    return f"the disk of {server.folder} is full"


def write_error(server: EmbeddedNats) -> str | None:
    """Why the server cannot write, in its own words; None while it can, or does not answer."""
    if server.monitor is None:
        return None
    try:
        with urllib.request.urlopen(f"{server.monitor}/healthz", timeout=1):  # noqa: S310 - our own server
            return None
    except urllib.error.HTTPError as refused:
        try:
            said = str(json.loads(refused.read()).get("error", ""))
        except (ValueError, OSError, AttributeError):
            return None
        return said.partition("write error: ")[2] or None
    except OSError:
        return None
