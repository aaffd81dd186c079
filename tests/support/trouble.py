"""Single services as processes in trouble, whose lines and ends are looked at."""

import json
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.registry import REGISTRY
from tests.support.processes import Process

NOWHERE = "nats://127.0.0.1:1"  # nobody listens on port 1


def service(name: str, nats_url: str = NOWHERE, *options: str, **settings: str) -> Process:
    """A process of a service in development mode. `options` are Python's own."""
    known = REGISTRY[name].settings.environment_names()
    given = {"MODE": "development", "NATS_URL": nats_url, "PORT": "0", **settings}
    environment = {f"PARLEY_{key}": value for key, value in given.items() if f"PARLEY_{key}" in known}
    return Process.interpreter(*options, "-m", f"services.{name}", environment=environment)


def heeds(process: Process, number: int = signal.SIGTERM, within: float = 20.0) -> None:
    """Wait until the process has a handler of this signal (proc(5)): only from then on is anything promised."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline and process.popen.poll() is None:
        status = Path(f"/proc/{process.popen.pid}/status").read_text()
        caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
        if int(caught, 16) >> (number - 1) & 1:
            return
        time.sleep(0.005)
    raise AssertionError(f"no handler: {process.output}")


def objects(process: Process) -> list[dict[str, Any]]:
    """All its lines, each of which is a JSON object with a time, a level and a service."""
    found = []
    for line in process.lines:
        try:
            parsed = json.loads(line)
        except ValueError:
            raise AssertionError(f"not JSON: {line!r}; it wrote:\n{process.output}") from None
        assert {"event", "level", "timestamp", "service"} <= parsed.keys(), line
        found.append(parsed)
    return found


def stopped_well(process: Process, within: float = 15.0) -> None:
    """It ended by itself with status 0, without a traceback, and every line is JSON."""
    status = process.end(within)
    assert status == 0, (status, process.output)
    assert "Traceback" not in process.output
    objects(process)


class Silent:
    """A server that takes connections and says nothing."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"nats://127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        """End it."""
        self._socket.close()


def metric(text: str, name: str, labels: Mapping[str, str] | None = None) -> float:
    """The sum of a metric's samples with these labels."""
    wanted = [f'{key}="{value}"' for key, value in (labels or {}).items()]
    lines = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(float(line.rpartition(" ")[2]) for line in lines if all(part in line for part in wanted))
