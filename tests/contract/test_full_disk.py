"""A real NATS server on a disk that is really full: what it says then, and what is left of it afterwards."""

import contextlib
import os
import shutil
import signal as signals
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services.launcher.disk import write_error
from services.launcher.embedded_nats import EmbeddedNats, Place
from shared.broker.ports import Ports
from shared.broker.storage import STORE
from shared.broker.subjects import event_log
from shared.values.errors import Refused
from shared.values.ids import RoomId
from tests.support.broker import connector
from tests.support.logs import begin, signal
from tests.support.manifests import ROOT
from tests.support.patience import eventually_async
from tests.support.small_disk import SmallDisk, small_disk

PROBE = ROOT / "deploy/nats/alive.sh"
A = RoomId("room-a")
WORDS = "no space left on device"
# Heeds no TERM, and QUIT as a Go program does: also where this test runs in the background of a shell, which ignores it.
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
print("here", flush=True)
time.sleep(600)
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """For the streams alone: configuration and log of the server are elsewhere."""
    with small_disk(tmp_path / "nats" / "jetstream", 48 << 20) as disk:
        yield disk


@pytest.fixture
async def server(disk: SmallDisk, tmp_path: Path) -> AsyncIterator[EmbeddedNats]:
    """A server that has the disk, and may store more than fits on it."""
    settings = 'http: "127.0.0.1:-1"'
    place = Place(prefix=disk.command)
    server = EmbeddedNats(tmp_path / "nats", settings=settings, store_bytes=256 << 20, place=place)
    await server.start()
    yield server
    await server.stop()


async def post_until_refused(gateway: Ports) -> None:
    with contextlib.suppress(Refused):
        while True:
            await gateway.signals.post(signal(A, body=bytes(50_000)))


def refuses(rooms: Ports, why: str | None) -> Callable[[], Awaitable[bool]]:
    """A condition: rooms is told that NATS stores nothing, in these words; or, with None, that it stores."""

    async def told() -> bool:
        with contextlib.suppress(Refused):
            return (await rooms.storage.look()).refusal == why
        return False

    return told


async def test_a_write_error_is_told_in_its_words(server: EmbeddedNats, disk: SmallDisk) -> None:
    """Nothing is acknowledged, and NATS says why only when it is asked to purge; also when there is space again.

    A process says once that it gets no answer.
    """
    connect = connector(server.url, server.passwords, max_bytes=64 << 20, timeout=2)
    rooms, gateway = await connect("rooms"), await connect("gateway")
    await begin(rooms, A)
    assert await refuses(rooms, None)()
    disk.fill(leave=1 << 20)
    with capture_logs() as logs:
        await post_until_refused(gateway)
        with pytest.raises(Refused):
            await gateway.signals.post(signal(A, body=bytes(50_000)))
    said = [line for line in logs if line["event"] == "NATS refuses to store"]
    assert [(line["what"], line["why"], line["log_level"]) for line in said] == [("log", "no answer", "error")]
    await eventually_async(refuses(rooms, WORDS), "rooms is told why")
    assert (write_error(server) or "").endswith(WORDS)
    disk.clear()
    await eventually_async(refuses(rooms, WORDS), "space alone does not end it")
    with pytest.raises(Refused):
        await gateway.signals.post(signal(A))
    await rooms.connection.close()
    await gateway.connection.close()


async def test_a_restart_ends_it(server: EmbeddedNats, disk: SmallDisk) -> None:
    """When there is space again, a restart makes NATS store again, and what was acknowledged is there."""
    connect = connector(server.url, server.passwords, max_bytes=64 << 20, timeout=2)
    rooms, gateway = await connect("rooms"), await connect("gateway")
    position = await begin(rooms, A)
    disk.fill(leave=1 << 20)
    await post_until_refused(gateway)
    disk.clear()
    assert server.process is not None
    server.kill()
    server.process.wait()
    await server.start()

    async def stores() -> bool:
        with contextlib.suppress(Refused):
            return await gateway.signals.post(signal(A)) is not None
        return False

    await eventually_async(stores, "it stores again")
    await eventually_async(refuses(rooms, None), "rooms is told so")
    assert await rooms.room_log.position(event_log(A)) == position
    await rooms.connection.close()
    await gateway.connection.close()


