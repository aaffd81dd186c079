"""`parley rooms`: what the REST API can do with rooms."""

from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

import typer

from parley.cli.exits import wrong
from parley.cli.options import AsJson, RoomId, Server, takes_server
from parley.cli.people import PEOPLE, person
from parley.cli.rest import Rest
from parley.cli.terminal import clean, fields, note, put, say, show

app = typer.Typer(no_args_is_help=True, help="Find, make, change and close rooms.")
ROOMS = "/api/rooms"
PAGE = 100

Json = dict[str, Any]


class RoomType(StrEnum):
    """What a room is for."""

    VOICE = "voice"
    VIDEO = "video"


class Access(StrEnum):
    """Whom a room lets in."""

    OPEN = "open"
    TOKEN = "token"


class Role(StrEnum):
    """What a join token makes of an agent."""

    PARTICIPANT = "participant"
    MODERATOR = "moderator"


Kind = Annotated[RoomType, typer.Option("--type", help="What it is for.")]
Seats = Annotated[int | None, typer.Option("--max-participants", min=1, max=250, help="Seats.")]
Door = Annotated[
    Access | None, typer.Option("--access", help="open: whoever may join rooms; token: with a join token or by name.")
]
MuteOnEntry = Annotated[bool | None, typer.Option("--mute-on-entry/--no-mute-on-entry", help="Newcomers are muted.")]
Recording = Annotated[bool | None, typer.Option("--allow-recording/--no-allow-recording", help="For who records.")]
Minutes = Annotated[
    int | None, typer.Option("--max-duration", min=1, max=10_080, help="Minutes from the first join until it closes.")
]


def path(room_id: str, *below: str) -> str:
    """Where a room is in the REST API."""
    return "/".join((ROOMS, quote(room_id, safe=""), *below))


def _present(**values: object) -> Json:
    return {name: value for name, value in values.items() if value is not None}


def _settings(mute: bool | None, recording: bool | None, minutes: int | None) -> Json:
    return _present(muteOnEntry=mute, allowRecording=recording, maxDuration=minutes)


