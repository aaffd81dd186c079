"""`python -m services` from outside: what it prints, what it starts, and what it leaves behind."""

import asyncio
import os
import shlex
import signal
import time
from pathlib import Path

import httpx
import pytest

from services.registry import REGISTRY
from shared.version import __version__
from tests.support.client import Client
from tests.support.launched import Launched, bearer
from tests.support.patience import eventually_async
from tests.support.ports import HeldPorts
from tests.support.system import token

STOP_SECONDS = 5.0


def pasted(line: str) -> httpx.Response:
    """What a shell would do with the printed curl line."""
    words = shlex.split(line)
    assert words[:2] == ["curl", "-s"]
    url, *options = words[2:]
    given = list(zip(options[::2], options[1::2], strict=True))
    headers = dict(value.split(": ", 1) for name, value in given if name == "-H")
    (body,) = [value for name, value in given if name == "-d"]
    return httpx.post(url, headers=headers, content=body)


# -- a start that works ------------------------------------------------------------------------------------------------


def test_the_pasted_line_works(launched: Launched) -> None:
    """The line to paste creates a room as it stands, and the room belongs to whom the printed token names."""
    answer = pasted(launched.process.wait_for(r"^\s*try\s+(curl .*)$")[1])
    assert answer.status_code == 201, answer.text
    room = answer.json()
    assert room["createdBy"] == "you"
    assert httpx.get(f"{launched.url}/api/rooms/{room['roomId']}", headers=bearer(launched.token)).status_code == 200


async def test_the_printed_token_opens_a_session(launched: Launched) -> None:
    """The printed token is good for the WebSocket too, for hours."""
    client = await Client.open(launched.url)
    assert (await client.login(launched.token))["agentId"] == "you"
    await client.join("printed")
    await client.close()


def test_services_are_processes(launched: Launched) -> None:
    """Every service of the registry and the NATS server are processes of their own."""
    commands = launched.process.tree().commands().values()
    for part in (*(service.module for service in REGISTRY), "nats-server"):
        assert len([command for command in commands if part in command]) == 1, (part, commands)


def test_health(launched: Launched) -> None:
    """`/healthz` tells the version, `/readyz` is 200 once everything is up."""
    health = httpx.get(f"{launched.url}/healthz")
    assert (health.status_code, health.json()["version"]) == (200, __version__)
    assert httpx.get(f"{launched.url}/readyz").status_code == 200


@pytest.mark.parametrize("service", REGISTRY.names)
def test_internal_port(launched: Launched, service: str) -> None:
    """Every service logs where its internal port is, and serves metrics, health and readiness there."""
    ops = launched.process.wait_for(rf"{service} .*internal port.*metrics=(http://127\.0\.0\.1:\d+)/metrics")[1]
    metrics = httpx.get(f"{ops}/metrics")
    assert metrics.status_code == 200
    assert f'parley_build_info{{service="{service}",version="{__version__}"}} 1.0' in metrics.text
    assert "parley_broker_connected 1.0" in metrics.text
    assert httpx.get(f"{ops}/healthz").json() == {"status": "ok", "version": __version__}
    assert httpx.get(f"{ops}/readyz").status_code == 200


def test_development_tokens_are_for_this_machine(launched: Launched) -> None:
    """A page whose own name resolves to this machine gets no token: for its `Host` the path does not exist."""
    order = {"agentId": "eve"}
    assert httpx.post(f"{launched.url}/api/dev/token", json=order).status_code == 200
    for host in ("evil.example", "127.0.0.1.evil.example", "192.0.2.1"):
        assert httpx.post(f"{launched.url}/api/dev/token", json=order, headers={"Host": host}).status_code == 404, host


