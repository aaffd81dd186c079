"""The command `parley`, run as a process: what it wrote on which stream, and how it ended."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, TypeVar

from tests.clients.cli.forked import Forked, forker
from tests.support.processes import PATIENCE, ROOT

Found = TypeVar("Found")
COMMAND = (sys.executable, "-m", "parley")
FOREIGN = ("PARLEY_", "NATS_", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "TERM", "HTTP_PROXY", "http_proxy")


def environment(**more: str) -> dict[str, str]:
    """What a command is started with: nothing of ours but what is given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return {**kept, "TERM": "xterm-256color", **more}


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on standard output."""
        lines = self.out.splitlines()
        assert len(lines) == 1, self
        return json.loads(lines[0])

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines on standard output."""
        return [json.loads(line) for line in self.out.splitlines()]

    def says(self, *texts: str) -> None:
        """All of these are in what it wrote."""
        for text in texts:
            assert text in self.out + self.err, self

    def one_sentence(self) -> str:
        """What it complained about: exactly one line, and no traceback."""
        lines = [line for line in self.err.splitlines() if not line.startswith("parley: no token given: using one")]
        assert len(lines) == 1, self
        assert lines[0].startswith("parley: "), self
        return lines[0].removeprefix("parley: ")


class Cli:
    """Runs commands with an environment. Forked from a process that has loaded them, unless `started` anew by Python."""

    def __init__(self, *, started: bool = False, **variables: str) -> None:
        self.variables = variables
        self.started = started

    def with_(self, **variables: str) -> "Cli":
        """The same with more variables."""
        return Cli(started=self.started, **{**self.variables, **variables})

    def __call__(self, *arguments: str, text: str = "", status: int | None = 0) -> Ended:
        """Run one to its end. With `status` None it may end as it likes."""
        with self.start(*arguments, text=text) as running:
            ended = running.end(within=PATIENCE * 2)
        assert status is None or ended.status == status, ended
        return ended

    def start(self, *arguments: str, text: str = "") -> "Running":
        """Start one that goes on; `text` is its standard input."""
        return Running(arguments, environment(**self.variables), text, started=self.started)


def _started(arguments: Sequence[str], variables: Mapping[str, str], streams: Sequence[int]) -> subprocess.Popen[bytes]:
    stdin, stdout, stderr = streams
    command = [*COMMAND, *arguments]
    return subprocess.Popen(command, env=variables, stdin=stdin, stdout=stdout, stderr=stderr, cwd=ROOT)  # noqa: S603 - our own code


class Running:
    """A command that goes on; to be used as `with`, which ends it if it lives."""

    def __init__(self, arguments: Sequence[str], variables: Mapping[str, str], text: str, *, started: bool) -> None:
        self.out: list[str] = []
        self.err: list[str] = []
        self._changed = threading.Condition()
        (stdin, typed), (out, stdout), (err, stderr) = os.pipe(), os.pipe(), os.pipe()
        os.write(typed, text.encode())  # less than a pipe holds
        streams = (stdin, stdout, stderr)
        start = _started if started else forker().fork
        self.program: subprocess.Popen[bytes] | Forked = start(arguments, variables, streams)
        for fd in (*streams, typed):
            os.close(fd)
        self._readers = [
            threading.Thread(target=self._read, args=(open(fd, encoding="utf-8", newline="\n"), lines), daemon=True)  # noqa: PTH123, SIM115 - closed when it ends
            for fd, lines in ((out, self.out), (err, self.err))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        with stream:
            for line in stream:
                with self._changed:
                    lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self.program.kill()
        self.program.wait(PATIENCE)
        for reader in self._readers:
            reader.join(5)

    def wait_for(self, pattern: str, *, since: int = 0, within: float = PATIENCE) -> str:
        """The first line on either stream in which the pattern is found; `since` counts those on standard output."""
        return self._wait(
            lambda: next((line.rstrip("\n") for line in self.out[since:] + self.err if re.search(pattern, line)), None),
            f"no line with {pattern!r}",
            within,
        )

    def wait_json(self, fits: Callable[[dict[str, Any]], bool], *, within: float = PATIENCE) -> dict[str, Any]:
        """The first JSON line that fits."""

        def look() -> dict[str, Any] | None:
            return next((found for line in self.out if fits(found := json.loads(line))), None)

        return self._wait(look, "no such line", within)

    def _wait(self, look: Callable[[], Found | None], what: str, within: float) -> Found:
        deadline = time.monotonic() + within
        with self._changed:
            while (found := look()) is None:
                left = deadline - time.monotonic()
                ended = self.program.poll() is not None and not any(reader.is_alive() for reader in self._readers)
                if left <= 0 or ended:
                    raise AssertionError(f"{what}; it wrote:\n" + "".join(self.out + self.err))
                self._changed.wait(min(left, 0.2))
        return found

    def end(self, number: int | None = None, *, within: float = PATIENCE) -> Ended:
        """Send it a signal, or just wait for its end."""
        if number is not None:
            self.program.send_signal(number)
        status = self.program.wait(within)
        for reader in self._readers:
            reader.join(PATIENCE)
        ended = Ended(status, "".join(self.out), "".join(self.err))
        assert "Traceback" not in ended.err, ended
        return ended
