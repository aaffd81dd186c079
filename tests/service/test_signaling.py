"""Offers, answers and candidates: verbatim, in order, to whom they are for, and readable by nobody else."""

import asyncio
from typing import Any

from services.gateway.session.idempotency import REMEMBERED
from tests.support.broker_kind import in_memory, on_both
from tests.support.client import Client
from tests.support.sdp import SAMPLES, answer, candidate, offer
from tests.support.system import System


async def pair(system: System, room_id: str = "voice-1", **settings: Any) -> tuple[Client, Client]:
    """Two in a room, on two gateways."""
    await system.start(gateways=2, **settings)
    alice, bob = await system.agent("alice"), await system.agent("bob", gateway=1)
    await alice.join(room_id)
    await bob.join(room_id)
    await alice.hear("user_joined")
    return alice, bob


def at(client: Client, room_id: str = "voice-1") -> str:
    """Its participant id."""
    return client.participants[room_id]


async def test_verbatim_between_gateways(system: System) -> None:
    """What real browsers and stacks make arrives byte for byte, with the gateway's fields added and no others."""
    alice, bob = await pair(system, message_rate=1000)
    for path in sorted(SAMPLES.glob("*.sdp")):
        sdp = path.read_bytes().decode()
        kind = "answer" if "answer" in path.stem else "offer"
        assert (await alice.ask(kind, to=at(bob), sdp=sdp, negotiation=path.stem))["type"] == "ok", path
        heard = await bob.hear(kind)
        assert heard.pop("cursor")
        expected = {"type": kind, "roomId": "voice-1", "from": at(alice), "agentId": "alice", "sdp": sdp}
        assert heard == expected | {"negotiation": path.stem}
    odd = candidate() | {"sdpMid": None}
    del odd["usernameFragment"]
    for sent in (candidate(), odd, {"candidate": ""}, None):
        await bob.ask("candidate", to=at(alice), candidate=sent)
        heard = await alice.hear("candidate")
        assert (heard["candidate"], heard["from"], heard["agentId"]) == (sent, at(bob), "bob")
        assert "negotiation" not in heard


@on_both
async def test_order_is_kept(system: System) -> None:
    """Two hundred messages each way at once: each direction arrives whole and in the order sent."""
    alice, bob = await pair(system, message_rate=100_000, message_burst=1000)

    async def talk(client: Client, to: Client) -> None:
        for n in range(200):
            if n % 10 == 0:
                await client.say("offer", to=at(to), sdp=offer(), negotiation=str(n))
            else:
                await client.say("candidate", to=at(to), candidate=candidate(), negotiation=str(n))

    await asyncio.gather(talk(alice, bob), talk(bob, alice))
    for client in (alice, bob):
        await client.hear("candidate", negotiation="199")
        got = [(m["type"], m["negotiation"]) for m in client.everything if "negotiation" in m]
        assert got == [("candidate" if n % 10 else "offer", str(n)) for n in range(200)]


async def test_broadcasts(system: System) -> None:
    """Without `to` it goes to everyone else in the room, up to the limit; then one must be named."""
    await system.start(gateways=2, broadcast_receivers=3)
    clients = [await system.agent(f"a{n}", gateway=n % 2) for n in range(5)]
    for client in clients[:4]:
        await client.join("voice-1")
    await clients[0].hear("user_joined", revision=5)
    assert (await clients[0].ask("offer", sdp=offer()))["type"] == "ok"
    for client in clients[1:4]:
        assert (await client.hear("offer"))["from"] == at(clients[0])
    await clients[0].silence("offer", seconds=0.05)
    await clients[4].join("voice-1")
    await clients[0].hear("user_joined")
    refused = await clients[0].ask("offer", sdp=offer())
    assert (refused["code"], "name one" in refused["message"]) == ("participant_not_found", True)
    assert (await clients[0].ask("offer", to=at(clients[4]), sdp=offer()))["type"] == "ok"
    alone = await system.agent("alone")
    await alone.join("empty")
    assert (await alone.ask("candidate", candidate=None))["type"] == "ok"


