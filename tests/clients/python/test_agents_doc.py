"""The programs of docs/agents.md and of the package's README, run as they stand."""

import asyncio
import re
import sys
from pathlib import Path

import httpx
import parley
from parley.rtc import Call

from tests.clients.python.sound import Tone
from tests.support.launched import Launched, bearer
from tests.support.processes import ROOT, Process
from tests.support.system import token

DOCUMENTS = (ROOT / "docs/agents.md", ROOT / "clients/python/README.md")
PROGRAMS = [
    program
    for document in DOCUMENTS
    for program in re.findall(r"^```python\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)
]


class Program:
    """One of them, in a room with somebody else; closing the room ends it."""

    def __init__(self, number: int, folder: Path, launched: Launched) -> None:
        path = folder / "program.py"
        # Only the room's name is another, so that each has its own.
        self.room_id = f"doc-{number}"
        path.write_text(PROGRAMS[number].replace('"daily"', f'"{self.room_id}"'))
        self._launched = launched
        environment = {"PARLEY_URL": launched.url, "PARLEY_TOKEN": token("reader")}
        self.process = Process(sys.executable, str(path), environment=environment)

    async def end(self) -> None:
        """Close the room: the program ends by itself and well."""
        manager = token("manager", "rooms:manage")
        async with httpx.AsyncClient(base_url=self._launched.url, headers=bearer(manager)) as api:
            assert (await api.delete(f"/api/rooms/{self.room_id}")).status_code == 204
        assert await asyncio.to_thread(self.process.end) == 0, self.process.output


def test_all_are_tried() -> None:
    """There are as many programs in the documents as are tried here."""
    assert len(PROGRAMS) == 5


async def test_be_in_a_room(launched: Launched, tmp_path: Path) -> None:
    """It says who is there, who comes, changes and leaves, and that its stay is over."""
    program = Program(0, tmp_path, launched)
    try:
        await program.process.hear("^here: Watcher$")
        async with (
            parley.connect(launched.url, token=token("sara")) as session,
            session.join(program.room_id, name="Sara") as room,
        ):
            await program.process.hear("^Sara came$")
            await room.update(media={"audio": {"state": "on"}})
            await program.process.hear("^Sara is on$")
        await program.process.hear("^Sara left: left$")
        await program.end()
        assert program.process.lines[-1] == "our stay is over: room_closed"
    finally:
        program.process.destroy()


async def test_talk_and_listen(launched: Launched, tmp_path: Path) -> None:
    """It hears who talks, greets over its data channel, and says what it is told."""
    program = Program(1, tmp_path, launched)
    try:
        async with (
            asyncio.timeout(40),
            parley.connect(launched.url, token=token("sara")) as session,
            session.join(program.room_id, name="Sara") as room,
            Call(room) as call,
        ):
            chat = call.create_data_channel("chat")
            messages = chat.messages()
            await call.set_track("audio", Tone())
            await program.process.hear("^Sara is connected$")
            await program.process.hear("^hearing Sara 48000$")
            heard = await anext(messages)
            assert not isinstance(heard, parley.Missed)
            assert heard.data == "hello"
            chat.send("good day")
            await program.process.hear("^Sara says good day in chat$")
            await program.end()
    finally:
        program.process.destroy()


async def test_tokens(launched: Launched, tmp_path: Path) -> None:
    """It asks for its token itself, is in the room, and says how its stay ended."""
    program = Program(2, tmp_path, launched)
    try:
        await program.process.hear(r"^in doc-2 as Renewing$")
        await program.end()
        assert "over: room_closed" in program.process.lines
        assert "StateChanged(state='closed')" in program.process.lines
    finally:
        program.process.destroy()


async def test_pushes(launched: Launched, tmp_path: Path) -> None:
    """It hears who comes and goes as the protocol says it, with the room as it is then, and how its own stay ends."""
    program = Program(3, tmp_path, launched)
    try:
        await program.process.hear("^observing$")
        async with parley.connect(launched.url, token=token("sara")) as session, session.join(program.room_id):
            await program.process.hear(r"^user_joined \d+ None 2$")
        await program.process.hear(r"^user_left \d+ left 1$")
        await program.end()
        assert re.fullmatch(r"user_left \d+ room_closed 1", program.process.lines[-1])
    finally:
        program.process.destroy()


async def test_the_readme(launched: Launched, tmp_path: Path) -> None:
    """It prints what happens in the call."""
    program = Program(4, tmp_path, launched)
    try:
        async with (
            asyncio.timeout(40),
            parley.connect(launched.url, token=token("sara")) as session,
            session.join(program.room_id, name="Sara") as room,
            Call(room),
        ):
            await program.process.hear(r"^PeerChanged\(peer=<Peer \S+ 'Sara' connected>\)$")
            await program.end()
    finally:
        program.process.destroy()
