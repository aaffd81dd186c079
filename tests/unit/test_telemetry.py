"""What a log line may hold."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import structlog
from shared.telemetry.setup import set_up
from shared.runtime.settings import ServiceSettings

set_up("gateway", ServiceSettings(log_format={format!r}))

def handle(token: str) -> None:
    raise ValueError("a bug")

try:
    handle("canary" + "-203.0.113.77")
except ValueError:
    structlog.get_logger().exception("failed", room_id="r")
"""


@pytest.mark.parametrize("format_", ["console", "json"])
def test_a_traceback_holds_no_values(format_: str) -> None:
    """A bug is logged with where it happened, and without the values it happened to: one may be a token or an SDP."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", PROGRAM.format(format=format_)], capture_output=True, text=True, check=True
    )
    assert "in handle" in done.stdout
    assert "a bug" in done.stdout
    assert "canary-203" not in done.stdout + done.stderr


EVERYBODY = """
import asyncio, gc, logging, threading, warnings
from shared.telemetry.setup import set_up
from shared.runtime.settings import ServiceSettings

set_up("gateway", ServiceSettings())
warnings.warn("old", DeprecationWarning)
logging.getLogger("nats.aio.client").error("lost")
logging.getLogger("uvicorn.error").warning("no %d", "number")

def fail():
    raise ValueError("a bug\\nin two lines")

class Last:
    def __del__(self):
        fail()

async def forgotten():
    async def failing():
        fail()
    task = asyncio.ensure_future(failing())
    asyncio.get_running_loop().call_soon(fail)
    await asyncio.sleep(0.01)
    del task
    gc.collect()

thread = threading.Thread(target=fail)
thread.start()
thread.join()
Last()
asyncio.run(forgotten())
fail()
"""


def test_whoever_writes_it_writes_json() -> None:
    """Warnings, libraries, threads, destructors, tasks that nobody waits for, callbacks, and the end itself: one JSON
    object a line, with time, level, service and logger, on standard output.
    """
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-X", "dev", "-W", "always", "-c", EVERYBODY], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert all({"event", "level", "timestamp", "service", "logger"} <= line.keys() for line in lines)
    assert {line["logger"] for line in lines} >= {"py.warnings", "nats.aio.client", "asyncio", "python"}
    assert "no %d" in [line["event"] for line in lines]
    assert len([line for line in lines if "a bug" in line.get("exception", "")]) == 5, lines
    assert done.returncode == 1
