"""`parley watch`: what happens in rooms, as a readable tail or as JSON lines."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated

import typer

from parley.cli import running
from parley.cli.broker import RoomLog, Start
from parley.cli.exits import wrong
from parley.cli.happening import Json
from parley.cli.narrator import Narrator
from parley.cli.nats_options import USER, NatsPassword, NatsPasswordFile, NatsUrl, NatsUser, broker_of
from parley.cli.options import AnyRoomId, AsJson, Server, takes_server
from parley.cli.presence import Presence
from parley.cli.since import ALL, moment
from parley.cli.terminal import note, put, say


@takes_server
def watch(
    server: Server,
    room_id: AnyRoomId = None,
    nats_url: NatsUrl = None,
    nats_user: NatsUser = USER,
    nats_password: NatsPassword = None,
    nats_password_file: NatsPasswordFile = None,
    since: Annotated[
        str | None, typer.Option(help="From the log first (NATS only): 10m, 2h, 7d, a time in RFC 3339, or all.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Go on with what happens from now on.")] = True,
    as_json: AsJson = False,
) -> None:
    """What happens in rooms, until Ctrl-C.

    With --nats-url from NATS, unseen, across lost connections without a gap. Otherwise from the WebSocket of a gateway, as a
    participant of the room whom the others see.
    """
    if nats_url is not None:
        log = RoomLog(broker_of(server, nats_url, nats_user, nats_password, nats_password_file), room_id, note)
        running.run(_from_nats(log, room_id, _start(since), follow, as_json))
        return
    if since is not None or not follow:
        raise wrong("--since and --no-follow read the log, and that takes NATS: give --nats-url too")
    if room_id is None:
        raise wrong("all rooms are only to be had from NATS: give --nats-url, or name a ROOM")
    note("watching as a participant, whom the others see; with --nats-url nobody does")
    running.run(_tell(Presence(server, room_id, name="parley watch").happenings(), room_id, as_json))


def _start(since: str | None) -> Start:
    if since is None:
        return Start()
    return Start(oldest=True) if since == ALL else Start(moment=moment(since, datetime.now(UTC)))


async def _from_nats(log: RoomLog, room_id: str | None, start: Start, follow: bool, as_json: bool) -> None:
    if room_id is not None and not await log.exists():
        note(f"nothing has been heard of {room_id} yet")
    await _tell(log.events(start, follow), room_id, as_json)


async def _tell(happenings: AsyncGenerator[Json, None], room_id: str | None, as_json: bool) -> None:
    narrator = Narrator()
    async with aclosing(happenings) as each:
        async for happening in each:
            if as_json:
                put(happening)
            else:
                say(narrator.line(happening, room=room_id is None))
