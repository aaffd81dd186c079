"""The JavaScript SDK: its own tests with real gateways, its types, its size, and the package that others install."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.launched import Launched
from tests.support.needed import needed
from tests.support.processes import ROOT

SDK = ROOT / "clients" / "js"
SIZE_LIMIT = 25_000  # bytes of the bundle, minified and gzipped
CONSUMER = """\
import { connect, Mesh, ParleyError, type Participant, type Topology } from "@agent-link/parley";

export async function names(url: string, token: () => Promise<string>): Promise<string[]> {
  const session = await connect(url, { token });
  const room = await session.join("daily", { name: "Fawzi" });
  room.addEventListener("participantjoined", ({ participant }) => participant.name.trim());
  room.addEventListener("left", ({ reason, error }) => error instanceof ParleyError && reason.trim());
  const call = room.call({ rtcConfiguration: { iceTransportPolicy: "relay" } });
  call.addEventListener("track", ({ peer, kind, stream }) => [peer.participant.name, kind === "screen", stream.id]);
  const stop: () => void = room.onPush(["levitated"], (push) => push.how);
  room.addEventListener("left", stop);
  const asMesh: Topology = room.call({ topology: (host) => new Mesh(host) }) && ({} as Mesh);
  asMesh.close("left");
  // @ts-expect-error - an event of a room has no such property
  room.addEventListener("participantleft", ({ nonsense }) => nonsense);
  // @ts-expect-error - what is internal is not among the types
  room._hear({});
  const everyone: Participant[] = [...room.participants.values()];
  return everyone.map((one) => one.name);
}
"""


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    """The development dependencies, by the lock; installed when they are missing or older than it."""
    needed("node")
    lock, marker = SDK / "package-lock.json", SDK / "node_modules" / ".package-lock.json"
    if not marker.exists() or marker.stat().st_mtime < lock.stat().st_mtime:
        run("npm", "ci", "--no-audit", "--no-fund")
        marker.touch()


@pytest.fixture(scope="module")
def doubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """Everything, with two gateways."""
    launched = Launched(
        tmp_path_factory.mktemp("js") / "data", environment={"GATEWAYS": "2", "PARLEY_DRAIN_SECONDS": "8"}
    )
    try:
        yield launched.ready()
        launched.stop()
    finally:
        launched.destroy()


def run(*command: str, cwd: Path = SDK, environment: dict[str, str] | None = None) -> str:
    """What a command prints. It must succeed."""
    done = subprocess.run(  # noqa: S603 - our own commands
        command, cwd=cwd, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def pid_of(launched: Launched, url: str) -> int:
    """The process of the gateway there."""
    mark = f"PARLEY_PORT={url.rpartition(':')[2]}\0".encode()
    commands = launched.process.tree().commands()
    (pid,) = [
        pid
        for pid, command in commands.items()
        if "services.gateway" in command and mark in Path(f"/proc/{pid}/environ").read_bytes()
    ]
    return pid


def test_with_real_gateways(doubled: Launched) -> None:
    """The SDK's own tests, those of tests/vectors and of the page's pure files among them: rules; sessions and rooms; lines
    that are cut; gateways that are stopped and killed."""
    pids = ",".join(str(pid_of(doubled, url)) for url in doubled.urls)
    run("npx", "vitest", "run", environment={"PARLEY_URLS": ",".join(doubled.urls), "PARLEY_PIDS": pids})


@pytest.mark.slow
def test_types() -> None:
    """`tsc --checkJs --strict` finds nothing."""
    run("npm", "run", "--silent", "check")


def test_size() -> None:
    """The whole SDK in one bundle, minified and gzipped, is below its limit."""
    assert json.loads(run("npm", "run", "--silent", "size"))["gzippedBytes"] < SIZE_LIMIT


def test_messages_are_up_to_date() -> None:
    """messages.js is what the models say."""
    run(sys.executable, "-m", "clients.messages", "--check", cwd=ROOT)


def test_lock_names_no_registry() -> None:
    """The lock says what is installed by its hash, not from where."""
    assert '"resolved"' not in (SDK / "package-lock.json").read_text()


@pytest.mark.slow
def test_package(tmp_path: Path) -> None:
    """`npm pack` gives a package that can be installed in an empty folder without anything else, is imported by its name
    in Node.js, and whose types a strict TypeScript program is checked against."""
    run("npm", "pack", "--pack-destination", str(tmp_path))
    (package,) = tmp_path.glob("*.tgz")
    app = tmp_path / "app"
    app.mkdir()
    (app / "package.json").write_text('{"name": "app", "version": "1.0.0", "type": "module", "private": true}')
    run("npm", "install", "--offline", "--no-audit", "--no-fund", str(package), cwd=app)
    assert [one.name for one in (app / "node_modules").iterdir() if not one.name.startswith(".")] == ["@agent-link"]
    printed = run("node", "-e", 'import("@agent-link/parley").then(m => console.log(typeof m.connect))', cwd=app)
    assert printed.strip() == "function"
    (app / "app.ts").write_text(CONSUMER)
    options = ("--strict", "--noEmit", "--module", "nodenext", "--target", "es2022", "--lib", "es2023,dom,dom.iterable")
    run(str(SDK / "node_modules" / ".bin" / "tsc"), *options, "app.ts", cwd=app)
