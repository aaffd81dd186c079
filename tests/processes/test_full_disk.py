"""`make run` on a disk that is really full: it says so, keeps who is in, and goes on by itself when there is space."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.clients.cli.runner import Cli
from tests.support.client import Client
from tests.support.launched import Launched
from tests.support.patience import eventually_async
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.system import token

SIZE = 160 << 20
LOG = 8 << 20
BACK = 30.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of 160 MiB at the data folder."""
    with small_disk(tmp_path / "data", SIZE) as disk:
        yield disk


@pytest.fixture
def running(disk: SmallDisk) -> Iterator[Launched]:
    """`make run` on it."""
    launched = Launched(disk.folder, environment={"PARLEY_LOG_MAX_BYTES": str(LOG)}, prefix=disk.command)
    yield launched.ready()
    launched.destroy()


async def came(url: str, agent_id: str, room: str = "here") -> Client:
    client = await Client.open(url)
    await client.login(token(agent_id))
    await client.join(room)
    return client


async def code(client: Client, type_: str, **fields: object) -> str:
    reply = await client.ask(type_, **fields)
    return str(reply.get("code", reply["type"]))


async def test_full_for_real_and_free_again(disk: SmallDisk, running: Launched) -> None:
    """NATS meets a write error. It is said once, NATS is not restarted while there is no space, and is when there is.

    Then joins work again without anybody's help.
    """
    process = running.process
    alice = await came(running.url, "alice")
    disk.fill()
    changing = asyncio.create_task(_change(alice))
    said = await process.hear(r"the disk of \S+ is full .*NATS stores nothing: .*no space left on device")
    assert said
    await asyncio.sleep(5)
    assert not re.search("ended by itself|started anew", process.output)
    assert process.output.count("free), and NATS stores nothing") == 1
    changing.cancel()
    disk.clear()
    await process.hear("it is started anew")

    async def joins_work() -> bool:
        try:
            bob = await Client.open(running.url)
            await bob.login(token("bob"))
            return await code(bob, "join_room", roomId="again") == "room_users"
        except (AssertionError, OSError):
            return False

    await eventually_async(joins_work, "joins work again", within=BACK)
    assert len(re.findall("it is started anew", process.output)) == 1
    assert running.stop() == 0


async def _change(client: Client) -> None:
    """What writes to the log until it cannot."""
    number = 0
    while True:
        number += 1
        await client.say("update_self", metadata={"big": f"{number:05}" * 180})
        await asyncio.sleep(0.02)


async def test_nearly_full_keeps_a_reserve(disk: SmallDisk, running: Launched) -> None:
    """Somebody else's file takes the disk up to what NATS needs: nobody new comes in, and who is in stays, and leaves.

    `/readyz` stays 200 and says why, and so does `parley doctor`. Afterwards all is as before.
    """
    alice, bob = await came(running.url, "alice"), await came(running.url, "bob")
    disk.fill(leave=32 << 20)

    async def notice() -> str:
        async with httpx.AsyncClient() as http:
            answer = await http.get(f"{running.url}/readyz")
        assert answer.status_code == 200
        return str(answer.json().get("notice", ""))

    async def told() -> bool:
        return "the disk of NATS is" in await notice()

    await eventually_async(told, "readiness says so")
    carol = await Client.open(running.url)
    await carol.login(token("carol"))
    assert await code(carol, "join_room", roomId="here") == "unavailable"
    assert await code(bob, "leave_room", roomId="here") == "ok"
    await alice.hear("user_left")
    doctor = Cli(PARLEY_URL=running.url, PARLEY_TOKEN=token("doctor", "rooms:create", "rooms:join"))
    found = await asyncio.to_thread(_doctor, doctor)
    assert "the disk of NATS is" in found
    disk.clear()

    async def lets_in() -> bool:
        return await code(carol, "join_room", roomId="here") == "room_users"

    await eventually_async(lets_in, "carol comes in")
    assert running.stop() == 0


def _doctor(cli: Cli) -> str:
    return str(cli("doctor", "--json", status=4).document)


def test_it_says_what_there_is(running: Launched) -> None:
    """At the start: how much space there is, how much may be needed, and that this is more."""
    line = running.process.wait_for(r"free on the disk of .*").string
    assert re.search(
        r"1\d\d(\.\d)? MB free on the disk of \S+; rooms and what belongs to them take 285 MB at most", line
    )
    assert "which is more than there is" in line


def test_no_space_to_start_in(disk: SmallDisk) -> None:
    """A disk that is full already: one sentence, and nothing is started."""
    disk.fill(leave=20 << 20)
    launched = Launched(disk.folder, prefix=disk.command)
    try:
        assert launched.process.end() == 1
        assert re.search(
            r"parley cannot start: the disk of \S+ is full: NATS needs 34 MB to start", launched.process.output
        )
        assert not launched.left_behind()
    finally:
        launched.destroy()
