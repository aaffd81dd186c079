"""Frames that bring nothing: what a client library sends is free, and a flood is read ever later."""

import asyncio

from websockets.frames import Frame, Opcode

from services.gateway.transport.idle_frames import BURST, RATE, TINY, IdleFrames

PING = Frame(Opcode.PING, b"")


async def test_what_messages_are_made_of_is_free() -> None:
    """Fragments of some size, and the last one of each, however small; and as many pings as a library sends."""
    frames = IdleFrames(lambda: None)
    for _ in range(3600):
        frames.take(Frame(Opcode.TEXT, b"x" * (TINY + 1), fin=False))
        frames.take(Frame(Opcode.CONT, b"x"))
        frames.settle()
    for _ in range(int(BURST)):
        frames.take(PING)
    frames.settle()
    assert frames.may_go_on()


async def test_a_flood_rests() -> None:
    """Pings, pongs and empty fragments alike: what is more than the burst has to be waited for."""
    loop = asyncio.get_running_loop()
    for frame in (PING, Frame(Opcode.PONG, b""), Frame(Opcode.CONT, b"", fin=False)):
        rested = asyncio.Event()
        frames = IdleFrames(rested.set)
        for _ in range(int(BURST) + int(RATE) // 10):
            frames.take(frame)
        began = loop.time()
        frames.settle()
        assert not frames.may_go_on()
        await rested.wait()
        assert frames.may_go_on()
        assert loop.time() - began >= 0.9 * int(RATE) // 10 / RATE


async def test_nothing_is_called_when_the_connection_is_gone() -> None:
    """It was resting then."""
    called: list[None] = []
    frames = IdleFrames(lambda: called.append(None))
    for _ in range(int(BURST + RATE) // 1):
        frames.take(PING)
    frames.settle()
    frames.stop()
    await asyncio.sleep(1.2)
    assert not called
