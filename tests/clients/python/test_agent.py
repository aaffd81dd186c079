"""The example agent, as a process of its own, from another participant's side."""

import asyncio
import math
import signal
import struct
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import parley
import pytest
from parley import ParticipantLeft
from parley.rtc import Call, Message

from tests.clients.python.conftest import gateway_processes, kill, until
from tests.clients.python.sound import hear_somebody
from tests.support.launched import Launched
from tests.support.patience import eventually
from tests.support.processes import ROOT, Process
from tests.support.system import token

AGENT = ROOT / "clients/python/examples/echo_agent.py"
PATIENCE = 40.0


class Agents:
    """Starts them, and ends them with the test."""

    def __init__(self) -> None:
        self._processes: list[Process] = []

    async def start(self, *arguments: str, **environment: str) -> Process:
        """One that is in its room."""
        process = Process(sys.executable, str(AGENT), *arguments, environment=environment)
        self._processes.append(process)
        await process.hear(r"in \S+ as p_")
        return process

    def destroy(self) -> None:
        """All of them."""
        for process in self._processes:
            process.destroy()


@pytest.fixture
def agents() -> Iterator[Agents]:
    """Example agents."""
    agents = Agents()
    yield agents
    agents.destroy()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_greets_echoes_and_leaves(launched: Launched, room_id: str, agents: Agents, number: int) -> None:
    """Who comes hears its greeting and gets back what it sends, text and bytes; when the agent is asked to end, the
    room hears that it left, and its exit status is 0."""
    agent = await agents.start("--url", launched.url, "--room", room_id, "--name", "Greeter")
    async with (
        asyncio.timeout(PATIENCE),
        parley.connect(launched.url, token=token("bob")) as session,
        session.join(room_id) as room,
        Call(room) as call,
    ):
        assert [(one.name, one.kind) for one in room.others] == [("Greeter", "agent")]
        heard, events = call.events(), room.events()
        chat = call.create_data_channel("chat")
        chat.send("hello")
        chat.send(b"\1\2")
        await hear_somebody(call)
        echoes = [await until(heard, Message) for _ in range(2)]
        assert [(one.data, one.participant.name) for one in echoes] == [("hello", "Greeter"), (b"\1\2", "Greeter")]
        agent.signal(number)
        assert (await until(events, ParticipantLeft)).reason == "left"
        assert await asyncio.to_thread(agent.end) == 0, agent.output


async def test_it_greets_by_a_file_with_a_token_of_yours(
    launched: Launched, room_id: str, agents: Agents, tmp_path: Path
) -> None:
    """With --greeting the sound of a file is heard; with PARLEY_TOKEN it is whom that token names, and never shows it."""
    tone = [int(20_000 * math.sin(2 * math.pi * 300 * n / 8000)) for n in range(8000)]
    with wave.open(str(tmp_path / "hello.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(struct.pack("<8000h", *tone))
    secret = token("my-agent", kind="agent")
    arguments = ("--url", launched.url, "--room", room_id, "--greeting", str(tmp_path / "hello.wav"))
    agent = await agents.start(*arguments, PARLEY_TOKEN=secret)
    async with (
        asyncio.timeout(PATIENCE),
        parley.connect(launched.url, token=token("bob")) as session,
        session.join(room_id) as room,
        Call(room) as call,
    ):
        assert [one.agent_id for one in room.others] == ["my-agent"]
        await hear_somebody(call)
    assert secret not in agent.output


async def test_it_survives_a_gateway(two_gateways: Launched, agents: Agents) -> None:
    """When its gateway is killed the agent is still there, the same participant, and greets who comes after that."""
    first, second = two_gateways.urls
    victim, _ = await asyncio.to_thread(gateway_processes, two_gateways)
    async with (
        asyncio.timeout(PATIENCE),
        parley.connect(second, token=token("watcher")) as watching,
        watching.join("r") as room,
    ):
        agent = await agents.start("--url", first, "--url", second, "--room", "r")
        await eventually(lambda: len(room.others) == 1, "the agent is there")
        before = room.others[0].id
        kill(victim)
        await agent.hear("reconnecting")
        await agent.hear("state='connected'", since=len(agent.lines) - 1)
        async with (
            parley.connect(second, token=token("bob")) as session,
            session.join("r") as late,
            Call(late) as call,
        ):
            assert before in late.participants
            await hear_somebody(call)
            heard = call.events()
            call.create_data_channel("chat").send("still there?")
            assert (await until(heard, Message)).data == "still there?"
