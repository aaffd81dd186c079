"""Where NATS is, and who we are there: as the environment says, or as `make run` keeps it in its data folder."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats.errors
from nats.aio.client import Client

from services.backup.errors import BackupError

URL = ("PARLEY_NATS_URL", "NATS_URL")
PASSWORD = "PARLEY_NATS_PASSWORD"
SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """A NATS server, or several of a cluster."""

    urls: tuple[str, ...]
    user: str | None
    password: str | None

    @property
    def shown(self) -> str:
        """The addresses, without a password."""
        return ", ".join(url.rpartition("@")[2].rpartition("//")[2] for url in self.urls)

    async def use(self, work: Callable[[Client], Coroutine[Any, Any, None]]) -> None:
        """Do this over a connection, which is not made again when it is lost. Raises BackupError."""
        client = Client()
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._connect(client, failed)
        working = asyncio.ensure_future(work(client))
        try:
            await asyncio.wait({working, failed}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                working.cancel()
                await asyncio.wait({working})
                failed.result()
            working.result()
        finally:
            if not working.done():  # interrupted
                working.cancel()
                await asyncio.wait({working})
            failed.cancel()
            with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
                await client.close()

    async def _connect(self, client: Client, failed: "asyncio.Future[None]") -> None:
        said = list[str]()

        def fail(why: str) -> None:
            if not failed.done():
                failed.set_exception(BackupError(why))

        async def hear(error: Exception) -> None:
            said.append(str(error))
            if "permissions violation" in str(error).lower():
                fail(f"the NATS user {self.user!r} may not do that: {error}")

        async def lost() -> None:
            fail(f"the connection to NATS at {self.shown} was lost")

        try:
            await client.connect(
                list(self.urls),
                name="parley-backup",
                user=self.user,
                password=self.password,
                inbox_prefix=f"_INBOX.{self.user}" if self.user else "_INBOX",
                allow_reconnect=False,
                connect_timeout=int(SECONDS),
                max_reconnect_attempts=1,
                reconnect_time_wait=1,
                ping_interval=2,
                max_outstanding_pings=3,
                error_cb=hear,
                disconnected_cb=lost,
            )
        except (nats.errors.Error, OSError, TimeoutError, ValueError) as error:
            failed.cancel()
            raise self._refused(" ".join([str(error), *said]).lower()) from None

    def _refused(self, why: str) -> BackupError:
        if "authorization" in why:
            return BackupError(f"NATS at {self.shown} does not know the user {self.user!r} with this password")
        return BackupError(f"nobody answers as NATS at {self.shown}")


def place_of(environment: Mapping[str, str], data: Path, user: str) -> Place:
    """Where the environment says, otherwise where `make run` runs on this folder. Raises BackupError."""
    url = next((environment[name] for name in URL if environment.get(name)), None)
    if url is None:
        return _of_data(data, user)
    password = environment.get(PASSWORD)
    if file := environment.get(f"{PASSWORD}_FILE"):
        try:
            password = Path(file).read_text().strip()
        except (OSError, UnicodeDecodeError):
            raise BackupError(f"{PASSWORD}_FILE: cannot be read") from None
    named = environment.get("PARLEY_NATS_USER") or user
    return Place(tuple(url.split(",")), named if password else None, password)


def _of_data(data: Path, user: str) -> Place:
    """The server or cluster whose processes wrote down their ports, and still run."""
    for folder in (data / "nats", *sorted(data.glob("nats-cluster-of-*"))):
        urls = tuple(url for ports in sorted(folder.glob("**/*.ports")) if (url := _url(ports)) is not None)
        if not urls:
            continue
        try:
            return Place(urls, user, str(json.loads((folder / "passwords.json").read_text())[user]))
        except (OSError, ValueError, KeyError):
            raise BackupError(
                f"{folder / 'passwords.json'} has no password of {user!r}: start `make run` again, which makes one"
            ) from None
    raise BackupError(f"no NATS server of `make run` runs on {data}: start it, or say with NATS_URL where NATS is")


def _url(ports: Path) -> str | None:
    """Of a server that lives: the process id is in the file's name."""
    process = ports.stem.rpartition("_")[2]
    if not Path("/proc/self").exists() or Path(f"/proc/{process}").exists():
        with contextlib.suppress(OSError, ValueError, KeyError, IndexError):
            return str(json.loads(ports.read_text())["nats"][0])
    return None
