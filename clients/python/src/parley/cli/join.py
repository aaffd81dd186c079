"""`parley join`: a participant in the terminal, who shows the room live."""

import json
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Annotated, Any

import typer

from parley.cli import credential, running
from parley.cli.exits import wrong
from parley.cli.listening import Listening
from parley.cli.narrator import Narrator
from parley.cli.options import AsJson, RoomId, Server, takes_server
from parley.cli.presence import Presence
from parley.cli.terminal import put, say
from parley.cli.view import View


@takes_server
def join(
    server: Server,
    room_id: RoomId,
    name: Annotated[str | None, typer.Option(help="What the others read; otherwise the token's name.")] = None,
    listen: Annotated[
        bool, typer.Option("--listen", help="Take calls too: receive what the others send (needs parley[rtc]).")
    ] = False,
    metadata: Annotated[str | None, typer.Option(help="A JSON object for the others to read.")] = None,
    device_id: Annotated[str | None, typer.Option(help="Joining again under it takes the old seat over.")] = None,
    join_token_file: Annotated[
        Path | None, typer.Option(help="A file that holds a join token for this room; - is standard input.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Be in a room and see who is there and what happens, until Ctrl-C, which leaves.

    Without --listen others see you but get no call from you: nothing of you is heard or seen.
    """
    how: dict[str, Any] = {"name": name, "metadata": _object(metadata), "device_id": device_id}
    if join_token_file is not None:
        how["token"] = credential.from_file(join_token_file)
    listening = Listening(server.base) if listen else None
    running.run(_join(Presence(server, room_id, **how), listening, as_json))


def _object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise wrong('--metadata is a JSON object, such as \'{"team": "blue"}\'')
    return value


async def _join(presence: Presence, listening: Listening | None, as_json: bool) -> None:
    narrator = Narrator()
    view = View("RECEIVES" if listening else None)

    def show() -> None:
        if presence.room is not None:
            view.show(presence.room, presence.state, listening.states() if listening else {})

    async with aclosing(presence.happenings()) as happenings, AsyncExitStack() as stack:
        if not as_json:
            stack.enter_context(view)
        async for happening in happenings:
            if listening is not None and happening["type"] == "joined" and presence.room is not None:
                stack.push_async_callback(listening.stop)
                listening.start(presence.room, presence.tell, show)
            if as_json:
                put(happening)
            else:
                say(narrator.line(happening, room=False))
                show()
