"""docs/command-line.md: every block of it is run as it stands, in order; what it says of statuses and types is true."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from parley.cli.exits import Exit

from tests.clients.cli.runner import environment
from tests.support.launched import Launched
from tests.support.processes import PATIENCE, ROOT

PAGE = (ROOT / "docs/command-line.md").read_text()
BLOCK = re.compile(r"^```sh( until Ctrl-C)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[bool, str]]:
    """Whether it goes on until Ctrl-C, and the commands."""
    return [(bool(endless), commands) for endless, commands in BLOCK.findall(PAGE)]


@pytest.mark.slow
def test_every_block_runs(launched: Launched, nats_variables: dict[str, str], tmp_path: Path) -> None:
    """In one folder, each with what the ones before exported; with `until Ctrl-C` it goes on until then, and ends so."""
    assert len(blocks()) >= 7
    (tmp_path / ".data").symlink_to(launched.data)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = {**environment(), "PATH": path, "PARLEY_URL": launched.url}
    exports: list[str] = []
    for endless, commands in blocks():
        text = commands.replace("http://127.0.0.1:8080", launched.url)
        text = text.replace("nats://127.0.0.1:…", nats_variables["NATS_URL"])
        script = "set -euo pipefail\n" + "\n".join(exports) + "\n" + text
        if endless:
            _until_interrupted(script.replace("\nparley", "\nexec parley"), variables, tmp_path)
        else:
            done = subprocess.run(  # noqa: S603 - our own page
                ["bash", "-c", script],  # noqa: S607
                env=variables,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, (commands, done.stdout, done.stderr)
        exports += [line for line in text.splitlines() if line.startswith("export ")]


def _until_interrupted(script: str, variables: dict[str, str], folder: Path) -> None:
    log = folder / "output"
    with log.open("w") as output:
        process = subprocess.Popen(["bash", "-c", script], env=variables, cwd=folder, stdout=output)  # noqa: S603, S607
    try:
        deadline = time.monotonic() + PATIENCE
        while not log.read_text():
            assert process.poll() is None, script
            assert time.monotonic() < deadline, script
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == Exit.INTERRUPTED
    finally:
        process.kill()
        process.wait()


def test_every_status_is_documented() -> None:
    """The table of exit statuses names those that there are, and no others."""
    table = PAGE[PAGE.index("| status | |") : PAGE.index("## Completion")]
    rows = re.findall(r"^\| ([\d ·]+) \|", table, re.MULTILINE)
    assert {int(number) for row in rows for number in row.split("·")} == {status.value for status in Exit}


def test_every_type_is_documented() -> None:
    """The page names every type of line that `join` and `watch` can write."""
    sources = [ROOT / "clients/python/src/parley/cli" / f"{name}.py" for name in ("presence", "listening", "narrator")]
    text = "".join(source.read_text() for source in sources)
    types = {
        *re.findall(r'(?:tell|_happening|_tell)\(\s*"(\w+)"', text),
        *re.findall(r'^ +"(\w+)": (?:self\._|lambda)', text, re.MULTILINE),
    }
    assert {"joined", "peer", "room_created", "participant_updated"} <= types
    assert not [kind for kind in sorted(types) if f"`{kind}`" not in PAGE]
