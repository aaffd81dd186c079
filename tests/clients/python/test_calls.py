"""Calls of the Python client with itself: real audio and data by aiortc, introduced by real gateways."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import parley
import pytest
from aiortc.mediastreams import VideoStreamTrack
from av import VideoFrame
from parley.events import Resumed
from parley.rtc import Call, DataChannelOpened, Message, Peer, PeerLeft, Track, TrackEnded

from tests.clients.python.conftest import gateway_processes, kill, until
from tests.clients.python.cutting import Line
from tests.clients.python.sound import Tone, hear, hear_somebody
from tests.support.launched import Launched
from tests.support.patience import eventually
from tests.support.system import System, token

PATIENCE = 40.0


@asynccontextmanager
async def joined(url: str | list[str], room_id: str, name: str) -> AsyncIterator[parley.Room]:
    """A room by a session of its own."""
    async with parley.connect(url, token=token(name)) as session, session.join(room_id, name=name) as room:
        yield room


@asynccontextmanager
async def pair(launched: Launched, room_id: str) -> AsyncIterator[tuple[Call, Call]]:
    """Two calls in one room; the second one came later, so it offers."""
    async with (
        joined(launched.url, room_id, "alice") as here,
        joined(launched.url, room_id, "bob") as there,
        Call(here) as first,
        Call(there) as second,
    ):
        yield first, second


def only(call: Call) -> Peer:
    """The one other."""
    (peer,) = call.peers.values()
    return peer


async def connected(*calls: Call) -> None:
    """All peers of these calls are, and agree on which connection it is."""
    await eventually(
        lambda: (
            all(call.peers and all(peer.state == "connected" for peer in call.peers.values()) for call in calls)
            and len({peer.generation for call in calls for peer in call.peers.values()}) == 1
        ),
        "everybody is connected",
        within=PATIENCE,
    )


async def test_two_hear_each_other(launched: Launched, room_id: str) -> None:
    """Both hear the other's tone and get the other's messages; media is told to the room;
    muting is silence, and told; hanging up is told."""
    async with pair(launched, room_id) as (alice, bob), asyncio.timeout(PATIENCE):
        await asyncio.gather(alice.set_track("audio", Tone()), bob.set_track("audio", Tone()))
        await asyncio.gather(hear_somebody(alice), hear_somebody(bob))
        assert alice.room.me.state_of("audio") == "on"
        await bob.mute()
        await eventually(lambda: alice.room.others[0].state_of("audio") == "muted", "muting is told")
        (track,) = only(alice).tracks
        await hear(track, loud=False)
        await bob.unmute()
        await hear(track)
        numbers = (await alice.get_stats())[only(alice).id]
        assert numbers.state == "connected"
        assert numbers.packets_received > 0
        assert numbers.packets_sent > 0
        await bob.set_track("audio", None)
        await eventually(lambda: not only(alice).tracks, "the track is gone")
        assert alice.room.others[0].state_of("audio") == "off"
        await bob.set_track("audio", Tone())
        await hear_somebody(alice)


async def test_messages(launched: Launched, room_id: str) -> None:
    """A channel's messages arrive in order, text and bytes, sent before it was open or after, to all or to one; a
    channel that only the other end opened answers too."""
    async with pair(launched, room_id) as (alice, bob), asyncio.timeout(PATIENCE):
        heard = bob.events()
        chat = alice.create_data_channel("chat")
        chat.send("before")
        opened = await until(heard, DataChannelOpened)
        assert opened.channel.label == "chat"
        chat.send(b"\0bytes")
        chat.send("", to=only(alice).id)
        assert [(await until(heard, Message)).data for _ in range(3)] == ["before", b"\0bytes", ""]
        back = chat.messages()
        opened.channel.send("back", to=only(bob).id)
        message = await until(back, Message)
        assert (message.data, message.participant.id, message.channel) == ("back", bob.room.me.id, chat)
        with pytest.raises(parley.ParleyError, match="participant_not_found"):
            chat.send("x", to="p_nobody")


async def test_glare(launched: Launched, room_id: str) -> None:
    """Both add something at the same moment, again and again: it ends connected, on one connection, with everything
    of both on the other side."""
    async with pair(launched, room_id) as (alice, bob), asyncio.timeout(PATIENCE * 2):
        alice.create_data_channel("0")
        await connected(alice, bob)
        for n in range(8):
            for call in (alice, bob):
                call.create_data_channel(f"{n}")
            tracks = [Tone(), Tone()] if n % 2 == 0 else [None, None]
            await asyncio.gather(
                *(call.set_track("audio", one) for call, one in zip((alice, bob), tracks, strict=True))
            )
            await asyncio.sleep(0.05 * n)
        await asyncio.gather(alice.set_track("audio", Tone()), bob.set_track("audio", Tone()))
        await asyncio.gather(hear_somebody(alice), hear_somebody(bob))
        await connected(alice, bob)
        heard = bob.events()
        for n in range(8):
            alice.create_data_channel(f"{n}").send(f"{n}")
        assert sorted([(await until(heard, Message)).data for _ in range(8)], key=str) == [f"{n}" for n in range(8)]


async def test_a_connection_is_replaced(launched: Launched, room_id: str) -> None:
    """A rebuild, by either end or by both at once, gives a new connection with the tracks and channels of the old."""
    async with pair(launched, room_id) as (alice, bob), asyncio.timeout(PATIENCE * 2):
        chat = alice.create_data_channel("chat")
        await asyncio.gather(alice.set_track("audio", Tone()), bob.set_track("audio", Tone()))
        await connected(alice, bob)
        for rebuilding in ((alice,), (bob,), (alice, bob)):
            generation, old = only(alice).generation, only(alice).connection
            for call in rebuilding:
                only(call).rebuild()
            await eventually(lambda before=generation: only(alice).generation > before, "a new one")  # type: ignore[misc]  # bound now
            await connected(alice, bob)
            assert only(alice).connection is not old
            heard = bob.events()
            chat.send("still here")
            assert (await until(heard, Message)).data == "still here"
            await asyncio.gather(hear_somebody(alice), hear_somebody(bob))


async def test_the_screen_is_told_from_the_camera(launched: Launched, room_id: str) -> None:
    """Two video tracks arrive as `video` and `screen`; when the screen ends, that one does, and nothing else is told."""
    async with pair(launched, room_id) as (alice, bob), asyncio.timeout(PATIENCE):
        heard = alice.events()
        await bob.set_track("screen", VideoStreamTrack())
        await bob.set_track("video", VideoStreamTrack())
        found = {(await until(heard, Track)).kind for _ in range(2)}
        while found != {"video", "screen"}:  # glare may have replaced the connection, and its tracks came again
            found = {(await until(heard, Track)).kind for _ in range(2)}
        assert (await (only(alice).tracks[0]).recv()).width == 640
        told: list[object] = []
        alice.on(told.append)
        await bob.set_track("screen", None)
        ended = await until(heard, TrackEnded)
        assert ended.kind == "screen"
        assert "screen" not in alice.room.others[0].metadata
        await eventually(lambda: len(only(alice).tracks) == 1, "one is left")
        assert [one for one in told if isinstance(one, Track | TrackEnded)] == [ended]


async def test_three_are_a_mesh(launched: Launched, room_id: str) -> None:
    """Each of three is connected with the two others; who leaves is gone from their calls, and the rest goes on."""
    async with (
        pair(launched, room_id) as (alice, bob),
        joined(launched.url, room_id, "carol") as there,
        asyncio.timeout(PATIENCE),
    ):
        await alice.set_track("audio", Tone())
        async with Call(there, receive=("audio",)) as carol:
            await eventually(lambda: len(carol.peers) == 2, "carol sees both")
            await asyncio.gather(hear_somebody(bob), hear_somebody(carol))
            gone = alice.events()
        await there.leave()
        assert (await until(gone, PeerLeft)).reason == "left"
        assert [peer.participant.name for peer in alice.peers.values()] == ["bob"]
        await hear_somebody(bob)


async def test_the_line_is_cut_during_setup(launched: Launched, room_id: str) -> None:
    """A call whose signals were under way when the line was cut is set up all the same."""
    async with (
        Line(launched.url) as line,
        joined(line.url, room_id, "alice") as here,
        joined(launched.url, room_id, "bob") as there,
        asyncio.timeout(PATIENCE),
    ):
        line.open = False
        line.cut()
        async with Call(here) as alice, Call(there) as bob:
            telling = asyncio.gather(alice.set_track("audio", Tone()), bob.set_track("audio", Tone()))
            await asyncio.sleep(0.3)
            line.open = True
            await telling
            await asyncio.gather(hear_somebody(alice), hear_somebody(bob))


async def test_a_gateway_is_killed_during_setup(two_gateways: Launched) -> None:
    """A call survives the death of a gateway while it is set up, and another while it goes on."""
    first, second = two_gateways.urls
    victim, _ = await asyncio.to_thread(gateway_processes, two_gateways)
    async with (
        joined([first, second], "r", "alice") as here,
        joined(second, "r", "bob") as there,
        asyncio.timeout(PATIENCE * 2),
    ):
        events = here.events()
        async with Call(here) as alice, Call(there) as bob:
            telling = asyncio.gather(alice.set_track("audio", Tone()), bob.set_track("audio", Tone()))
            await asyncio.sleep(0)
            kill(victim)
            assert (await until(events, Resumed)).recovered
            await telling
            await asyncio.gather(hear_somebody(alice), hear_somebody(bob))
            chat = bob.create_data_channel("chat")
            chat.send("hello")
            assert (await until(alice.events(), Message)).data == "hello"


async def test_a_lost_session_calls_anew(system: System) -> None:
    """Who lost its session is another participant, and its call connects with everybody anew."""
    await system.start(grace_seconds=0.5)
    async with (
        Line(system.url) as line,
        joined(system.url, "r", "bob") as there,
        joined(line.url, "r", "alice") as here,
        Call(there) as bob,
        Call(here) as alice,
        asyncio.timeout(PATIENCE),
    ):
        await alice.set_track("audio", Tone())
        await hear_somebody(bob)
        old, events = only(alice), here.events()
        line.open = False
        line.cut()
        await eventually(lambda: not bob.peers, "alice is gone")
        line.open = True
        assert (await until(events, Resumed)).rejoined
        assert only(alice) is not old
        await hear_somebody(bob)
        assert bob.room.others[0].state_of("audio") == "on"


async def test_signals_that_were_lost(system: System) -> None:
    """When signals cannot be recovered, what was under way begins anew."""
    await system.start()
    async with (
        Line(system.url) as line,
        joined(system.url, "r", "bob") as there,
        joined(line.url, "r", "alice") as here,
        asyncio.timeout(PATIENCE),
        Call(there) as bob,
    ):
        await bob.set_track("audio", Tone())
        events = here.events()
        async with Call(here) as alice:
            line.deaf = True
            await asyncio.sleep(1)  # the offer is out, and its answer is not heard
            line.cut()
            here._cursor = "v-other000.1"  # as if the log had been replaced: what came up to the cut is lost
            line.deaf = False
            assert not (await until(events, Resumed)).recovered
            await hear_somebody(alice)
            assert only(alice).generation >= 1


async def test_one_call_per_room(launched: Launched, room_id: str) -> None:
    """A second call in the same room is refused; after the first is over there may be another, and it connects."""
    async with pair(launched, room_id) as (alice, bob), asyncio.timeout(PATIENCE):
        with pytest.raises(RuntimeError, match="one call"):
            Call(alice.room)
        await bob.set_track("audio", Tone())
        await hear_somebody(alice)
        await alice.close()
        await eventually(lambda: only(bob).state == "closed", "bob sees that alice hung up")
        with pytest.raises(parley.ParleyError, match="closed"):
            await alice.set_track("audio", None)
        async with Call(alice.room) as again:
            await again.set_track("audio", Tone())
            await asyncio.gather(hear_somebody(again), hear_somebody(bob))


async def test_one_track_takes_the_place_of_another(launched: Launched, room_id: str) -> None:
    """Another track of the same kind goes on in the same remote track, without a round of negotiation and at its own
    size; muted it is black, and a track that ends by itself is told as `off`."""
    async with pair(launched, room_id) as (alice, bob), asyncio.timeout(PATIENCE):
        await bob.set_track("video", VideoStreamTrack())  # aiortc's own: 640 by 480, green
        await eventually(lambda: bool(only(alice).tracks), "it comes")
        (track,) = only(alice).tracks
        assert (await track.recv()).width == 640
        small = Small()
        await bob.set_track("video", small)
        while (await track.recv()).width != 64:
            pass
        assert brightness(await track.recv()) > 100
        await bob.mute("video")
        while brightness(await track.recv()) > 30:
            pass
        assert alice.room.others[0].state_of("video") == "muted"
        assert only(alice).tracks == [track]
        small.stop()
        await eventually(lambda: alice.room.others[0].state_of("video") == "off", "it is told")
        await eventually(lambda: not only(alice).tracks, "it is gone")


class Small(VideoStreamTrack):
    """64 by 48, white."""

    async def recv(self) -> VideoFrame:
        """The next frame."""
        pts, base = await self.next_timestamp()
        frame = VideoFrame(64, 48, "yuv420p")
        for plane, value in zip(frame.planes, (235, 128, 128), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        frame.pts, frame.time_base = pts, base
        return frame


def brightness(frame: VideoFrame) -> float:
    """The mean of its luma."""
    luma = bytes(frame.planes[0])
    return sum(luma) / len(luma)
