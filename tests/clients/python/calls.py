"""Calls that tests make: two or more in a room, and when they are connected."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import parley
from parley.rtc import Call, Peer

from tests.support.launched import Launched
from tests.support.patience import eventually
from tests.support.system import token

PATIENCE = 40.0


@asynccontextmanager
async def joined(url: str | list[str], room_id: str, name: str) -> AsyncIterator[parley.Room]:
    """A room by a session of its own."""
    async with parley.connect(url, token=token(name)) as session, session.join(room_id, name=name) as room:
        yield room


@asynccontextmanager
async def pair(launched: Launched, room_id: str) -> AsyncIterator[tuple[Call, Call]]:
    """Two calls in one room; the second one came later, so it offers."""
    async with (
        joined(launched.url, room_id, "alice") as here,
        joined(launched.url, room_id, "bob") as there,
        Call(here) as first,
        Call(there) as second,
    ):
        yield first, second


def only(call: Call) -> Peer:
    """The one other."""
    (peer,) = call.peers.values()
    return peer


async def connected(*calls: Call) -> None:
    """All peers of these calls are, and agree on which connection it is."""
    await eventually(
        lambda: (
            all(call.peers and all(peer.state == "connected" for peer in call.peers.values()) for call in calls)
            and len({peer.generation for call in calls for peer in call.peers.values()}) == 1
        ),
        "everybody is connected",
        within=PATIENCE,
    )
