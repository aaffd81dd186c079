"""Can one get in: WebSocket, authenticate, a room? Says what the room told about STUN and TURN servers."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from parley.cli.address import is_loopback
from parley.cli.doctor.report import Report
from parley.cli.exits import Exit, Stop, refused
from parley.cli.options import Server
from parley.cli.rest import why
from parley.cli.room_commands import ROOMS, path

SECONDS = 10.0
NAME = "parley doctor"
THROW_AWAY = {"name": NAME, "type": "voice", "maxParticipants": 2, "settings": {"maxDuration": 1}}
STATUS = {
    400: "the gateway takes the handshake for malformed: does a proxy change it, or drop `Upgrade`?",
    403: "the gateway refuses this origin; a proxy before it may add one (PARLEY_ALLOWED_ORIGINS)",
    404: "the path /ws must be passed on to the gateway",
    426: "a proxy before the gateway must pass WebSockets on (HTTP/1.1, `Upgrade` and `Connection`)",
    429: "too many connections come from this address: is a proxy missing in PARLEY_TRUSTED_PROXIES?",
    503: "the gateway is shutting down: try again",
}

Json = dict[str, Any]

# At DEBUG, websockets logs frames, and ours hold the token.
_quiet = logging.getLogger("parley.cli.websocket")
_quiet.setLevel(logging.INFO)


async def look(server: Server, room_id: str | None, traceless: bool, report: Report) -> Json | None:
    """The `room_users` of the room that was entered; None if it did not come to that, or leaves a trace."""
    try:
        async with _authenticated(server, report) as socket:
            if traceless:
                report.skipped("room", "none was made or entered (--traceless)")
                return None
            return await _enter(server, socket, room_id, report)
    except Stop as stop:
        report.wrong("websocket", stop.sentence, "see the gateway's log")
    except _Told:
        pass
    return None


class _Told(Exception):  # noqa: N818 - it has been reported already
    pass


@asynccontextmanager
async def _authenticated(server: Server, report: Report) -> AsyncIterator[ClientConnection]:
    tls = server.tls if server.socket.startswith("wss:") else None
    proxy: Literal[True] | None = None if is_loopback(server.base) else True
    opening = connect(
        server.socket, ssl=tls, compression=None, open_timeout=SECONDS, close_timeout=2, logger=_quiet, proxy=proxy
    )
    try:
        socket = await opening
    except InvalidStatus as error:
        status = error.response.status_code
        advice = STATUS.get(status, "what stands before the gateway must pass WebSockets on")
        report.wrong("websocket", f"{server.socket} answers the handshake with HTTP {status}", advice)
        raise _Told from None
    except (OSError, TimeoutError, InvalidHandshake, EOFError) as error:
        advice = "what stands before the gateway must pass WebSockets on"
        report.wrong("websocket", f"{server.socket}: {why(error)}", advice)
        raise _Told from None
    try:
        answer = await _ask(socket, {"type": "authenticate", "id": "1", "token": server.credential.token})
        report.ok("websocket", f"{server.socket} opens, and the session is {answer['agentId']}'s")
        yield socket
    finally:
        await socket.close()


async def _ask(socket: ClientConnection, message: Json) -> Json:
    """The reply. Raises Stop for a refusal and for a connection that ends."""
    try:
        await socket.send(json.dumps(message))
        async with asyncio.timeout(SECONDS):
            while True:
                reply: Json = json.loads(await socket.recv())
                if reply.get("id") == message["id"] or reply.get("type") == "auth_error":
                    break
    except TimeoutError:
        raise Stop(Exit.UNREACHABLE, f"no answer to {message['type']} in {SECONDS:.0f} s") from None
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd else 1006
        raise Stop(Exit.UNREACHABLE, f"the connection ended with {code} after {message['type']}") from None
    if reply["type"] in ("error", "auth_error"):
        sentence = f"{message['type']} is refused: {reply.get('message')} [{reply.get('code')}]"
        raise refused(str(reply.get("code")), sentence)
    return reply


async def _enter(server: Server, socket: ClientConnection, room_id: str | None, report: Report) -> Json | None:
    own = room_id is None
    room = room_id or await asyncio.to_thread(_make_room, server, report)
    if room is None:
        return None
    try:
        users = await _ask(socket, {"type": "join_room", "id": "2", "roomId": room, "name": NAME})
        await _ask(socket, {"type": "leave_room", "id": "3", "roomId": room})
        report.ok("room", "made, entered, left and closed one" if own else f"entered and left {room}")
        return users
    except Stop as stop:
        advice = (
            "the gateway's and rooms' logs say more"
            if own
            else "check the room's id, its access and the token's permissions"
        )
        report.wrong("room", stop.sentence, advice)
        return None
    finally:
        if own:
            await asyncio.to_thread(_close_room, server, room, report)


def _make_room(server: Server, report: Report) -> str | None:
    try:
        with server.rest() as rest:
            return str(rest.ask("POST", ROOMS, body=THROW_AWAY)["roomId"])
    except Stop as stop:
        if stop.code == "forbidden":
            sentence = "this token may not make rooms, so none was entered and no STUN or TURN server asked"
            report.unknown(
                "room", sentence, "name a room that it may join with --room, or leave rooms out with --traceless"
            )
        else:
            report.wrong("room", f"no room can be made: {stop.sentence}", "the log of rooms says more")
        return None


def _close_room(server: Server, room_id: str, report: Report) -> None:
    try:
        with server.rest() as rest:
            rest.ask("DELETE", path(room_id))
    except Stop as stop:
        report.note("room", f"{room_id} could not be closed: {stop.sentence}", "it closes by itself")
