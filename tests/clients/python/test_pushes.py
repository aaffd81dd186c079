"""Pushes of a room by type: a seam for what this SDK does not know yet."""

from collections.abc import Mapping
from typing import Any

import parley

from tests.clients.python.conftest import PATIENCE, until
from tests.support.launched import Launched
from tests.support.patience import eventually
from tests.support.system import System, token

PUSH = {"type": "chat_message", "roomId": "", "text": "hello"}  # of a type that no gateway sends today


async def test_pushes_by_type(launched: Launched, room_id: str) -> None:
    """A subscription hears the pushes of its types and no others, in order, with the protocol's object, when the room
    has taken it and before it tells its own event; a callback that fails harms nobody; after its end it hears nothing."""
    async with (
        parley.connect(launched.url, token=token("alice")) as alice,
        parley.connect(launched.url, token=token("bob")) as bob,
        alice.join(room_id) as here,
        bob.join(room_id) as there,
    ):
        await eventually(lambda: len(here.others) == 1, "bob is seen")
        heard: list[tuple[int, bool]] = []

        def take(push: Mapping[str, Any]) -> None:
            known = here.participants[push["participant"]["id"]].metadata == push["participant"]["metadata"]
            heard.append((push["participant"]["metadata"]["n"], known))

        def failing(_: Mapping[str, Any]) -> None:
            raise ZeroDivisionError

        here.on(lambda event: heard.append((-1, True)) if isinstance(event, parley.ParticipantUpdated) else None)
        failed = here.on_push(["user_updated", "user_left"], failing)
        off = here.on_push("user_updated", take)
        for n in range(3):
            await there.update(metadata={"n": n})
        await eventually(lambda: len(heard) == 6, "all three, and their events")
        assert heard == [(0, True), (-1, True), (1, True), (-1, True), (2, True), (-1, True)]
        off()
        off()
        failed()
        await there.update(metadata={"n": 3})
        await eventually(lambda: here.others[0].metadata == {"n": 3}, "the room goes on")
        assert len(heard) == 7


async def test_a_type_that_is_not_known(launched: Launched, room_id: str) -> None:
    """A push of a type that this SDK does not know reaches who asked for it, and changes nothing of the room; one that
    ends itself in its callback hears no second one."""
    async with parley.connect(launched.url, token=token("alice")) as alice, alice.join(room_id) as room:
        heard: list[Mapping[str, Any]] = []
        once: list[Mapping[str, Any]] = []

        def take(push: Mapping[str, Any]) -> None:
            once.append(push)
            off()

        room.on_push({"chat_message"}, heard.append)
        off = room.on_push("chat_message", take)
        before, events = (room.revision, room.participants), room.events()
        push = {**PUSH, "roomId": room_id}
        for _ in range(2):
            alice._core.received(dict(push))
        assert (heard, once) == ([push, push], [push])
        assert (room.revision, room.participants) == before
        await room.update(name="Next")
        assert (await until(events, parley.ParticipantUpdated)).participant.name == "Next"


async def test_the_last_push(system: System) -> None:
    """The push that ends our stay is heard, when `left` says how it ended."""
    await system.start()
    async with (
        parley.connect(system.url, token=token("alice"), device_id="desk") as first,
        parley.connect(system.url, token=token("alice"), device_id="desk") as second,
    ):
        room = await first.join("r")
        ends: list[tuple[str, bool]] = []
        room.on_push("user_left", lambda push: ends.append((push["reason"], room.left is not None)))
        await second.join("r")
        await eventually(lambda: bool(ends), "replaced", within=PATIENCE)
        assert ends == [("replaced", True)]
