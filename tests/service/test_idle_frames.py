"""Frames that bring nothing: who sends them is read ever later, and everybody else notices nothing."""

import asyncio

import pytest

from services.gateway.transport.idle_frames import BURST, RATE
from services.gateway.transport.intake import PIECE
from tests.support.broker_kind import in_memory
from tests.support.raw import CONTINUATION, PING, PONG, Raw, frame
from tests.support.system import System, token

pytestmark = in_memory


IN_TINY_PIECES = (
    frame(b"", fin=False) + frame(b"", CONTINUATION, fin=False) * 8 + frame(b'{"type":"ping"}', CONTINUATION)
)


@pytest.mark.parametrize("flood", [frame(b"", PING), frame(b"", PONG), IN_TINY_PIECES])
async def test_frames_that_bring_nothing(system: System, flood: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many a client sends, few are read; it may close, and then nothing of it is left to be done."""
    await system.start()
    friend, raw = await system.agent("friend"), await Raw.open(system.url)
    await raw.say("authenticate", token=token("flooder"))
    await raw.hear("auth_ok")
    (connection,) = [
        c
        for c, s in system.gateways[0]._sessions.items()
        if s.login.identity and s.login.identity.agent_id == "flooder"
    ]
    read, most = 0, int(BURST + 4 * RATE) * len(flood) + PIECE
    parse = connection._protocol.receive_data

    def counted(data: bytes | bytearray) -> None:
        nonlocal read
        read += len(data)
        parse(data)

    monkeypatch.setattr(connection._protocol, "receive_data", counted)
    raw.writer.write(flood * 20_000)
    await asyncio.sleep(1)
    assert read <= most
    assert (await friend.ask("ping"))["type"] == "pong"
    await raw.close()
    await asyncio.sleep(0.5)
    assert read <= most + PIECE
    assert (await friend.ask("ping"))["type"] == "pong"
