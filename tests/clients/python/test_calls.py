"""Calls of the Python client with itself: real audio and data by aiortc, introduced by real gateways."""

import asyncio

import parley
import pytest
from aiortc.mediastreams import VideoStreamTrack
from av import VideoFrame
from parley.rtc import Call, DataChannelOpened, Message, PeerLeft, Track, TrackEnded

from tests.clients.python.calls import PATIENCE, connected, joined, only, pair
from tests.clients.python.conftest import until
from tests.clients.python.sound import Tone, hear, hear_somebody
from tests.support.launched import Launched
from tests.support.patience import eventually


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
            await asyncio.sleep(0.05 * n)  # nothing is waited for: the rounds overlap more or less
        await asyncio.gather(alice.set_track("audio", Tone()), bob.set_track("audio", Tone()))
        await asyncio.gather(hear_somebody(alice), hear_somebody(bob))
        await connected(alice, bob)
        heard = bob.events()
        for n in range(8):
            alice.create_data_channel(f"{n}").send(f"{n}")
        assert sorted([(await until(heard, Message)).data for _ in range(8)], key=str) == [f"{n}" for n in range(8)]


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
