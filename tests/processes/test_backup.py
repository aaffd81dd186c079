"""Backing up and restoring as it is typed: the commands of docs/operations.md, and what goes wrong on the way."""

import asyncio
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from services.backup.folder import ABOUT
from services.launcher.embedded_nats import EmbeddedNats
from shared.broker.nats import ports as nats_ports
from shared.broker.nats.connection import Broker
from shared.broker.nats.streams import Streams
from shared.values.ids import RoomId
from tests.support.backups import environment, program, take
from tests.support.backups import place as place_of
from tests.support.launched import Launched, bearer
from tests.support.logs import begin
from tests.support.logs import signal as signal_to
from tests.support.patience import eventually_async
from tests.support.processes import ROOT, Process

SECTION = (ROOT / "docs/operations.md").read_text().partition("## Backup\n")[2].partition("\n## ")[0]
BIG = 700  # entries of thirty kilobytes that cannot be compressed: more than NATS sends without being asked


def shell(script: str, folder: Path, data: Path) -> str:
    """Run lines of the document as they stand, in the repository; backups are kept in `folder`."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    make = tools / "make"  # what is installed is not looked at again
    real = shutil.which("make")
    assert real is not None
    make.write_text(f'#!/bin/sh\nexec {real} -o .venv/.run BIN={Path(sys.executable).parent} "$@"\n')
    make.chmod(0o755)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PARLEY_", "NATS_"))}
    done = subprocess.run(  # noqa: S603 - our own document
        [
            "/bin/sh",
            "-ec",
            script.replace("backups/", f"{folder}/backups/").replace("ls backups", f"ls {folder}/backups"),
        ],
        cwd=ROOT,
        env={**inherited, "PATH": f"{tools}:{os.environ['PATH']}", "DATA": str(data), "TO": str(folder / "backups")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_the_document_as_it_stands(tmp_path: Path) -> None:
    """On a running `make run`: a backup, a room more, and the backup restored. What was in it is there, the other room
    is not, and rooms can be made again."""
    launched = Launched(tmp_path / "data").ready()
    try:
        async with httpx.AsyncClient(base_url=launched.url, headers=bearer(launched.token)) as rest:

            async def make(room_id: str) -> httpx.Response:
                return await rest.post("/api/rooms", json={"name": room_id, "type": "voice", "roomId": room_id})

            assert (await make("kept")).status_code == 201
            (script,) = re.findall(r"^```sh\n(.+?)^```$", SECTION, re.MULTILINE | re.DOTALL)
            backup, restore = script.splitlines()
            assert "backed up to" in shell(backup, tmp_path, launched.data)
            assert (await make("later")).status_code == 201
            assert "restored" in shell(restore, tmp_path, launched.data)

            async def answers(room_id: str, status: int) -> bool:
                return (await rest.get(f"/api/rooms/{room_id}")).status_code == status

            await eventually_async(lambda: answers("kept", 200), "the room in the backup is there", within=30)
            await eventually_async(lambda: answers("later", 404), "the room made after it is gone", within=30)

            async def can_be_made() -> bool:
                return (await make("again")).status_code == 201

            await eventually_async(can_be_made, "a room can be made", within=30)
    finally:
        launched.stop()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedNats]:
    """A server with some megabytes in its log."""
    server = EmbeddedNats(tmp_path / "nats", sync="2m")
    await server.start()
    broker = Broker(server.url, "rooms", server.passwords["rooms"], 15.0, streams=Streams(max_bytes=1 << 28))
    ports = await nats_ports.connect(broker, "rooms")
    await begin(ports, RoomId("room"))
    gateway = await nats_ports.connect(Broker(server.url, "gateway", server.passwords["gateway"], 15.0), "gateway")
    for _ in range(BIG):
        await gateway.signals.post(signal_to("room", body=os.urandom(30_000)))
    await gateway.connection.close()
    await ports.connection.close()
    yield server
    await server.stop()


def kept(folder: Path) -> list[str]:
    """What is in the folder of backups, but the lock."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(  # noqa: S603 - fixed
        ["/bin/mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["/bin/umount", folder], check=True)  # noqa: S603 - fixed


async def test_no_space(server: EmbeddedNats, small_disk: Path) -> None:
    """The disk fills up on the way: one sentence, status 1, and nothing of it stays to take up what is left."""
    process = program("take", small_disk, environment=environment(server))
    assert await asyncio.to_thread(process.end) == 1
    assert process.lines == [f"there is no space left in {small_disk}: nothing was kept of this backup"]
    assert kept(small_disk) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="others cannot write there in any case")