def alive(server: EmbeddedNats, disk: SmallDisk, tools: Path, *arguments: str, **more: str) -> tuple[int, str]:
    """The probe of the StatefulSet, as its image's shell runs it: its exit status and what it says."""
    assert server.monitor is not None
    variables = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "STORE": str(disk.folder),
        "PORT": server.monitor.rpartition(":")[2],
        "LEAST_KB": "16384",
        **more,
    }
    command = [*disk.command, "sh", str(PROBE), *arguments]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    return done.returncode, done.stdout.strip()


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder with `nc`, which the image has and this machine may lack."""
    folder = tmp_path / "bin"
    folder.mkdir()
    if shutil.which("nc") is None:
        script = "import socket, sys; s = socket.create_connection((sys.argv[3], int(sys.argv[4])), 3)"
        script += "; s.sendall(sys.stdin.buffer.read()); [sys.stdout.write(p.decode()) for p in iter(lambda: s.recv(4096), b'')]"
        (folder / "nc").write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{script}" "$@"\n')
        (folder / "nc").chmod(0o755)
    return folder


async def test_the_probe_ends_a_server_that_does_not_end(server: EmbeddedNats, disk: SmallDisk, tools: Path) -> None:
    """In compose the probe ends NATS itself: also one that was asked to end and hangs, as a stubborn process does here."""
    connect = connector(server.url, server.passwords, max_bytes=64 << 20, timeout=2)
    rooms, gateway = await connect("rooms"), await connect("gateway")
    await begin(rooms, A)
    disk.fill(leave=1 << 20)
    await post_until_refused(gateway)
    disk.clear()
    stubborn = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE)  # noqa: S603, ASYNC220 - ours
    try:
        assert stubborn.stdout is not None
        stubborn.stdout.readline()

        async def restarts() -> bool:
            status, said = alive(server, disk, tools, "--restart", SERVER=str(stubborn.pid))
            assert status == 1
            return "there is space again" in said  # and not that a busy server did not answer in time

        await eventually_async(restarts, "the probe sees that there is space again")
        assert stubborn.wait(20) == -signals.SIGQUIT
    finally:
        stubborn.kill()
    await rooms.connection.close()
    await gateway.connection.close()


async def test_the_probe_fails_only_when_a_restart_helps(server: EmbeddedNats, disk: SmallDisk, tools: Path) -> None:
    """Kubernetes restarts NATS after a write error when there is space again, and not while the disk is full."""
    connect = connector(server.url, server.passwords, max_bytes=64 << 20, timeout=2)
    rooms, gateway = await connect("rooms"), await connect("gateway")
    await begin(rooms, A)
    assert alive(server, disk, tools) == (0, "")
    disk.fill(leave=1 << 20)
    await post_until_refused(gateway)
    assert alive(server, disk, tools) == (0, "NATS cannot write: its disk is full")
    disk.clear()
    status, said = alive(server, disk, tools)
    assert (status, "there is space again" in said) == (1, True)
    await gateway.connection.close()
    await rooms.connection.close()
    assert server.process is not None
    server.kill()
    server.process.wait()
    assert alive(server, disk, tools) == (1, "NATS does not answer")


async def test_the_limit_of_the_store_is_a_place(server: EmbeddedNats) -> None:
    """What NATS may store for us is the size of the store, and everything that is stored counts, waiting timers too."""
    connect = connector(server.url, server.passwords, max_bytes=64 << 20)
    rooms = await connect("rooms")
    await begin(rooms, A)
    stock = await rooms.storage.look()
    (store,) = [place for place in stock.places if place.name == STORE]
    assert store.size == 256 << 20
    assert store.used == stock.stored > 0
    await rooms.connection.close()


async def test_a_server_that_does_not_come_to_its_end(server: EmbeddedNats) -> None:
    """After a write error nats-server may hang while it ends. It is killed, and can be started again."""
    process = server.process
    assert process is not None
    process.send_signal(signals.SIGSTOP)
    await server.end()
    assert process.poll() == -signals.SIGKILL
    await server.start()
    assert server.running
