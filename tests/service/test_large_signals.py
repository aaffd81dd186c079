"""Offers of 64 media sections: relayed, broadcast, piled up and replayed, and nobody is cut off."""

import asyncio
from typing import Any

from shared.wire.sdp import MAX_LINES, MAX_MEDIA_SECTIONS, MAX_SDP_BYTES
from tests.support.client import Client
from tests.support.raw import Raw
from tests.support.sdp import offer
from tests.support.system import System, token

AT_ONCE = 10  # such offers to one participant


def largest_offer(n: int = 0) -> str:
    """64 sections with so many codecs that it is larger than Chromium's of 64 video sections."""
    head, _, section = offer().partition("m=")
    codec = "a=fmtp:{} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
    codecs = "".join(codec.format(96 + i % 30) for i in range(60))
    sections = [f"m={section.replace('a=mid:0', f'a=mid:{mid}')}{codecs}" for mid in range(MAX_MEDIA_SECTIONS)]
    mids = " ".join(map(str, range(MAX_MEDIA_SECTIONS)))
    return head.replace("BUNDLE 0", f"BUNDLE {mids}") + "".join(sections) + f"a=x-number:{n}\r\n"


def test_it_is_larger_than_any_browsers() -> None:
    """The offer of these tests has more than the 267 KB of Chromium's, and is within the limits."""
    assert 300_000 < len(largest_offer()) < MAX_SDP_BYTES
    assert largest_offer().count("\n") < MAX_LINES


async def until_seen(client: Client, participant_id: str) -> None:
    """Wait until it hears that this one has joined."""
    while (await client.hear("user_joined"))["participant"]["id"] != participant_id:
        pass


async def everybody(system: System, callers: int) -> tuple[list[Client], Client]:
    """So many who are in the room by the first gateway, and one by the second, whom they will call."""
    await system.start(gateways=2)
    room: dict[str, Any] = {"name": "Large", "type": "video", "roomId": "voice-1", "maxParticipants": 20}
    assert (await system.rest("POST", "", **room)).status_code == 201
    clients = [await system.agent(f"caller-{n}") for n in range(callers)]
    called = await system.agent("called", gateway=1)
    for client in [*clients, called]:
        await client.join("voice-1")
    for client in clients:
        await until_seen(client, called.participants["voice-1"])
    return clients, called


async def test_ten_at_once(system: System) -> None:
    """Ten of the largest offers that arrive at once are all accepted, and arrive verbatim; ten answers go back."""
    callers, called = await everybody(system, AT_ONCE)
    to = called.participants["voice-1"]
    offers = [largest_offer(n) for n in range(AT_ONCE)]
    asked = [caller.ask("offer", to=to, sdp=sdp) for caller, sdp in zip(callers, offers, strict=True)]
    replies = await asyncio.gather(*asked)
    assert [reply["type"] for reply in replies] == ["ok"] * AT_ONCE
    heard = [await called.hear("offer") for _ in range(AT_ONCE)]
    assert sorted(message["sdp"] for message in heard) == sorted(offers)


async def test_a_client_that_reads_slowly(system: System) -> None:
    """A receiver whose socket is full while ten of them come is not cut off, and reads them all then."""
    callers, _ = await everybody(system, AT_ONCE)
    raw = await Raw.open(system.gateways[1].url())
    await raw.say("authenticate", token=token("slow"))
    await raw.hear("auth_ok")
    await raw.say("join_room", id="j", roomId="voice-1")
    to = (await raw.hear("room_users"))["self"]
    for caller in callers:
        await until_seen(caller, to)
    asked = [caller.ask("offer", to=to, sdp=largest_offer(n)) for n, caller in enumerate(callers)]
    assert [reply["type"] for reply in await asyncio.gather(*asked)] == ["ok"] * AT_ONCE
    await asyncio.sleep(1)  # nothing is read meanwhile
    numbers = {(await raw.hear("offer"))["sdp"].rpartition(":")[2] for _ in range(AT_ONCE)}
    assert len(numbers) == AT_ONCE
    await raw.close()


async def test_a_broadcast_to_sixteen(system: System) -> None:
    """The largest offer without `to` reaches sixteen."""
    others, caller = await everybody(system, 16)
    assert (await caller.ask("offer", sdp=largest_offer()))["type"] == "ok"
    for other in others:
        assert len((await other.hear("offer"))["sdp"]) == len(largest_offer())


async def test_replayed(system: System) -> None:
    """Ten of them that came during an absence are there after it, in order."""
    callers, called = await everybody(system, 1)
    seen: dict[str, Any] = await called.ask("get_room")
    login = await called.login(token("called"))
    await called.close()
    await callers[0].hear("user_updated")
    to = called.participants["voice-1"]
    for n in range(AT_ONCE):
        assert (await callers[0].ask("offer", to=to, sdp=largest_offer(n)))["type"] == "ok"
    back = await system.client()
    resume = {"token": login["resumeToken"], "cursors": {"voice-1": seen["cursor"]}}
    assert (await back.ask("authenticate", token=token("called"), resume=resume))["resumed"] is True
    await back.hear("room_resumed")
    numbers = [m["sdp"].rpartition(":")[2].strip() for m in back.everything if m["type"] == "offer"]
    assert numbers == [str(n) for n in range(AT_ONCE)]
