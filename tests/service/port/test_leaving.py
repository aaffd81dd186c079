"""Leaving with the page: `leave_room`, and the connection is gone before it is answered."""

import asyncio
import itertools
import json
import socket
import struct
from urllib.parse import urlsplit

from shared.values.ids import RoomId
from tests.support.client import Client
from tests.support.raw import Raw, frame, request
from tests.support.system import System, token


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


async def test_a_connection_that_is_reset_while_it_is_written_to(system: System) -> None:
    """What the client had sent before lies in the kernel, unread: it counts."""
    await system.start()
    stays = await system.agent("stays")
    await stays.join("r")
    sock = socket.socket()
    sock.setblocking(False)
    parts = urlsplit(system.url)
    await asyncio.get_running_loop().sock_connect(sock, (parts.hostname, parts.port))
    reader, writer = await asyncio.open_connection(sock=sock)
    goes = Raw(reader, writer)
    writer.write(request())
    assert (await goes.response())[0] == 101
    await goes.say("authenticate", token=token("goes"))
    await goes.hear("auth_ok")
    await goes.say("join_room", roomId="r")
    own = (await goes.hear("room_users"))["self"]
    await stays.hear("user_joined")
    feeds = system.gateways[0].context.feeds
    feed = await feeds.hold(RoomId("r"))

    writer.transport.pause_reading()  # type: ignore[attr-defined]  # asyncio's own has it
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.send(frame(b'{"type": "leave_room", "roomId": "r"}'))
    sock.close()
    for _ in range(2):  # before the gateway has read anything
        feed.subscribers[own].receiver.send_frame(b"\x81\x02{}")
    left = await stays.hear("user_left")
    assert (left["participantId"], left["reason"]) == (own, "left")
    feeds.release(feed)
    writer.transport.abort()


async def test_a_connection_that_is_lost_while_much_waits(system: System) -> None:
    """More requests than are taken at once wait, and the last one is to leave."""
    await system.start()
    stays = await system.agent("stays")
    await stays.join("r")
    goes = await system.agent("goes")
    joined = await goes.join("r")
    await stays.hear("user_joined")
    await gone_while_leaving(goes, *("get_room",) * 90, close=False)
    left = await stays.hear("user_left")
    assert (left["participantId"], left["reason"]) == (joined["self"], "left")
