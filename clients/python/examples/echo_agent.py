"""An agent that sits in a room: it greets everybody who comes by a melody (or a file of yours), and echoes what it is
sent over data channels. It survives lost connections, and leaves when it is asked to end (Ctrl-C, SIGTERM).

    pip install 'parley[rtc]'
    python echo_agent.py --url http://127.0.0.1:8080 --room daily
    python echo_agent.py --room daily --greeting welcome.wav

Its token is in the environment variable PARLEY_TOKEN; without one it asks the gateway for a development token.
"""

import argparse
import array
import asyncio
import fractions
import json
import logging
import math
import os
import signal
import urllib.request
from collections.abc import Iterable, Sequence

import av
import parley
from aiortc import MediaStreamTrack
from parley.rtc import Call, CallEvent, Message, PeerChanged, use_loopback_when_alone

logger = logging.getLogger("echo-agent")

RATE = 48_000  # samples a second
CHUNK = 960  # samples in a frame: 20 ms
MELODY = (523.25, 659.26, 783.99, 1046.50)  # C, E, G, C


def melody(notes: Iterable[float] = MELODY, seconds: float = 0.25) -> bytes:
    """The notes one after another, each fading out, as 16-bit samples."""
    samples = array.array("h")
    count = int(RATE * seconds)
    for note in notes:
        for n in range(count):
            samples.append(int(12_000 * (1 - n / count) * math.sin(2 * math.pi * note * n / RATE)))
    return samples.tobytes()


def sound_file(path: str) -> bytes:
    """A sound file of any format that FFmpeg knows, as 16-bit samples."""
    samples = bytearray()
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    with av.open(path) as container:
        for frame in container.decode(audio=0):
            for one in resampler.resample(frame):
                samples += bytes(one.planes[0])[: one.samples * 2]
    return bytes(samples)


class Voice(MediaStreamTrack):
    """What the agent says, and silence between. A speech synthesiser would call `say` with what it makes."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._unsaid = bytearray()
        self._sent = 0
        self._began: float | None = None

    def say(self, samples: bytes) -> None:
        """Say this when everything before it is said."""
        self._unsaid.extend(samples)

    async def recv(self) -> av.AudioFrame:
        """The next 20 ms, when it is their time."""
        loop = asyncio.get_running_loop()
        self._began = self._began if self._began is not None else loop.time()
        await asyncio.sleep(max(0.0, self._began + self._sent / RATE - loop.time()))
        spoken = bytes(self._unsaid[: 2 * CHUNK]).ljust(2 * CHUNK, b"\0")
        del self._unsaid[: 2 * CHUNK]
        frame = av.AudioFrame(format="s16", layout="mono", samples=CHUNK)
        frame.planes[0].update(spoken)
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._sent, fractions.Fraction(1, RATE)
        self._sent += CHUNK
        return frame


async def serve(events: parley.Events[CallEvent], voice: Voice, greeting: bytes) -> None:
    """What the agent does, for as long as it is in the call."""
    greeted: set[str] = set()
    async for event in events:
        match event:
            case PeerChanged(peer) if peer.state == "connected" and peer.id not in greeted:
                greeted.add(peer.id)  # not again when its connection is replaced
                logger.info("greeting %s", peer.participant.name)
                voice.say(greeting)
            case Message(participant, channel, data):
                try:
                    channel.send(data, to=participant.id)
                except parley.ParleyError as error:  # it has just left, or does not read
                    logger.info("cannot echo to %s: %s", participant.name, error)


async def development_token(url: str, name: str) -> str:
    """A token from a gateway in development mode. Elsewhere your own service issues them."""
    order = json.dumps({"agentId": "echo-agent", "name": name, "kind": "agent"}).encode()
    request = urllib.request.Request(f"{url}/api/dev/token", order, {"Content-Type": "application/json"})  # noqa: S310 - the user's own URL

    def ask() -> str:
        with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310 - as above
            return str(json.load(reply)["token"])

    return await asyncio.to_thread(ask)


async def stay(urls: Sequence[str], room_id: str, name: str, greeting: bytes) -> None:
    """From the first connection to the farewell. Leaving the `async with` blocks, for whatever reason, hangs up, leaves
    the room and closes the session."""
    given = os.environ.get("PARLEY_TOKEN")
    token = given if given is not None else (lambda: development_token(urls[0], name))
    async with parley.connect(urls, token=token, keep_trying=True) as session:
        session.on(lambda event: logger.info("%s", event))
        async with session.join(room_id, name=name) as room, Call(room, receive=()) as call:
            voice = Voice()
            events = call.events()
            await call.set_track("audio", voice)
            logger.info("in %s as %s", room.id, room.me.id)
            await serve(events, voice, greeting)
            logger.info("%s ended for us: %s", room.id, room.left)


async def run(urls: Sequence[str], room_id: str, name: str, greeting: bytes) -> None:
    """Stay until somebody ends us; that cancels what is under way, and is no error."""
    staying = asyncio.create_task(stay(urls, room_id, name, greeting))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, staying.cancel)
    try:
        await staying
    except asyncio.CancelledError:
        logger.info("asked to end")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="An agent that greets and echoes.")
    parser.add_argument("--url", action="append", help="a gateway; may be given several times")
    parser.add_argument("--room", default="daily")
    parser.add_argument("--name", default="Echo")
    parser.add_argument("--greeting", metavar="FILE", help="a sound file to greet with, instead of a melody")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("aioice").setLevel(logging.WARNING)
    use_loopback_when_alone()
    greeting = sound_file(options.greeting) if options.greeting else melody()
    asyncio.run(run(options.url or ["http://127.0.0.1:8080"], options.room, options.name, greeting))


if __name__ == "__main__":
    main()