async def test_a_folder_that_cannot_be_used(server: EmbeddedNats, tmp_path: Path) -> None:
    """A file in its place, and a file that may not grow: one sentence that says why."""
    (tmp_path / "file").write_text("")
    process = program("take", tmp_path / "file", environment=environment(server))
    assert await asyncio.to_thread(process.end) == 1
    assert process.lines == [f"{tmp_path / 'file'} cannot be used (File exists)"]
    limit = [sys.executable, "-c", "import resource, os, sys; "]
    limit[-1] += f"resource.setrlimit(resource.RLIMIT_FSIZE, ({1 << 16}, {resource.RLIM_INFINITY})); "
    limit[-1] += "os.execv(sys.executable, [sys.executable, '-m', 'services.backup', 'take', sys.argv[1]])"
    done = await asyncio.create_subprocess_exec(
        *limit,
        str(tmp_path / "backups"),
        cwd=ROOT,
        env={**os.environ, **environment(server)},
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await done.communicate()
    assert (done.returncode, told.decode()) == (1, f"{tmp_path / 'backups'} cannot be used (File too large)\n")
    assert kept(tmp_path / "backups") == []


async def test_a_backup_that_is_killed(server: EmbeddedNats, tmp_path: Path) -> None:
    """Killed in the middle, it leaves nothing that looks whole; told to stop, nothing at all. The next one tidies up."""
    folder = tmp_path / "backups"
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        process = await _in_the_middle(server, folder)
        process.signal(number)
        process.signal(signal.SIGCONT)
        status = await asyncio.to_thread(process.end)
        assert status == (-number if number == signal.SIGKILL else 130), process.output
        left = kept(folder)
        assert all(name.startswith(".partial-") for name in left)
        assert bool(left) is (number == signal.SIGKILL)
        refused = program("restore", folder, environment=environment(server))
        assert await asyncio.to_thread(refused.end) == 1
        assert "Traceback" not in process.output + refused.output
    await take(place_of(server), folder)
    assert kept(folder) == ["20261101T000000Z"]


def _partial(folder: Path) -> set[Path]:
    """Archives of the log in backups that are not whole."""
    return set(folder.glob(".partial-*/ROOMS/stream.tar.s2"))


def _is_whole(archive: Path) -> bool:
    """Whether the archive has its description already: from then on there is not much that could be stopped."""
    return (archive.parent / ABOUT).exists()


def _forget(folder: Path) -> None:
    """Delete the whole backups."""
    for whole in folder.glob("[0-9]*"):
        shutil.rmtree(whole)


async def _in_the_middle(server: EmbeddedNats, folder: Path) -> Process:
    """A backup that has begun to write the log, and stands still. One that was faster than this test is made again."""
    while True:
        before = _partial(folder)
        process = program("take", folder, environment=environment(server))
        deadline = time.monotonic() + 30
        while not _partial(folder) - before and process.popen.poll() is None:
            assert time.monotonic() < deadline
            await asyncio.sleep(0)
        process.signal(signal.SIGSTOP)
        begun = _partial(folder) - before
        if begun and process.popen.poll() is None and not any(_is_whole(archive) for archive in begun):
            return process
        process.signal(signal.SIGCONT)
        assert await asyncio.to_thread(process.end) == 0, process.output
        _forget(folder)
