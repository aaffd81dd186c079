"""No NATS user but those who own the streams can have anything written, deleted or heard by naming a reply.

NATS checks no permission on replies, and whoever answers has his own rights. The requests are those that
deploy/nats/accounts.conf lets a user make, so a new permission is tried by itself; the replies are all subjects there are.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.launcher.embedded_nats import EmbeddedNats
from shared.broker import subjects
from shared.broker.ports import Ports
from shared.broker.room_log import ROOM_LOG
from shared.rooms.timers import GraceEnds, LeaseEnds, Timer
from shared.values.ids import GatewayId, LeaseName, ParticipantId, RoomId
from tests.support.accounts import allowed, example, may_publish, users
from tests.support.broker import ContainerNats, connector, over_nats
from tests.support.logs import begin
from tests.support.manifests import ROOT
from tests.support.patience import eventually_async
from tests.support.shared_nats import EMPTIER

OWNERS = {"rooms", "operator"}  # they can do anything to the streams; SECURITY.md says so
CONFINED = sorted({name for _, name, _ in users()} - OWNERS)
STREAMS = (subjects.LOG_STREAM, subjects.SNAPSHOT_STREAM, subjects.TIMER_STREAM, subjects.LEASE_STREAM)
TIMER_STREAM = subjects.TIMER_STREAM
ENDPOINTS = [value.subject for value in vars(subjects).values() if isinstance(value, subjects.Endpoint)]
ASKED, TARGET = "asked", "target"  # in the place of wildcards: of requests, and of replies
R, P, G, L = RoomId(TARGET), ParticipantId(TARGET), GatewayId(TARGET), LeaseName(TARGET)
TIMERS = (LeaseEnds(due=0.0, gateway=G), GraceEnds(due=0.0, room_id=R, participant_id=P, epoch=1))
BODIES = (b"", b"{}", b'{"seq": 1}', b'{"batch": 2}', b'{"batch": 2, "seq": 1, "next_by_subj": ">"}')

STORED = [
    *(subjects.event_log(R), subjects.state_log(R), subjects.signal_log(R, P), subjects.snapshot(R)),
    *(subject(timer) for subject in (subjects.armed, subjects.due) for timer in TIMERS),
    *(subjects.noted_room(G, R), subjects.TIMERS_MARK, subjects.LEASES_MARK),
    *(subjects.armed_lease(L), subjects.due_lease(L)),
]
LIVE = [ROOM_LOG.live_subject(subject) for subject in STORED[:3]]
OF_STREAMS = ("DELETE", "PURGE", "MSG.DELETE", "UPDATE", "RESTORE", "SNAPSHOT", "PEER.REMOVE", "LEADER.STEPDOWN")
OF_CONSUMERS = ("DELETE", "PAUSE", "RESET", "UNPIN", "LEADER.STEPDOWN", "MSG.NEXT")
HARMFUL = [
    *(f"$JS.API.STREAM.{verb}.{stream}" for verb in OF_STREAMS for stream in STREAMS),
    *(f"$JS.API.CONSUMER.{verb}.{stream}.{TARGET}" for verb in ("CREATE", "DURABLE.CREATE") for stream in STREAMS),
    *(f"$JS.API.CONSUMER.{verb}.{TIMER_STREAM}.rooms" for verb in OF_CONSUMERS),
    *(f"$JS.API.STREAM.CREATE.{TARGET}", "$JS.API.META.LEADER.STEPDOWN", f"$JS.ACK.{TIMER_STREAM}.rooms.1.1.1.1.0"),
]


class World:
    """A server with its streams, one event in a room, and listeners wherever an answer could do harm."""

    def __init__(self, server: EmbeddedNats | ContainerNats, rooms: Ports) -> None:
        self._server = server
        self._rooms = over_nats(rooms).client
        self._clients: list[Client] = []
        self.heard: list[tuple[str, str]] = []  # who, and what subject

    async def client(self, user: str) -> Client:
        """A plain connection as this user. What the server refuses it is not looked at: what happens then is."""
        client = Client()
        await client.connect(
            self._server.url,
            user=user,
            password=self._server.passwords[user],
            inbox_prefix=f"_INBOX.{user}",
            error_cb=_ignore,
        )
        self._clients.append(client)
        return client

    async def listen(self) -> None:
        """Answer every request as its service would, with what it was asked, and note what a target hears."""
        for service in ("rooms", "auth"):
            await self._on(service, f"{subjects.ROOT}.{service}.*")
        for user in (*CONFINED, "rooms"):
            for subject in allowed(user, "subscribe"):
                if subject.startswith((ROOM_LOG.live, "$SRV")):
                    await self._on(user, subject)

    async def _on(self, user: str, subject: str) -> None:
        client = await self.client(user)

        async def hear(message: Msg) -> None:
            if ASKED in message.subject.split("."):
                if message.reply:
                    await client.publish(message.reply, message.data)
            else:
                self.heard.append((user, message.subject))

        await client.subscribe(subject, cb=hear)
        await client.flush()

    async def stored(self) -> dict[str, Any]:
        """Each stream's creation, settings and consumers, and messages by subject; of what was asked for, only that it is there."""
        found: dict[str, Any] = {}
        for stream in STREAMS:
            body = json.dumps({"subjects_filter": ">"}).encode()
            told = json.loads((await self._rooms.request(f"$JS.API.STREAM.INFO.{stream}", body, timeout=5)).data)
            held = told["state"].get("subjects") or {}
            kept = told["created"], told["config"], told["state"]["consumer_count"]
            found[stream] = kept, {name: held[name] for name in held if ASKED not in name.split(".")}
        return found

    async def close(self) -> None:
        for client in self._clients:
            await client.close()