@app.command("list")
@takes_server
def list_rooms(
    server: Server,
    limit: Annotated[int, typer.Option(min=1, max=PAGE, help="Rooms on a page.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="The `cursor` of the page before.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All pages.")] = False,
    as_json: AsJson = False,
) -> None:
    """Open rooms that you made or may join, newest first; with the permission rooms:list all of them."""
    if every and cursor is not None:
        raise wrong("--all and --cursor exclude each other")
    rooms: list[Json] = []
    with server.rest() as rest:
        while True:
            page = rest.ask("GET", ROOMS, query=_present(limit=PAGE if every else limit, cursor=cursor))
            rooms += page["rooms"]
            cursor = page["cursor"]
            if not every or cursor is None:
                break
    if as_json:
        put({"rooms": rooms, "cursor": cursor})
        return
    if rooms:
        show(("ROOM", "NAME", "TYPE", "ACCESS", "IN IT", "MADE BY", "MADE"), map(_row, rooms))
    else:
        note("no rooms")
    if cursor is not None:
        note(f"there are more: --all, or --cursor {cursor}")


def _row(room: Json) -> list[str]:
    seats = f"{room['participantCount']}/{room['maxParticipants']}"
    return [room["roomId"], room["name"], room["type"], room["access"], seats, room["createdBy"], room["createdAt"]]


@app.command("create")
@takes_server
def create_room(
    server: Server,
    name: Annotated[str, typer.Argument(help="Shown to people.", show_default=False)],
    kind: Kind = RoomType.VIDEO,
    room_id: Annotated[str | None, typer.Option("--room-id", help="An id of your own; otherwise a UUID.")] = None,
    seats: Seats = None,
    access: Door = None,
    mute_on_entry: MuteOnEntry = None,
    allow_recording: Recording = None,
    max_duration: Minutes = None,
    key: Annotated[
        str | None, typer.Option("--idempotency-key", help="Your name for this request: sent again, no second room.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a room and say its roomId. Needs the permission rooms:create."""
    settings = _settings(mute_on_entry, allow_recording, max_duration)
    body = _present(
        name=name, type=kind, roomId=room_id, maxParticipants=seats, access=access, settings=settings or None
    )
    if key is not None and not (key.isascii() and key.isprintable() and 1 <= len(key) <= 128):
        raise wrong("--idempotency-key has 1 to 128 printable ASCII characters")
    headers = {} if key is None else {"Idempotency_Key": key}
    with server.rest() as rest:
        room = rest.ask("POST", ROOMS, body=body, **headers)
    if as_json:
        put(room)
    else:
        say(clean(room["roomId"]))


@app.command("show")
@takes_server
def show_room(server: Server, room_id: RoomId, as_json: AsJson = False) -> None:
    """A room and who is in it."""
    with server.rest() as rest:
        room = rest.ask("GET", path(room_id))
        who = rest.ask("GET", path(room_id, "participants"))
    if as_json:
        put({"room": room, **who})
        return
    _describe(room)
    if who["participants"]:
        show(PEOPLE, map(person, who["participants"]))


def _describe(room: Json) -> None:
    settings = room.get("settings", {})
    fields(
        {
            "room": room["roomId"],
            "name": room["name"],
            "type": room["type"],
            "access": room["access"],
            "in it": f"{room['participantCount']} of {room['maxParticipants']}",
            "topology": room.get("topology"),
            "made": f"{room['createdAt']} by {room['createdBy']}",
            "newcomers": "are muted" if settings.get("muteOnEntry") else None,
            "recording": "is allowed" if settings.get("allowRecording") else None,
            "closes": f"{settings['maxDuration']} min after the first join" if settings.get("maxDuration") else None,
        }
    )


@app.command("change")
@takes_server
def change_room(
    server: Server,
    room_id: RoomId,
    name: Annotated[str | None, typer.Option(help="Shown to people.")] = None,
    kind: Annotated[RoomType | None, typer.Option("--type", help="What it is for.")] = None,
    seats: Seats = None,
    access: Door = None,
    mute_on_entry: MuteOnEntry = None,
    allow_recording: Recording = None,
    max_duration: Minutes = None,
    endless: Annotated[bool, typer.Option("--no-max-duration", help="It does not close by itself any more.")] = False,
    as_json: AsJson = False,
) -> None:
    """Change a room; what is not named stays. For its owner and managers."""
    if endless and max_duration is not None:
        raise wrong("--max-duration and --no-max-duration exclude each other")
    settings = _settings(mute_on_entry, allow_recording, max_duration) | ({"maxDuration": None} if endless else {})
    body = _present(name=name, type=kind, maxParticipants=seats, access=access, settings=settings or None)
    if not body:
        raise wrong("nothing to change: see parley rooms change --help")
    with server.rest() as rest:
        room = rest.ask("PATCH", path(room_id), body=body)
    if as_json:
        put(room)
    else:
        _describe(room)


@app.command("delete")
@takes_server
def delete_room(server: Server, room_id: RoomId, as_json: AsJson = False) -> None:
    """Close a room for good: everyone in it is told and out, and its id is never used again."""
    with server.rest() as rest:
        rest.ask("DELETE", path(room_id))
    if as_json:
        put({"roomId": room_id, "closed": True})
    else:
        note(f"{room_id} is closed")


@app.command("token")
@takes_server
def join_token(
    server: Server,
    room_id: RoomId,
    agent: Annotated[str | None, typer.Option(help="The agent that may join; otherwise yourself.")] = None,
    role: Annotated[Role | None, typer.Option(help="moderator only from the room's owner or a manager.")] = None,
    ttl: Annotated[int | None, typer.Option(min=1, help="Seconds until it expires.")] = None,
    as_json: AsJson = False,
) -> None:
    """A join token: for this room and one agent, good once."""
    with server.rest() as rest:
        issued = _issue(rest, room_id, _present(agentId=agent, role=role, ttl=ttl))
    if as_json:
        put(issued)
    else:
        say(clean(issued["token"]))


def _issue(rest: Rest, room_id: str, order: Json) -> Json:
    issued: Json = rest.ask("POST", path(room_id, "join"), body=order)
    return issued
