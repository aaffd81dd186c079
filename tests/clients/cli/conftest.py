"""One running installation, as `make run` starts it, for all tests of commands that do not break it."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.cli.runner import Cli
from tests.support.launched import Launched

LEFT_OVER = "a-token-that-is-none-of-the-services-business"


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """All services, in development mode, started from a shell in which `parley` was used."""
    variables = {"PARLEY_URL": "http://elsewhere.invalid", "PARLEY_TOKEN": LEFT_OVER, "PARLEY_TOKEN_FILE": "/nowhere"}
    launched = Launched(tmp_path_factory.mktemp("cli") / "data", environment=variables).ready()
    yield launched
    launched.stop()


@pytest.fixture
def cli(running: Launched) -> Cli:
    """The command, told where the gateway is."""
    return Cli(PARLEY_URL=running.url)


@pytest.fixture
def nats_variables(running: Launched) -> dict[str, str]:
    """Where NATS is, and the password of its user `observer`."""
    found = running.process.wait_for(r"^\s*NATS\s+(\S+)")
    passwords: dict[str, str] = json.loads((running.data / "nats" / "passwords.json").read_text())
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
