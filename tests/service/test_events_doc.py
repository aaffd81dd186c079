"""docs/events.md: what it shows is what is run here, as the user `observer` of a real NATS server."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.msg import Msg

from docs.examples import follow_durable, follow_live
from docs.examples.follow_durable import HoleError, Taken
from services.launcher.embedded_nats import EmbeddedNats
from shared.rooms.events import encode
from tests.support.broker import ContainerNats, connector
from tests.support.client import Client
from tests.support.orders import ROOM, LoggedRoom, create, join
from tests.support.system import System
from tests.support.trimmed import snapshot_of

ROOT = Path(__file__).parent.parent.parent
Event = dict[str, Any]
Observer = tuple[str, str]  # URL and password

JOINED = ["created", "participant_joined"]
# Seconds. What was sent to a follower that was just ending comes again after `ack_wait`, and that is no fault.
PATIENCE = 3.0 * (follow_durable.IN_ORDER.ack_wait or 0)


@pytest.fixture
async def real(empty_nats: EmbeddedNats | ContainerNats) -> AsyncIterator[System]:
    """A system on real NATS."""
    system = System(connector(empty_nats.url, empty_nats.passwords))
    await system.start()
    yield system
    await system.stop()


@pytest.fixture
def observer(empty_nats: EmbeddedNats | ContainerNats) -> Observer:
    """How an observer connects."""
    return empty_nats.url, empty_nats.passwords["observer"]


class Seen:
    """What a follower was handed."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def take(self, event: Event) -> None:
        self.events.append(event)

    async def are(self, *types: str) -> None:
        """Wait until there are as many, then these in this order."""
        async with asyncio.timeout(PATIENCE):
            while len(self.events) < len(types):
                await asyncio.sleep(0.01)
        assert [event["type"].removeprefix("agentlink.room.") for event in self.events] == list(types)


async def stopped(task: "asyncio.Task[None]") -> None:
    """Cancel it; it must end, and not go on as if nobody had said anything."""
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=PATIENCE)
    assert done, "it was cancelled and goes on"


async def stayed(system: System, room_id: str) -> Client:
    agent = await system.agent("ada")
    await agent.join(room_id)
    return agent


@pytest.mark.parametrize("name", ["follow_live", "follow_durable"])
def test_the_document_shows_the_programs(name: str) -> None:
    """The code blocks are the files."""
    program = (ROOT / f"docs/examples/{name}.py").read_text()
    assert f"```python\n{program}```" in (ROOT / "docs/events.md").read_text()


async def test_live(real: System, observer: Observer, capsys: pytest.CaptureFixture[str]) -> None:
    """A live follower sees every change from when it began, in order, and prints it; nothing of before."""
    ada = await stayed(real, "before")
    seen = Seen()

    def take(event: Event) -> None:
        follow_live.show(event)
        seen.take(event)

    following = asyncio.create_task(follow_live.follow(*observer, take))
    probe = 0
    async with asyncio.timeout(10):
        while not seen.events:  # until its subscription stands
            probe += 1
            await ada.ask("update_self", roomId="before", metadata={"probe": probe})
        while seen.events[-1]["data"]["participant"]["metadata"] != {"probe": probe}:
            await asyncio.sleep(0.01)
    assert {event["type"] for event in seen.events} == {"agentlink.room.participant_updated"}
    seen.events.clear()
    await ada.join("live")
    await ada.ask("leave_room", roomId="live")
    await seen.are(*JOINED, "participant_left")
    assert [event["id"] for event in seen.events] == ["live:1", "live:2", "live:3"]
    assert "live:2 agentlink.room.participant_joined ada" in capsys.readouterr().out
    await stopped(following)


async def test_durable_goes_on_where_it_was(real: System, observer: Observer, tmp_path: Path) -> None:
    """What happened while the follower was away is delivered when it is back; what it took before is not."""
    ada = await stayed(real, "r")
    state, seen = tmp_path / "taken.json", Seen()

    def follow(name: str = "notes") -> "asyncio.Task[None]":
        return asyncio.create_task(follow_durable.follow(*observer, name, Taken(state), seen.take))

    first = follow()
    await seen.are(*JOINED)
    await stopped(first)
    await ada.ask("update_self", metadata={"mood": "fine"})
    await ada.ask("leave_room")
    second = follow()
    await seen.are(*JOINED, "participant_updated", "participant_left")
    await stopped(second)
    assert [event["id"] for event in seen.events] == ["r:1", "r:2", "r:3", "r:4"]


async def test_durable_takes_nothing_twice(real: System, observer: Observer, tmp_path: Path) -> None:
    """Everything delivered once more (as after a crash before the acknowledgement) is recognised by its id."""
    ada = await stayed(real, "r")
    state, seen = tmp_path / "taken.json", Seen()
    first = asyncio.create_task(follow_durable.follow(*observer, "one", Taken(state), seen.take))
    await seen.are(*JOINED)
    await stopped(first)
    again = asyncio.create_task(follow_durable.follow(*observer, "another", Taken(state), seen.take))
    await ada.ask("leave_room")
    await seen.are(*JOINED, "participant_left")
    await stopped(again)


async def test_durable_finds_holes(real: System, observer: Observer, tmp_path: Path) -> None:
    """Events that are gone from what was stored stop the follower instead of being skipped over."""
    ada = await stayed(real, "r")
    state, seen = tmp_path / "taken.json", Seen()
    first = asyncio.create_task(follow_durable.follow(*observer, "notes", Taken(state), seen.take))
    await seen.are(*JOINED)
    await stopped(first)
    state.write_text(json.dumps({"r": 1}))
    await ada.ask("leave_room")
    with pytest.raises(HoleError, match="r:3 came after revision 1"):
        async with asyncio.timeout(PATIENCE):
            await follow_durable.follow(*observer, "notes", Taken(state), seen.take)


async def test_durable_ends_when_it_is_told_to(
    real: System, observer: Observer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the moment in which NATS answers, when `asyncio.wait_for` of Python 3.11 loses the cancellation."""
    await stayed(real, "r")
    seen = Seen()
    acknowledge = Msg.ack_sync

    async def at_that_moment(message: Msg) -> Msg:
        answered = await acknowledge(message, PATIENCE)
        following.cancel()
        there: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        there.set_result(answered)
        async with asyncio.timeout(PATIENCE):
            return await there

    monkeypatch.setattr(Msg, "ack_sync", at_that_moment)
    following = asyncio.create_task(
        follow_durable.follow(*observer, "notes", Taken(tmp_path / "taken.json"), seen.take)
    )
    await seen.are(*JOINED)
    done, _ = await asyncio.wait([following], timeout=PATIENCE)
    assert done, "it was cancelled and goes on"


def test_durable_takes_a_snapshot_in_place_of_what_is_gone(tmp_path: Path) -> None:
    """Whoever has taken all up to it skips it; whoever is behind takes it, and goes on from there without a hole."""
    fold = LoggedRoom(create(), join("a"), join("b")).fold
    (snapshot,) = json.loads(encode([snapshot_of(fold)]))
    following = {"id": f"{ROOM}:4", "type": "agentlink.room.participant_left"}
    knows, behind = Taken(tmp_path / "knows.json"), Taken(tmp_path / "behind.json")
    for revision in (1, 2, 3):
        knows.add({"id": f"{ROOM}:{revision}"})
    assert not knows.is_new(snapshot)
    assert knows.is_new(following)
    with pytest.raises(HoleError):
        behind.is_new(following)
    assert behind.is_new(snapshot)
    behind.add(snapshot)
    assert not behind.is_new(snapshot)
    assert behind.is_new(following)
