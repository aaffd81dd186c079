"""What a log line may hold."""

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
