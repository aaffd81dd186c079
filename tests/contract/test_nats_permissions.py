"""What each NATS user can and cannot do (deploy/nats/accounts.conf), tried on a real server."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from structlog.testing import capture_logs

from services.launcher.embedded_nats import EmbeddedNats
from shared.broker import subjects
from shared.broker.nats import ports as nats_ports
from shared.broker.nats.connection import Broker, BrokerError
from shared.broker.ports import Ports
from shared.broker.subjects import event_log, room_log
from shared.rooms.events import decode
from shared.values.errors import Refused
from shared.values.ids import RoomId
from tests.support.broker import ContainerNats, connector, over_nats
from tests.support.logs import begin, signal
from tests.support.patience import eventually
from tests.support.timers import Taker

A = RoomId("room-a")


@dataclass
class Stranger:
    """A plain NATS connection as one of the users, and what the server would not let it do."""

    client: Client
    errors: list[str] = field(default_factory=list)

    async def on_error(self, error: Exception) -> None:
        self.errors.append(str(error).lower())

    async def settle(self) -> None:
        """A round trip behind everything sent before. (nats-py's flush overtakes what is not written yet.)"""
        await self.client._flush_pending(force_flush=True)
        await self.client.flush()

    async def is_refused(self, kind: str, subject: str) -> None:
        """Try, and wait until the server says by name that this is not allowed."""
        if kind == "publish":
            await self.client.publish(subject, b"[]")
        else:
            await self.client.subscribe(subject)
        names = {f'"{name.lower()}"' for name in (subject, subject.replace(".room.", ".nowhere."))}  # by its mapping
        await eventually(
            lambda: any(
                "permissions violation" in said and any(name in said for name in names) for said in self.errors
            ),
            f"{subject} is refused",
            within=5,
        )


class Server:
    """One server with its streams, and whoever wants to connect."""

    def __init__(self, url: str, passwords: dict[str, str], rooms: Ports, gateway: Ports) -> None:
        self.url, self.passwords, self.rooms, self.gateway = url, passwords, rooms, gateway
        self.strangers: list[Stranger] = []

    async def stranger(self, user: str) -> Stranger:
        stranger = Stranger(Client())
        self.strangers.append(stranger)
        await stranger.client.connect(
            self.url,
            user=user,
            password=self.passwords[user],
            inbox_prefix=f"_INBOX.{user}",
            error_cb=stranger.on_error,
        )
        return stranger


@pytest.fixture
async def server(empty_nats: EmbeddedNats | ContainerNats) -> AsyncIterator[Server]:
    make = connector(empty_nats.url, empty_nats.passwords)
    rooms, gateway = await make("rooms"), await make("gateway")
    server = Server(empty_nats.url, empty_nats.passwords, rooms, gateway)
    yield server
    for stranger in server.strangers:
        await stranger.client.close()
    await gateway.connection.close()
    await rooms.connection.close()


async def test_an_observer_watches_events_live(server: Server) -> None:
    """It hears every change of every room, after it was committed, and no signal."""
    observer = await server.stranger("observer")
    heard: list[Msg] = []

    async def hear(message: Msg) -> None:
        heard.append(message)

    await observer.client.subscribe("agentlink.room.*.event", cb=hear)
    await observer.settle()
    await server.gateway.signals.post(signal(A))
    await begin(server.rooms, A)
    await eventually(lambda: bool(heard), "the event is heard")
    assert [message.subject for message in heard] == ["agentlink.room.room-a.event"]
    assert [event.type for event in decode(heard[0].data)] == ["created"]
    assert observer.errors == []


async def test_an_observer_reads_the_durable_log(server: Server) -> None:
    """With a consumer of its own it reads what happened before it came, acknowledges it, and goes on from there."""
    first = await begin(server.rooms, A)
    observer = await server.stranger("observer")
    stream = observer.client.jetstream(domain="agentlink")
    consumer = await stream.pull_subscribe("agentlink.log.*.event", durable="billing", stream="ROOMS")
    (message,) = await consumer.fetch(1, timeout=5)
    assert decode(message.data)[0].room_id == A
    await message.ack_sync(timeout=5)
    await begin(server.rooms, "room-b")
    await begin(server.rooms, A, after=first)
    rooms = [decode(message.data)[0].room_id for message in await consumer.fetch(2, timeout=5)]
    assert rooms == ["room-b", A]
    assert observer.errors == []


async def test_observers_use_up_no_consumers_of_rooms(server: Server) -> None:
    """An observer makes consumers until NATS refuses; rooms lists its rooms and takes its timers all the same."""
    await begin(server.rooms, A)
    observer = await server.stranger("observer")
    refused = None
    for number in range(1000):
        name = f"c{number}"
        config = {
            "name": name,
            "durable_name": name,
            "filter_subject": "agentlink.log.*.event",
            "ack_policy": "explicit",
        }
        made = await observer.client.request(
            f"$JS.agentlink.API.CONSUMER.CREATE.ROOMS.{name}.agentlink.log.*.event",
            json.dumps({"stream_name": "ROOMS", "config": config}).encode(),
            timeout=5,
        )
        refused = json.loads(made.data).get("error")
        if refused:
            break
    assert refused is not None
    assert refused["description"] == "maximum consumers limit reached"
    assert [entry.room_id for entry in await server.rooms.room_log.newest_of_each(subjects.ALL_EVENTS)] == [A]
    taking = await server.rooms.timers.take(Taker().handle, 1.0)
    await taking.stop()


@pytest.mark.parametrize(
    ("user", "kind", "subject"),
    [
        # signals are for gateways only
        ("observer", "subscribe", "agentlink.room.room-a.signal.p_bob"),
        ("observer", "subscribe", "agentlink.room.*.signal.*"),
        ("observer", "subscribe", "agentlink.room.>"),
        ("observer", "subscribe", "agentlink.>"),
        ("observer", "subscribe", ">"),
        ("observer", "subscribe", "_INBOX.gateway.>"),
        ("rooms", "subscribe", "agentlink.room.*.signal.*"),
        ("rooms", "subscribe", "agentlink.room.>"),
        # the private half of a snapshot is for rooms only
        ("observer", "subscribe", "agentlink.room.*.state"),
        ("observer", "publish", "agentlink.log.room-a.state"),
        ("observer", "publish", "$JS.agentlink.API.CONSUMER.CREATE.ROOMS.x.agentlink.log.*.state"),
        ("gateway", "publish", "agentlink.log.room-a.state"),
        ("auth", "publish", "agentlink.log.room-a.state"),
        # the names of leases are their gateways' own
        ("gateway", "subscribe", "agentlink.lease.set.*"),
        ("gateway", "publish", "agentlink.lease.due.x"),
        ("gateway", "publish", "agentlink.lease.mark"),
        ("gateway", "publish", "$JS.API.STREAM.INFO.LEASES"),
        ("gateway", "publish", "$JS.API.STREAM.MSG.GET.LEASES"),
        ("gateway", "publish", "$JS.API.DIRECT.GET.LEASES"),
        ("gateway", "publish", "$JS.API.DIRECT.GET.LEASES.agentlink.lease.set.x"),
        ("gateway", "publish", "$JS.API.CONSUMER.CREATE.LEASES.x"),
        ("gateway", "publish", "$JS.API.STREAM.PURGE.LEASES"),
        ("gateway", "publish", "$JS.API.STREAM.DELETE.LEASES"),
        ("auth", "publish", "agentlink.lease.set.x"),
        # core subscribers of the log also see what the stream refused
        ("observer", "subscribe", "agentlink.log.*.event"),
        ("gateway", "subscribe", "agentlink.log.>"),
        ("rooms", "subscribe", "agentlink.log.>"),
        # an observer changes nothing and asks nothing
        ("observer", "publish", "agentlink.log.room-a.event"),
        ("observer", "publish", "agentlink.log.room-a.signal.p_bob"),
        ("observer", "publish", "agentlink.rooms.join"),
        ("observer", "publish", "agentlink.auth.validate"),
        ("observer", "publish", "agentlink.snapshot.room-a"),
        ("observer", "publish", "$JS.agentlink.API.STREAM.DELETE.ROOMS"),
        ("observer", "publish", "$JS.agentlink.API.STREAM.PURGE.ROOMS"),
        ("observer", "publish", "$JS.agentlink.API.DIRECT.GET.ROOMS"),
        ("observer", "publish", "$JS.agentlink.API.STREAM.MSG.GET.ROOMS"),
        ("observer", "publish", "$JS.agentlink.API.CONSUMER.CREATE.ROOMS"),
        ("observer", "publish", "$JS.agentlink.API.CONSUMER.CREATE.ROOMS.x"),
        ("observer", "publish", "$JS.agentlink.API.CONSUMER.CREATE.ROOMS.x.agentlink.log.*.signal.*"),
        ("observer", "publish", "$JS.agentlink.API.CONSUMER.CREATE.ROOMS.x.agentlink.log.>"),
        ("observer", "publish", "_INBOX.gateway.x"),
        # only rooms writes events, only gateways write signals, only the stream tells
        ("gateway", "publish", "agentlink.log.room-a.event"),
        ("gateway", "publish", "agentlink.snapshot.room-a"),
        ("gateway", "publish", "$JS.API.STREAM.DELETE.ROOMS"),
        ("gateway", "publish", "$JS.API.STREAM.PURGE.ROOMS"),
        ("rooms", "publish", "agentlink.log.room-a.signal.p_bob"),
        ("rooms", "publish", "$JS.API.STREAM.DELETE.ROOMS"),
        *(
            (user, "publish", f"agentlink.room.room-a.{end}")
            for user in ("gateway", "rooms", "auth", "observer")
            for end in ("event", "signal.p_bob")
        ),
        # nobody answers in another's name
        ("gateway", "subscribe", "agentlink.auth.validate"),
        ("rooms", "subscribe", "agentlink.auth.validate"),
        ("auth", "subscribe", "agentlink.rooms.join"),
        ("observer", "subscribe", "agentlink.auth.validate"),
        # credentials for relays are for gateways to ask, and to hear
        *((user, "publish", "agentlink.auth.ice_servers") for user in ("observer", "rooms", "auth")),
        *((user, "subscribe", "_INBOX.gateway.>") for user in ("rooms", "auth")),
        # auth sees nothing of rooms
        ("auth", "subscribe", "agentlink.room.*.event"),
        ("auth", "subscribe", "agentlink.room.>"),
        ("auth", "subscribe", "agentlink.log.>"),
        ("auth", "publish", "$JS.API.DIRECT.GET.ROOMS"),
        ("auth", "publish", "$JS.API.STREAM.INFO.ROOMS"),
        ("auth", "publish", "agentlink.rooms.join"),
        ("auth", "publish", "agentlink.log.room-a.event"),
    ],
)
async def test_what_is_not_allowed(server: Server, user: str, kind: str, subject: str) -> None:
    """The server refuses it by name, and nothing of it reaches the log."""
    stranger = await server.stranger(user)
    await stranger.is_refused(kind, subject)
    assert await server.rooms.room_log.read(room_log(A), limit=10) == []


async def test_a_denied_publish_changes_nothing(server: Server) -> None:
    """What a gateway tries to append to a room's events is not stored, and the gateway's connection fails for good."""
    ports = await nats_ports.connect(Broker(server.url, "gateway", server.passwords["gateway"], 0.5), "test")
    with pytest.raises(Refused):
        await begin(ports, A)
    await eventually(over_nats(ports).failed.done, "the connection says that it is of no use")
    failure = over_nats(ports).failed.exception()
    assert isinstance(failure, BrokerError)
    assert "'gateway' lacks a permission" in str(failure)
    await ports.connection.close()
    assert await server.rooms.room_log.read(event_log(A), limit=10) == []


@pytest.mark.parametrize("inbox", ["_R_.late.answer", "_INBOX.gateway.late"])
async def test_an_answer_that_comes_too_late_is_not_fatal(server: Server, inbox: str) -> None:
    """Rooms may answer for thirty seconds; a broker that does not store can keep it longer. It goes on."""
    ports = await nats_ports.connect(Broker(server.url, "rooms", server.passwords["rooms"], 0.5), "test")
    with capture_logs() as logs:
        await over_nats(ports).client.publish(inbox, b"{}")
        await eventually(
            lambda: any(line["event"].startswith("an answer came too late") for line in logs), "it is said"
        )
    assert not over_nats(ports).failed.done()
    await begin(ports, A)
    await over_nats(ports).client.publish("_INBOX.rooms_and_more", b"{}")
    await over_nats(ports).client.publish("agentlink.nobodys", b"{}")
    await eventually(over_nats(ports).failed.done, "something else is fatal")
    assert "agentlink.nobodys" in str(over_nats(ports).failed.exception())
    await ports.connection.close()


async def test_a_denied_subscription_is_fatal(server: Server) -> None:
    """A topic one may not follow would be silent for ever; the process is told to end instead."""
    ports = await nats_ports.connect(Broker(server.url, "auth", server.passwords["auth"], 0.5, logs=()), "test")
    await ports.room_log.follow(subjects.ALL_EVENTS, lambda _: None, lambda: None)
    await eventually(over_nats(ports).failed.done, "the connection says that it is of no use")
    assert isinstance(over_nats(ports).failed.exception(), BrokerError)
    await ports.connection.close()
