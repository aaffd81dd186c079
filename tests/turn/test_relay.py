"""From joining a room to a relayed packet: real services, a real TURN server, and what auth issued between them."""

import asyncio
from pathlib import Path

from tests.support.allocation import allocated
from tests.support.client import Client
from tests.support.coturn import Coturn
from tests.support.processes import Deployment
from tests.support.system import token


async def test_two_participants_meet_at_the_relay(tmp_path: Path) -> None:
    """Each allocates with what its `room_users` said, and they hear each other through it; with what was pushed later
    one can as well. Neither the secret nor a credential is in any log or on the broker's disk."""
    async with Coturn() as turn:
        deployment = Deployment(
            tmp_path, TURN_URLS=turn.url, TURN_SECRET=turn.secret, TURN_SECONDS="6", LOG_LEVEL="debug"
        )
        try:
            await deployment.start()
            secrets = [turn.secret, *await a_call(deployment.url)]
            written = "".join(service.output for service in deployment.services.values()) + turn.output
        finally:
            await deployment.stop()
    files = contents(tmp_path)
    assert any(b"relayed-room" in content for content in files), "what was written can be found"
    for secret in secrets:
        assert secret not in written
        assert not [content for content in files if secret.encode() in content]


def contents(folder: Path) -> list[bytes]:
    """Of every file below it."""
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


async def a_call(url: str) -> list[str]:
    """Two participants that only reach each other by the relay; their credentials."""
    clients = [await Client.open(url) for _ in range(2)]
    given = []
    for client, name in zip(clients, ("alice", "bob"), strict=True):
        await client.login(token(name))
        (server,) = (await client.join("relayed-room"))["iceServers"]
        given.append(server)
    async with allocated(given[0]) as alice, allocated(given[1]) as bob:
        await bob.send(b"are you there?", alice.relayed)  # opens the way back as well
        await alice.send(b"hello", bob.relayed)
        assert await bob.receive() == b"hello"
        await bob.send(b"hello yourself", alice.relayed)
        heard = await alice.receive()
        assert heard in (b"are you there?", b"hello yourself")
    (newer,) = (await clients[0].hear("ice_servers"))["iceServers"]
    assert newer["username"] != given[0]["username"]
    async with allocated(newer):
        pass
    await asyncio.gather(*(client.close() for client in clients))
    return [server["credential"] for server in [*given, newer]]