async def test_a_broadcast_counts_once_for_each_receiver(system: System) -> None:
    """The rate is of what is sent on: a burst of broadcasts to four costs four times as much."""
    await system.start(message_burst=16, message_burst_per_participant=0, message_rate=0.01, throttle_seconds=0)
    clients = [await system.agent(f"a{n}") for n in range(5)]
    for client in clients:
        await client.join("voice-1")
    await clients[4].ask("get_room")
    answers = [await clients[4].ask("candidate", candidate=None) for _ in range(5)]
    assert [a["type"] for a in answers] == ["ok", "ok", "ok", "error", "error"]
    assert answers[3]["code"] == "rate_limited"
    assert answers[3]["retryAfterMs"] > 0


async def test_nobody_there(system: System) -> None:
    """Unknown, gone, oneself and in another room are one answer; a room one is not in is `not_in_room`."""
    alice, bob = await pair(system)
    carol = await system.agent("carol")
    await carol.join("other")
    await bob.ask("leave_room")
    await alice.hear("user_left")
    absent = ("p_nobody", at(alice), at(carol, "other"), at(bob), "x" * 64)
    answers = [await alice.ask("offer", to=to, sdp=offer()) | {"id": ""} for to in absent]
    assert answers == [answers[0]] * 5
    assert answers[0]["code"] == "participant_not_found"
    for room_id in ("other", "unknown"):
        refused = await alice.ask("offer", roomId=room_id, to=at(carol, "other"), sdp=offer())
        assert refused["code"] == "not_in_room"
    assert (await bob.ask("candidate", to=at(alice), candidate=None))["code"] == "not_in_room"
    await carol.silence("offer", seconds=0.1)


@in_memory
async def test_who_wrote_it_cannot_be_chosen(system: System) -> None:
    """`from`, `agentId` and `cursor` are the gateway's: a client that writes them is refused."""
    alice, bob = await pair(system)
    for field, value in (("from", at(bob)), ("agentId", "root"), ("cursor", "x.1"), ("revision", 1), ("epoch", 9)):
        refused = await alice.ask("offer", to=at(bob), sdp=offer(), **{field: value})
        assert refused["code"] == "bad_message"
    await bob.silence("offer")


async def test_what_the_validator_refuses(system: System) -> None:
    """It is answered with a code and a sentence that repeats nothing of it, and it is never forwarded."""
    alice, bob = await pair(system)
    secret = "198.51.100.77"
    for sdp in ("", "v=0", offer().replace("UDP/DTLS", "RTP/AVP"), offer().replace("\r\n", "\r"), f"v=0\r\no={secret}"):
        refused = await alice.ask("offer", to=at(bob), sdp=sdp)
        assert (refused["code"], secret in str(refused)) == ("invalid_sdp", False)
    for bad in (
        f"candidate:1 1 udp 1 {secret} 70000 typ host",
        "x",
        "candidate:\r\n",
        "candidate:1 1 udp 1 169.254.169.254 9 typ host",
    ):
        refused = await alice.ask("candidate", to=at(bob), candidate={"candidate": bad})
        assert (refused["code"], secret in str(refused)) == ("invalid_candidate", False)
    assert (await alice.ask("candidate", to=at(bob), candidate={"candidate": "x" * 1025}))["code"] == "too_large"
    assert (await alice.ask("offer", to=at(bob), sdp="v" * 524289))["code"] == "too_large"
    await bob.silence("offer")
    assert not [m for m in bob.inbox if m["type"] == "candidate"]


@in_memory
async def test_no_candidate_without_its_description(system: System) -> None:
    """After a signal failed, candidates of that pair fail too until a description was stored; other pairs go on."""
    await system.start()
    alice, bob, carol = [await system.agent(name) for name in ("alice", "bob", "carol")]
    for client in (alice, bob, carol):
        await client.join("voice-1")
    await alice.hear("user_joined", revision=4)
    broker = system.memory
    broker.full = True
    refused = await alice.ask("offer", to=at(bob), sdp=offer())
    assert (refused["code"], refused["retryable"]) == ("unavailable", True)
    broker.full = False
    assert (await alice.ask("candidate", to=at(bob), candidate=candidate()))["code"] == "unavailable"
    assert (await alice.ask("candidate", to=at(carol), candidate=candidate()))["type"] == "ok"
    assert (await bob.ask("candidate", to=at(alice), candidate=candidate()))["type"] == "ok"
    assert (await alice.ask("offer", to=at(bob), sdp=offer()))["type"] == "ok"
    assert (await alice.ask("candidate", to=at(bob), candidate=candidate()))["type"] == "ok"
    await bob.hear("candidate")
    assert [m["type"] for m in bob.everything if "from" in m] == ["offer", "candidate"]


