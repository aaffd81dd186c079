"""What a room tells whom in which order: storms, two tabs, a gateway that hears late."""

import asyncio
from collections.abc import Callable

import pytest

from shared.broker.following import Following
from shared.broker.room_log import RoomEntry
from tests.support.broker_kind import in_memory, on_both
from tests.support.client import Client
from tests.support.sdp import offer
from tests.support.system import System
from tests.support.view import View


@on_both
async def test_a_join_storm(system: System) -> None:
    """Twenty clients join and change at once, on two gateways: each one's own view ends as everybody else's."""
    await system.start(gateways=2, default_max_participants=30, mesh_participants=30, rooms=2)
    clients = [await system.agent(f"a{n}", gateway=n % 2) for n in range(20)]

    async def come(client: Client, n: int) -> None:
        await client.join("storm")
        await client.ask("update_self", name=f"Number {n}")
        if n % 5 == 0:
            await client.ask("leave_room")

    await asyncio.gather(*(come(client, n) for n, client in enumerate(clients)))
    staying = [client for n, client in enumerate(clients) if n % 5]
    last = (await staying[0].ask("get_room"))["revision"]
    views = []
    for client in staying:
        while (await client.ask("get_room"))["revision"] < last:
            await asyncio.sleep(0.01)
        views.append(View.of(client.everything, "storm"))
    assert len(views[0].participants) == 16
    assert len({p["order"] for p in views[0].participants.values()}) == 16
    for view in views:
        assert view.participants == views[0].participants
        assert view.revision == last == 1 + 20 + 20 + 4


@on_both
async def test_two_tabs_join_at_the_same_moment(system: System) -> None:
    """The same agent and device on two gateways at once: one of them is in, the other one was told why not."""
    await system.start(gateways=2, rooms=2)
    watcher = await system.agent("bob")
    await watcher.join("voice-1")
    tabs = [await system.agent("alice", deviceId="phone", gateway=n) for n in (0, 1)]
    await asyncio.gather(*(tab.join("voice-1") for tab in tabs))
    left = await watcher.hear("user_left", reason="replaced")
    loser = next(tab for tab in tabs if tab.participants["voice-1"] == left["participantId"])
    await loser.hear("user_left", participantId=left["participantId"])
    assert len((await watcher.ask("get_room"))["participants"]) == 2


@in_memory
async def test_nothing_before_the_snapshot(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed while a join is being answered follows room_users, in order, and nothing of it is lost."""
    await system.start()
    alice, bob = await system.agent("alice"), await system.agent("bob")
    await alice.join("voice-1")
    requests = system.ports[2].requests
    ask, held = requests.request, asyncio.Event()

    async def late(asked, request):  # type: ignore[no-untyped-def]  # passes on what it is given
        reply = await ask(asked, request)
        if asked.name == "rooms.join":
            await held.wait()
        return reply

    monkeypatch.setattr(requests, "request", late)
    await bob.say("join_room", id="j", roomId="voice-1")
    newcomer = (await alice.hear("user_joined"))["participant"]["id"]
    for n in range(5):
        await alice.ask("update_self", name=f"Name {n}")
    await alice.ask("candidate", to=newcomer, candidate=None)
    held.set()
    await bob.hear("room_users")
    await bob.hear("candidate")
    view = View.of(bob.everything, "voice-1")
    assert [m["type"] for m in bob.everything[1:]] == ["room_users", *["user_updated"] * 5, "candidate"]
    assert view.participants[alice.participants["voice-1"]]["name"] == "Name 4"


@on_both
async def test_a_gateway_that_hears_late(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whom room_users shows can be written to at once, although live copies of the log come late to this gateway."""
    await system.start(gateways=2)
    log = system.ports[2].room_log
    follow = log.follow
    loop = asyncio.get_running_loop()

    async def late(subject: str, receive: Callable[[RoomEntry], None], on_gap: Callable[[], None]) -> Following:
        return await follow(subject, lambda entry: loop.call_later(0.2, receive, entry), on_gap)  # type: ignore[arg-type]  # what it gives is not looked at

    monkeypatch.setattr(log, "follow", late)
    first, there, here = [await system.agent(name, gateway=n) for name, n in (("a", 0), ("b", 1), ("c", 0))]
    await first.join("voice-1")
    await there.join("voice-1")
    seen = await here.join("voice-1")
    assert len(seen["participants"]) == 3
    assert (await here.ask("offer", to=there.participants["voice-1"], sdp=offer()))["type"] == "ok"
    await there.hear("offer")
    await first.hear("user_joined", revision=4)
    View.of(first.everything, "voice-1")
