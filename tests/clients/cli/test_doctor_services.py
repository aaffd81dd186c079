"""`parley doctor` with parts of an installation killed: each service is judged by itself, and not knowing is not well."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.broker.subjects import ALL_EVENTS
from tests.clients.cli.runner import Cli
from tests.clients.cli.test_doctor import findings
from tests.support.patience import eventually_async
from tests.support.processes import Deployment
from tests.support.system import token


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    """Every part a process of its own, with a lease that is soon lost."""
    deployment = Deployment(tmp_path, LEASE_SECONDS="2", REQUEST_TIMEOUT="2")
    try:
        await deployment.start()
        yield deployment
    finally:
        await deployment.stop()


def cli_of(deployment: Deployment) -> Cli:
    return Cli(PARLEY_URL=deployment.url, PARLEY_TOKEN=token("ada"))


def statuses(cli: Cli, *options: str, status: int) -> dict[str, str]:
    """What it says of each thing."""
    return {about: finding["status"] for about, finding in findings(cli, *options, status=status).items()}


async def test_auth_is_dead(deployment: Deployment) -> None:
    """Killed or standing still: auth is what is wrong, rooms is well, and nobody says anything good of the token, the
    WebSocket or a room, which could not be tried."""
    cli = cli_of(deployment)
    deployment.services["auth"].signal(signal.SIGSTOP)
    assert statuses(cli, status=4)["auth"] == "wrong"
    deployment.kill("auth")
    found = await asyncio.to_thread(findings, cli, status=4)
    assert found["auth"]["found"] == "auth does not answer the gateway: who is in stays in, and nobody can come in"
    said = {about: finding["status"] for about, finding in found.items()}
    assert (said["broker"], said["rooms"]) == ("ok", "ok")
    assert [said[about] for about in ("token", "websocket", "turn")] == ["unknown"] * 3
    assert statuses(Cli(PARLEY_URL=deployment.url), status=4)["token"] == "unknown"  # nor can one be issued
    await deployment.restart("auth")
    await eventually_async(lambda: _well(cli), "all is well again")


async def _well(cli: Cli) -> bool:
    return (await asyncio.to_thread(cli, "doctor", status=None)).status == 0


async def test_rooms_is_dead(deployment: Deployment) -> None:
    """Then auth is well, the token is good, the session opens, and rooms is what is wrong."""
    deployment.kill("rooms")
    said = statuses(cli_of(deployment), status=4)
    assert (said["broker"], said["auth"], said["rooms"]) == ("ok", "ok", "wrong")
    assert said["websocket"] == "ok"
    assert said["room"] == "wrong"


async def test_nats_is_away(deployment: Deployment) -> None:
    """The broker is wrong, later the lease, and nobody knows anything of the services behind it."""
    deployment.kill_nats()
    for about in ("broker", "lease"):
        found = await asyncio.to_thread(findings, cli_of(deployment), status=4)
        if about == "broker" and "lease" in found:
            continue  # a slow machine
        assert found[about]["status"] == "wrong"
        assert "NATS" in found[about]["advice"]
        assert {found[name]["status"] for name in ("auth", "rooms", "token", "websocket", "turn")} == {"unknown"}
        await asyncio.sleep(3)


async def test_nothing_stays(deployment: Deployment) -> None:
    """With --traceless no room is made, and nothing is stored in the log of rooms; everything else is judged."""
    ports = await deployment.ports()
    cli = cli_of(deployment)
    said = statuses(cli, "--traceless", status=0)
    assert [said[about] for about in ("broker", "auth", "rooms", "token", "websocket")] == ["ok"] * 5
    assert (said["room"], said["turn"]) == ("skipped", "skipped")
    assert await ports.room_log.read(ALL_EVENTS, limit=10) == []
    assert statuses(cli, status=0)["room"] == "ok"
    assert await ports.room_log.read(ALL_EVENTS, limit=10) != []
    cli("doctor", "--traceless", "--room", "daily", status=2)


async def test_for_people(deployment: Deployment) -> None:
    """The same in words, a line each, and the exit status; a gateway that does not say is not taken for well."""
    cli = cli_of(deployment)
    deployment.kill("auth")
    told = cli("doctor", status=4).out
    assert "wrong   auth" in told
    assert "ok      rooms" in told
    assert "unknown token" in told