async def test_rooms_do_not_mix(system: System) -> None:
    """In two rooms at once: a signal goes to the participant in the room that is named, as that room's participant."""
    alice, bob = await pair(system)
    await alice.join("other")
    await bob.join("other")
    await alice.hear("user_joined", roomId="other")
    assert (await alice.ask("offer", to=at(bob), sdp=offer()))["code"] == "bad_message"
    crossed = await alice.ask("offer", roomId="other", to=at(bob), sdp=offer())
    assert crossed["code"] == "participant_not_found"
    await alice.ask("offer", roomId="other", to=at(bob, "other"), sdp=offer())
    heard = await bob.hear("offer")
    assert (heard["roomId"], heard["from"]) == ("other", at(alice, "other"))
    await bob.ask("leave_room", roomId="other")
    await alice.hear("user_left")
    assert (await bob.ask("answer", to=at(alice), sdp=answer()))["type"] == "ok", "there is only one room left"
    await bob.silence("offer")


@on_both
async def test_nothing_after_user_left(system: System) -> None:
    """Candidates sent while somebody leaves: after its user_left nothing of it comes, and nothing goes to it."""
    alice, bob = await pair(system, message_rate=100_000, message_burst=1000)

    async def flood(client: Client, to: Client) -> None:
        for n in range(100):
            await client.say("candidate", to=at(to), roomId="voice-1", candidate=candidate(), negotiation=str(n))

    flooding = asyncio.gather(flood(alice, bob), flood(bob, alice))
    await asyncio.sleep(0.01)
    await bob.say("leave_room", id="leave", roomId="voice-1")
    await flooding
    await bob.hear("ok", id="leave")
    for client in (alice, bob):
        await client.ask("ping")
    heard = [m["type"] for m in alice.everything if m["type"] in ("candidate", "user_left")]
    assert heard.index("user_left") == len(heard) - 1
    kinds = [m["type"] for m in bob.everything if m.get("id") == "leave" or m["type"] == "candidate"]
    assert kinds[-1] == "ok"


@in_memory
async def test_a_rate_of_bytes(system: System) -> None:
    """Signals are counted in bytes for each receiver as well: beyond the burst they are rate_limited for a while."""
    alice, bob = await pair(system, signal_byte_rate=20_000, signal_byte_burst=65536)
    sdp = offer() + "a=x:" + "y" * 4000 + "\r\n"
    answers = [await alice.ask("offer", to=at(bob), sdp=sdp) for _ in range(20)]
    limited = [a for a in answers if a["type"] == "error"]
    assert {a["code"] for a in limited} == {"rate_limited"}
    assert all(a["retryable"] and 0 < a["retryAfterMs"] <= 1000 for a in limited)
    stored = len([m for m in bob.everything if m["type"] == "offer"])
    assert 65536 / (len(sdp) + 500) - 1 <= 20 - len(limited) <= 18
    assert stored <= 20 - len(limited)
    await asyncio.sleep(limited[-1]["retryAfterMs"] / 1000)
    assert (await alice.ask("offer", to=at(bob), sdp=sdp))["type"] == "ok"


async def test_an_id_used_anew_after_long_is_a_new_request(system: System) -> None:
    """Ids are remembered for a while. One that was forgotten here may still be known to the log: nothing is swallowed."""
    plenty = {"participant_change_rate": 1000, "participant_change_burst": 1000}
    await system.start(message_rate=10_000, message_burst=10_000, **plenty)
    alice, bob = await system.agent("alice"), await system.agent("bob")
    to = (await alice.join("r"))["self"]
    await bob.join("r")
    assert (await bob.ask("offer", id="same", to=to, sdp=offer(), negotiation="first"))["type"] == "ok"
    assert (await bob.ask("update_self", id="again", metadata={"n": 1}))["type"] == "ok"
    for i in range(REMEMBERED):
        assert (await bob.ask("update_self", id=f"between-{i}", metadata={"i": i % 2}))["type"] == "ok"
    assert (await bob.ask("offer", id="same", to=to, sdp=offer(), negotiation="second"))["type"] == "ok"
    assert (await bob.ask("update_self", id="again", metadata={"n": 2}))["type"] == "ok"
    assert (await alice.hear("offer"))["negotiation"] == "first"
    assert (await alice.hear("offer"))["negotiation"] == "second"
    assert (await alice.ask("get_room"))["participants"][1]["metadata"]["n"] == 2
