"""What other tools see of our services on NATS: micro's discovery, statistics and schemas."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from services.auth.handlers import AuthHandlers, endpoints
from services.auth.jwks import key_source
from services.auth.settings import AuthSettings
from services.rooms.admission import Admission
from services.rooms.storage_watch import StorageWatch
from shared.broker import subjects
from shared.broker.nats import ports as nats_ports
from shared.broker.nats.connection import Broker
from shared.broker.nats.streams import Streams
from shared.broker.ports import Ports
from shared.broker.requests import Service
from shared.rooms.reserve import Thresholds
from shared.values.errors import Refused
from shared.values.ids import RoomId
from shared.version import __version__
from tests.support.broker import over_nats
from tests.support.open_nats import OpenNats
from tests.support.orders import OWNER, create
from tests.support.rooms import rooms_handlers


@pytest.fixture
async def ports(tmp_path: Path) -> AsyncIterator[Ports]:
    """Both services on a server without accounts, so that the test may ask anything."""
    server = OpenNats(tmp_path / "nats")
    await server.start()
    ports = await nats_ports.connect(Broker(server.url, None, None, 5.0, streams=Streams(1 << 26)), "test")
    handlers, directory = await rooms_handlers(ports)
    watch = StorageWatch(ports.storage, Admission(), Thresholds(), None)
    answered = [*handlers.endpoints(), (subjects.READ_RESERVE, watch.told)]
    await ports.requests.serve(Service("rooms", "Owns membership.", answered))
    settings = AuthSettings(mode="development")
    auth = AuthHandlers(settings, key_source(settings), clock=lambda: 0.0, chance=bytes)
    await ports.requests.serve(Service("auth", "Owns keys.", endpoints(auth)))
    yield ports
    await directory.stop()
    await ports.connection.close()
    await server.stop()


async def ask_all(ports: Ports, subject: str, answers: int) -> list[dict[str, Any]]:
    """Ask everybody, and take so many answers."""
    inbox = over_nats(ports).client.new_inbox()
    subscription = await over_nats(ports).client.subscribe(inbox)
    await over_nats(ports).client.publish(subject, b"", reply=inbox)
    got = [json.loads((await subscription.next_msg(timeout=5)).data) for _ in range(answers)]
    await subscription.unsubscribe()
    return got


async def test_services_answer_ping(ports: Ports) -> None:
    """`$SRV.PING` finds both services, each with the version of this release; by name one of them."""
    found = {answer["name"]: answer["version"] for answer in await ask_all(ports, "$SRV.PING", 2)}
    assert found == {"rooms": __version__, "auth": __version__}
    (rooms,) = await ask_all(ports, "$SRV.PING.rooms", 1)
    assert rooms["type"] == "io.nats.micro.v1.ping_response"


async def test_services_describe_themselves(ports: Ports) -> None:
    """`$SRV.INFO` lists every endpoint on its subject, with a sentence and valid JSON Schemas of request and reply."""
    listed = {}
    for service in await ask_all(ports, "$SRV.INFO", 2):
        assert service["description"]
        for endpoint in service["endpoints"]:
            listed[endpoint["subject"]] = endpoint
            assert endpoint["queue_group"] == service["name"]
            assert len(endpoint["metadata"]["description"]) > 10
            for schema in ("request_schema", "reply_schema"):
                jsonschema.Draft202012Validator.check_schema(json.loads(endpoint["metadata"][schema]))
    ours = [value for value in vars(subjects).values() if isinstance(value, subjects.Endpoint)]
    assert set(listed) == {endpoint.subject for endpoint in ours}


async def test_schemas_fit_what_is_said(ports: Ports) -> None:
    """A request and its reply, as they travel, are valid by the schemas that `$SRV.INFO` tells."""
    (rooms,) = await ask_all(ports, "$SRV.INFO.rooms", 1)
    told = next(e["metadata"] for e in rooms["endpoints"] if e["subject"] == subjects.CREATE_ROOM.subject)
    request = create("r1").model_dump_json(by_alias=True)
    jsonschema.validate(json.loads(request), json.loads(told["request_schema"]))
    answer = await over_nats(ports).client.request(subjects.CREATE_ROOM.subject, request.encode(), timeout=5)
    assert answer.headers is None
    jsonschema.validate(json.loads(answer.data), json.loads(told["reply_schema"]))


async def test_statistics_count_questions_and_bugs(ports: Ports) -> None:
    """`$SRV.STATS` counts what was asked; a refusal is an answer, not an error of the endpoint."""
    await ports.requests.request(subjects.CREATE_ROOM, create("r1"))
    for _ in range(3):
        with pytest.raises(Refused):
            await ports.requests.request(subjects.CREATE_ROOM, create("r1", operation="other"))
    (rooms,) = await ask_all(ports, "$SRV.STATS.rooms", 1)
    stats = next(e for e in rooms["endpoints"] if e["subject"] == subjects.CREATE_ROOM.subject)
    assert (stats["num_requests"], stats["num_errors"]) == (4, 0)


async def test_errors_travel_as_micro_defines_them(ports: Ports) -> None:
    """Code and sentence stand in micro's headers, where any client of NATS micro looks for them; details in the body."""
    await ports.requests.request(subjects.CREATE_ROOM, create("r1"))
    taken = create("r1", operation="other").model_dump_json(by_alias=True).encode()
    answer = await over_nats(ports).client.request(subjects.CREATE_ROOM.subject, taken, timeout=5)
    assert answer.headers is not None
    assert answer.headers["Nats-Service-Error-Code"] == "room_exists"
    assert answer.headers["Nats-Service-Error"] == "this roomId is taken"
    assert json.loads(answer.data) == {"details": {}, "retryAfterMs": None}


async def test_nonsense_is_a_bad_message(ports: Ports) -> None:
    """Whatever bytes are sent to an endpoint, the answer is a refusal, at once."""
    for body in (b"", b"\xff\xfe", b"[]", b"null", b"{", b'{"roomId":{}}', b"[" * 10000):
        answer = await over_nats(ports).client.request(subjects.ADD_PARTICIPANT.subject, body, timeout=5)
        assert (answer.headers or {}).get("Nats-Service-Error-Code") == "bad_message", body[:10]


async def test_two_services_in_one_process_are_asked_apart(ports: Ports) -> None:
    """Many rooms created at once are all answered, each with its own."""
    names = [f"r{n}" for n in range(50)]
    states = await asyncio.gather(*(ports.requests.request(subjects.CREATE_ROOM, create(name)) for name in names))
    assert [state.room.room_id for state in states] == [RoomId(name) for name in names]
    assert {state.room.created_by for state in states} == {OWNER.agent_id}