def test_what_is_asked_for_is_honoured(tmp_path: Path, ports: HeldPorts) -> None:
    """HOST and PORT are where it listens, and nowhere else; everything it writes is in DATA, the default here. A closed
    terminal ends it as Ctrl-C does."""
    here = tmp_path / "here"
    here.mkdir()
    port = ports.row(host="127.0.0.2")
    launched = Launched(Path(".data"), cwd=here, environment={"HOST": "127.0.0.2", "PORT": str(port)})
    try:
        launched.ready()
        assert launched.url == f"http://127.0.0.2:{port}"
        assert httpx.get(f"{launched.url}/healthz").status_code == 200
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{port}/healthz")
    finally:
        assert launched.stop(signal.SIGHUP) == 0
    assert [path.name for path in here.iterdir()] == [".data"]
    assert [path.name for path in (here / ".data").iterdir()] == ["nats"]


# -- stopping and starting again ---------------------------------------------------------------------------------------


async def test_stop_and_start_again(tmp_path: Path) -> None:
    """Ctrl-C and TERM end everything within 5 s with status 0, clients are told to come back,
    and the next start on the same folder is as quick as the first and has every room that was made before."""
    made: list[str] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        launched = Launched(tmp_path / "data")
        try:
            await asyncio.to_thread(launched.ready)
            tree = launched.process.tree()
            assert len(tree) == len(REGISTRY) + 2  # and the launcher, and NATS
            async with httpx.AsyncClient(base_url=launched.url, headers=bearer(token("owner"))) as api:
                for room_id in made:
                    room = await api.get(f"/api/rooms/{room_id}")
                    assert room.status_code == 200, room.text
                    assert room.json()["createdBy"] == "owner"
                    assert room.json()["participantCount"] <= 1  # its seat is held for a while
                listed = (await api.get("/api/rooms")).json()["rooms"]
                assert [room["roomId"] for room in listed] == list(reversed(made))
                room_id = (await api.post("/api/rooms", json={"name": "Kept", "type": "voice"})).json()["roomId"]
            client = await Client.open(launched.url)
            await client.login(token("owner"))
            await client.join(room_id)
            made.append(room_id)
            told = time.monotonic()
            launched.process.signal(number)
            assert (await client.hear("go_away"))["reason"] == "shutdown"
            assert await client.closed() == 1012
            assert await asyncio.to_thread(launched.process.end) == 0
            assert time.monotonic() - told < STOP_SECONDS
            assert not tree.alive()
            assert not launched.left_behind()
            assert "Traceback" not in launched.process.output
        finally:
            launched.destroy()


async def test_a_part_that_ends_by_itself_is_started_again(tmp_path: Path) -> None:
    """Whatever is killed comes back by itself, with a line that says so; clients of a gateway that lives stay."""
    launched = Launched(tmp_path / "data").ready()
    try:
        client = await Client.open(launched.url)
        await client.login(launched.token)
        await client.join("kept")
        for command, name in (("services.rooms", "rooms"), ("services.auth", "auth"), ("nats-server", "NATS")):
            (pid,) = [pid for pid, line in launched.process.tree().commands().items() if command in line]
            os.kill(pid, signal.SIGKILL)
            await asyncio.to_thread(
                launched.process.wait_for, rf"{name} has ended by itself \(SIGKILL\); starting it again"
            )
            await eventually_async(lambda: _works(client, launched.token), f"{name} is back")
        assert client.close_code is None
        assert (await client.ask("get_room"))["room"]["participantCount"] == 1
        (pid,) = [pid for pid, line in launched.process.tree().commands().items() if "services.gateway" in line]
        os.kill(pid, signal.SIGKILL)
        await client.closed()
        await eventually_async(lambda: asyncio.to_thread(_is_up, launched.url), "the gateway is back")
        launched.stop()
    finally:
        launched.destroy()


async def _works(client: Client, token: str) -> bool:
    """A round trip that needs auth, rooms and NATS."""
    await asyncio.sleep(0.2)  # refusals come at once, and who asks on and on is cut off for its rate
    renewed = await client.ask("authenticate", token=token)
    changed = await client.ask("update_self", metadata={"at": renewed["id"]})
    return (renewed["type"], changed["type"]) == ("auth_ok", "ok")


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=1).status_code == 200
    except httpx.HTTPError:
        return False
