"""The follower of docs/events.md over trims, as the user `observer` of a real NATS server and with the real rooms."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from docs.examples import follow_durable
from docs.examples.follow_durable import Taken
from services.launcher.embedded_nats import EmbeddedNats
from shared.broker.subjects import event_log
from shared.values.ids import RoomId
from tests.service.test_events_doc import Observer, Seen, stopped
from tests.service.test_trimming import SOON, only_when_told, trim
from tests.support.broker import ContainerNats, connector
from tests.support.patience import eventually_async
from tests.support.system import System

__all__ = ["only_when_told"]  # the fixture


@dataclass
class Follower:
    """The durable follower of the document, which can be away."""

    observer: Observer
    state: Path
    seen: Seen = field(default_factory=Seen)

    def follow(self) -> "asyncio.Task[None]":
        """Until the task is stopped."""
        taken = Taken(self.state)
        return asyncio.create_task(follow_durable.follow(*self.observer, "notes", taken, self.seen.take))

    @property
    def ids(self) -> list[str]:
        """What it took, in order."""
        return [event["id"] for event in self.seen.events]


@pytest.fixture
async def system(empty_nats: EmbeddedNats | ContainerNats) -> AsyncIterator[System]:
    """Not started."""
    system = System(connector(empty_nats.url, empty_nats.passwords))
    yield system
    await system.stop()


@pytest.fixture
def follower(empty_nats: EmbeddedNats | ContainerNats, tmp_path: Path) -> Follower:
    return Follower((empty_nats.url, empty_nats.passwords["observer"]), tmp_path / "taken.json")


async def test_a_follower_that_was_away_over_a_trim(system: System, follower: Follower) -> None:
    """It takes the snapshot in place of what is gone, goes on from there without a hole, and takes nothing twice; also
    over the end of a room, of which nothing else is left.
    """
    await system.start(closed_log_seconds=0.05, **SOON)
    ada = await system.agent("ada")
    await ada.join("r")
    following = follower.follow()
    await follower.seen.are("created", "participant_joined")
    await trim(system, "r")  # under its eyes
    await ada.ask("update_self", name="Ada")
    await follower.seen.are("created", "participant_joined", "participant_updated")
    await stopped(following)
    for turn in range(5):
        await ada.ask("update_self", metadata={"turn": turn})
    await trim(system, "r")
    await ada.ask("update_self", name="Anna")
    following = follower.follow()
    before = ("created", "participant_joined", "participant_updated", "snapshot", "participant_updated")
    await follower.seen.are(*before)
    assert follower.ids == ["r:1", "r:2", "r:3", "r:8", "r:9"]
    snapshot = follower.seen.events[3]
    assert [one["metadata"] for one in snapshot["data"]["participants"]] == [{"turn": 4}]
    await stopped(following)
    await ada.ask("leave_room", roomId="r")
    await system.rest("DELETE", "/r", "ada")
    await trim(system, "r")
    following = follower.follow()
    await follower.seen.are(*before, "snapshot")
    assert (follower.ids[-1], follower.seen.events[-1]["data"]["closed"]) == ("r:11", "deleted")
    await stopped(following)


async def test_the_end_of_a_room_that_an_older_release_trimmed(system: System, follower: Follower) -> None:
    """Its last entry is all that is left: it is told over the hole, and the follower goes on with the other rooms."""
    await system.start()
    ada = await system.agent("ada")
    await ada.join("r")
    await system.rest("DELETE", "/r", "ada")
    await system.ports[0].room_log.trim(event_log(RoomId("r")))
    await ada.join("other")
    following = follower.follow()
    await follower.seen.are("participant_left", "closed", "created", "participant_joined")
    assert follower.ids == ["r:3", "r:4", "other:1", "other:2"]
    await stopped(following)


async def test_a_follower_that_is_waited_for(system: System, follower: Follower) -> None:
    """What it has not acknowledged is kept while it is away, by its name in the settings of rooms; then it goes."""
    await system.start(log_consumers=["notes", "unknown"], **SOON)
    ada = await system.agent("ada")
    await ada.join("r")
    following = follower.follow()
    await follower.seen.are("created", "participant_joined")
    await stopped(following)
    for turn in range(3):
        await ada.ask("update_self", metadata={"turn": turn})
    for _ in range(3):
        await system.rooms[0].trimmer.look(RoomId("r"))
        await asyncio.sleep(0.1)
    log = system.ports[0].room_log
    assert len(await log.read(event_log(RoomId("r")), limit=10)) >= 4  # all but what it had already
    following = follower.follow()
    await follower.seen.are("created", "participant_joined", *["participant_updated"] * 3)

    async def trimmed() -> bool:
        await system.rooms[0].trimmer.look(RoomId("r"))
        return len(await log.read(event_log(RoomId("r")), limit=10)) == 1

    await eventually_async(trimmed, "what it has taken goes")
    await stopped(following)