async def _ignore(_error: Exception) -> None:
    """The server's refusals, of which there are many."""


async def _nobody(_timer: Timer) -> None:
    """Takes no timer."""


@pytest.fixture
async def world(empty_nats: EmbeddedNats | ContainerNats) -> AsyncIterator[World]:
    rooms = await connector(empty_nats.url, empty_nats.passwords)("rooms")
    await begin(rooms, "room-a")
    await (await rooms.timers.take(_nobody, 30.0)).stop()  # its consumer is one more thing to harm
    world = World(empty_nats, rooms)
    await world.listen()
    yield world
    await world.close()
    await rooms.connection.close()


def test_who_is_not_tried() -> None:
    """Whoever owns the streams is named in SECURITY.md, with what it could do."""
    text = (ROOT / "SECURITY.md").read_text()
    assert all(f"`{user}`" in text for user in (*OWNERS, *CONFINED))


@pytest.mark.parametrize("user", CONFINED)
async def test_no_reply_writes_or_deletes(world: World, user: str) -> None:
    """Every request that the user may make, with every subject as its reply: the streams are as before, no service and no
    follower heard an answer."""
    before = await world.stored()
    client = await world.client(user)
    own = allowed(user, "publish")
    for reply in (*STORED, *LIVE, *HARMFUL, *ENDPOINTS, f"$SRV.PING.{TARGET}", f"_INBOX.rooms.{TARGET}"):
        for request in sorted(own):
            for body in BODIES:
                await client.publish(example(request, ASKED), body, reply)
    await _settle(client)
    await _nothing_happened(world, before, user)


@pytest.mark.parametrize("user", CONFINED)
async def test_no_response_of_its_own_writes(world: World, user: str) -> None:
    """A message to itself that names a reply gives nobody the right to publish there."""
    before = await world.stored()
    client = await world.client(user)
    arrived = asyncio.Semaphore(0)

    async def answer(message: Msg) -> None:
        await client.publish(message.reply, b"{}", headers={"Nats-Rollup": "all"})
        await client.publish(message.reply, b"")
        arrived.release()

    inbox = f"_INBOX.{user}.{ASKED}"
    await client.subscribe(inbox, cb=answer)
    for reply in (*STORED, *LIVE, *HARMFUL[:-1]):  # NATS delivers nothing of a client's with the reply of an ACK
        if may_publish(user, reply):
            continue
        await client.publish(inbox, b"", reply)
        if may_publish(user, inbox):
            async with asyncio.timeout(5):
                await arrived.acquire()
    await _settle(client)
    await _nothing_happened(world, before, user)


async def test_no_consumer_delivers_where_it_may_not(world: World) -> None:
    """A push consumer of an observer delivers to none of these subjects, with bodies or without."""
    before = await world.stored()
    observer, emptier = await world.client("observer"), await world.client(EMPTIER)
    api = f"$JS.agentlink.API.CONSUMER.CREATE.{subjects.LOG_STREAM}"
    for number, target in enumerate((*STORED, *LIVE, *HARMFUL, *ENDPOINTS)):
        name = f"c{number}"
        config: dict[str, Any] = {
            "name": name,
            "filter_subject": subjects.ALL_EVENTS,
            "ack_policy": "none",
            "deliver_subject": target,
        }
        config |= {"headers_only": bool(number % 2), "idle_heartbeat": 100_000_000}
        body = json.dumps({"stream_name": subjects.LOG_STREAM, "config": config}).encode()
        await observer.request(f"{api}.{name}.{subjects.ALL_EVENTS}", body, timeout=5)
        if number % 16 == 15:  # not more than the account allows
            await asyncio.sleep(0.3)
            for old in range(number - 15, number + 1):
                await emptier.request(f"$JS.API.CONSUMER.DELETE.{subjects.LOG_STREAM}.c{old}", b"", timeout=5)
    await _settle(observer)
    await _nothing_happened(world, before, "observer")


async def _settle(client: Client) -> None:
    await client._flush_pending(force_flush=True)
    await client.flush()
    await asyncio.sleep(0.5)  # for answers of answers


async def _nothing_happened(world: World, before: dict[str, Any], user: str) -> None:
    async def told() -> bool:
        return bool(await world.stored())

    await eventually_async(told, "the streams are there")
    now = await world.stored()
    for stream, (kept, held) in now.items():
        own = user == "observer" and stream == subjects.LOG_STREAM  # where it may have consumers
        assert kept[: 2 if own else 3] == before[stream][0][: 2 if own else 3], f"{stream} is another one"
        news = {name for name in held if held[name] != before[stream][1].get(name)} - allowed(user, "publish")
        assert not news, f"{stream} has {sorted(news)}"
        assert not before[stream][1].keys() - held.keys(), f"{stream} lost what was in it"
    # In its own account a service may ask itself what it wants. But rooms are heard from the stream alone.
    assert not [(who, what) for who, what in world.heard if who != user or what.startswith(ROOM_LOG.live)]
