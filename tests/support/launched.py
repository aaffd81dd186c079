"""The launcher as `make run` starts it, for tests from outside; and an existing NATS server for it to use."""

import os
import re
import signal
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from services.launcher.embedded_nats import server_binary
from tests.support.processes import ROOT, Process, started_with


def bearer(text: str) -> dict[str, str]:
    """The header with a token."""
    return {"Authorization": f"Bearer {text}"}


class Launched:
    """The launcher, as `make run` starts it; `module` is another program that starts it, `prefix` begins the command."""

    def __init__(
        self,
        data: Path,
        *,
        cwd: Path = ROOT,
        environment: Mapping[str, str] | None = None,
        module: str = "services",
        prefix: Sequence[str] = (),
    ) -> None:
        self.data = data
        self._mark = uuid.uuid4().hex
        given = {"PORT": "0", "DATA": str(data), "STARTED_BY": self._mark, **(environment or {})}
        self.process = Process(*prefix, sys.executable, "-m", module, cwd=cwd, environment=given)
        self.urls: list[str] = []
        self.token = ""

    @property
    def url(self) -> str:
        """The URL of the first gateway."""
        return self.urls[0] if self.urls else ""

    def ready(self) -> Self:
        """Wait until it says that it is ready, and take URL and token from its output."""
        try:
            self.process.wait_for(r"ready in [\d.]+ s")
            self.process.wait_for(r"^\s*try\s")
            self.urls = re.findall(r"^\s*URL\s+(\S+)", self.process.output, re.MULTILINE)
            self.token = self.process.wait_for(r"^\s*token\s+(\S+)")[1]
        except BaseException:
            self.destroy()
            raise
        return self

    def left_behind(self) -> dict[int, str]:
        """The processes that it started and that still live."""
        return started_with(f"STARTED_BY={self._mark}")

    def stop(self, number: int = signal.SIGINT) -> int:
        """Stop it as Ctrl-C does, and return its exit status. Asserts that no process is left behind."""
        try:
            self.process.signal(number)
            status = self.process.end()
            assert not self.left_behind()
            return status
        finally:
            self.destroy()

    def destroy(self) -> None:
        """End it and everything it started, at once; it may have ended already."""
        self.process.destroy()
        for pid in self.left_behind():
            os.kill(pid, signal.SIGKILL)


class PlainNats:
    """A NATS server without users, as somebody may have one running already."""

    def __init__(self, folder: Path, *options: str) -> None:
        folder.mkdir(parents=True)
        self._process = Process(
            *(str(server_binary()), "-a", "127.0.0.1", "-p", "-1"),
            *("--ports_file_dir", str(folder), "-sd", str(folder / "store"), *options),
        )
        found = self._process.wait_for(r"client connections on (127\.0\.0\.1:\d+)")
        self.url = f"nats://{found[1]}"
        self._process.wait_for("Server is ready")

    def stop(self) -> None:
        """End it."""
        self._process.destroy()


def refusals(*asked: tuple[Path, dict[str, str]], within: float = 30.0) -> list[str]:
    """The one sentence of each launcher that cannot start, with this data folder and environment; all at once."""
    starting = [Launched(data, environment=environment) for data, environment in asked]
    try:
        return [_refusal(launched, within) for launched in starting]
    finally:
        for launched in starting:
            launched.destroy()


def refusal(data: Path, within: float = 30.0, **environment: str) -> str:
    """The one sentence of a launcher that cannot start."""
    return refusals((data, environment), within=within)[0]


def _refusal(launched: Launched, within: float) -> str:
    assert launched.process.end(within) == 1, launched.process.output
    assert not launched.left_behind()
    lines = [line for line in launched.process.lines if line.strip()]
    assert len(lines) == 1, launched.process.output
    assert lines[0].startswith("parley cannot start: ")
    return lines[0]
