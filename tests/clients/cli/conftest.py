"""Commands that are told of the running installation, and what they are given."""

import json
import uuid
from pathlib import Path

import pytest

from tests.clients.cli.runner import Cli
from tests.support.launched import Launched


@pytest.fixture
def cli(launched: Launched) -> Cli:
    """The command, told where the gateway is."""
    return Cli(PARLEY_URL=launched.url)


@pytest.fixture
def nats_variables(launched: Launched) -> dict[str, str]:
    """Where NATS is, and the password of its user `observer`."""
    found = launched.process.wait_for(r"^\s*NATS\s+(\S+)")
    passwords: dict[str, str] = json.loads((launched.data / "nats" / "passwords.json").read_text())
    return {"NATS_URL": found[1], "NATS_PASSWORD": passwords["observer"]}


@pytest.fixture
def room_id() -> str:
    """The id of a room that nobody else uses."""
    return f"room-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def token_file(tmp_path: Path, cli: Cli) -> Path:
    """A file with a good token of agent `ada`."""
    file = tmp_path / "token"
    file.write_text(cli("token", "--agent", "ada").out)
    return file
