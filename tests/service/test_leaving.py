"""Leaving with the page: `leave_room`, and the connection is gone before it is answered."""

import itertools
import json

from tests.support.client import Client
from tests.support.system import System


async def gone_while_leaving(client: Client, *before: str, close: bool) -> None:
    """Say these in one go, the last of them `leave_room`, and be gone without hearing anything."""
    for type_ in (*before, "leave_room"):
        await client.socket.send(json.dumps({"type": type_, "roomId": "r"}))
    if close:
        await client.socket.close()
    else:
        client.socket.transport.abort()


async def test_leaving_and_gone(system: System) -> None:
    """Who asked to leave and was gone at once has left, whether the message was being handled, still waited, or came with
    the close: nobody sees it `reconnecting` for the grace time."""
    await system.start()
    stays = await system.agent("stays")
    await stays.join("r")
    for before, close in itertools.product(((), ("get_room",) * 8), (False, True)):
        goes = await system.agent("goes")
        joined = await goes.join("r")
        await stays.hear("user_joined")
        await gone_while_leaving(goes, *before, close=close)
        left = await stays.hear("user_left")
        assert (left["participantId"], left["reason"]) == (joined["self"], "left")
    assert not [message for message in stays.inbox if message["type"] == "user_updated"]
