"""What rooms give their participants for ICE: servers that come and are renewed, a real TURN server, and the advice."""

import asyncio
from collections.abc import Iterator

import parley
import pytest
from parley import IceServers, RoomUpdated
from parley.rtc import Call, Message

from tests.clients.python.calls import only
from tests.clients.python.conftest import until
from tests.clients.python.sound import Tone, hear_somebody
from tests.support.coturn import Coturn
from tests.support.patience import eventually
from tests.support.system import System, token

LIFE = 10  # seconds of TURN credentials


@pytest.fixture(scope="module")
def turn() -> Iterator[Coturn]:
    """A TURN server; without coturn the test is skipped."""
    with Coturn() as turn:
        yield turn


async def test_servers_come_and_are_renewed(system: System) -> None:
    """A room brings the servers and their end; before that comes another set of credentials, as an event."""
    await system.start(
        stun_urls=["stun:stun.example"], turn_urls=["turn:turn.example"], turn_secret="x" * 40, turn_seconds=LIFE
    )
    async with parley.connect(system.url, token=token("alice")) as session, session.join("r") as room:
        events = room.events()
        if not room.ice_servers:  # auth was slower than the join
            await until(events, IceServers)
        before, ends = room.ice_servers, room.ice_expires_at
        assert [url for server in before for url in server.urls] == ["stun:stun.example", "turn:turn.example"]
        renewed = await until(events, IceServers)
        assert renewed.expires_at is not None
        assert ends is not None
        assert renewed.expires_at > ends
        assert room.ice_servers == renewed.ice_servers != before
        credential = before[1].credential
        assert credential
        assert credential not in repr(before)


async def test_a_relayed_call_outlives_its_credentials(turn: Coturn, system: System) -> None:
    """Two that may only use a relay are connected, by a relay; when the credentials are renewed the connection is
    replaced by one with the new ones, also if servers without credentials came in between, which change nothing; and
    sound and messages go on."""
    await system.start(**turn.settings, turn_seconds=LIFE)
    async with (
        asyncio.timeout(60),
        parley.connect(system.url, token=token("alice")) as one,
        parley.connect(system.url, token=token("bob")) as other,
        one.join("r") as here,
        other.join("r") as there,
    ):
        await eventually(lambda: bool(here.ice_servers and there.ice_servers), "servers are there")
        renewals = here.events()
        async with Call(here, relay_only=True) as alice, Call(there, relay_only=True) as bob:
            await asyncio.gather(alice.set_track("audio", Tone()), bob.set_track("audio", Tone()))
            await asyncio.gather(hear_somebody(alice), hear_somebody(bob))
            assert only(alice).relayed
            assert only(bob).relayed
            generation = only(alice).generation
            for room in (here, there):
                room.take({"type": "ice_servers", "roomId": "r", "iceServers": [{"urls": ["stun:127.0.0.1:9"]}]})
            assert (await until(renewals, IceServers)).expires_at is None
            await until(renewals, IceServers)
            await eventually(lambda: only(alice).generation > generation, "at once", within=LIFE / 4)
            await asyncio.gather(hear_somebody(alice), hear_somebody(bob))
            assert only(alice).relayed
            heard = bob.events()
            alice.create_data_channel("chat").send("over the relay")
            assert (await until(heard, Message)).data == "over the relay"


async def test_the_advice(system: System) -> None:
    """When more are in a room than a mesh is good for, the topology says so, and takes it back."""
    await system.start(mesh_participants=1)
    async with parley.connect(system.url, token=token("alice")) as alice, alice.join("r") as here:
        assert here.topology == "mesh"
        events = here.events()
        async with parley.connect(system.url, token=token("bob")) as bob, bob.join("r"):
            assert (
                await until(
                    events,
                    RoomUpdated,
                )
            ).info.topology == "sfu_advised"
            assert here.topology == "sfu_advised"
        await eventually(lambda: here.topology == "mesh", "a mesh again")
