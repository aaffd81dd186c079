"""docs/protocol.md against the code: every example parses, every type and code is there."""

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jwt
import pytest
from pydantic import BaseModel, TypeAdapter

from services.auth.keys import KeyRing
from services.auth.tokens import TokenRules, check_token
from services.gateway.features import FEATURES
from services.gateway.rest import models, problems
from shared.auth import commands as auth_commands
from shared.rooms import commands, events
from shared.rooms import model as room
from shared.values.errors import CloseCode, Code
from shared.wire import protocol, pushes, strict_json

DOCUMENT = (Path(__file__).parent.parent.parent / "docs" / "protocol.md").read_text()
DECODER = protocol.Decoder(handled.message for feature in FEATURES for handled in feature.handled)
SECRET = b"a secret of this test's own, long enough"
RULES = TokenRules(issuer="agent-link", audience="agent-link", leeway=0, max_life=86400, default_permissions=())
FENCE = re.compile(r"^```json ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def texts(block: str) -> Iterator[str]:
    """The JSON texts of a block, one after the other."""
    decoder, at = json.JSONDecoder(), 0
    while block[at:].strip():
        at += len(block[at:]) - len(block[at:].lstrip())
        _, end = decoder.raw_decode(block, at)
        yield block[at:end]
        at = end


EXAMPLES = [(kind, text) for kind, block in FENCE.findall(DOCUMENT) for text in texts(block)]
MODELS: dict[str, type[BaseModel]] = {
    name: model
    for module in (models, problems, room, commands, auth_commands)
    for name, model in inspect.getmembers(module, inspect.isclass)
    if issubclass(model, BaseModel)
}


def types_of(model: type[BaseModel]) -> tuple[str, ...]:
    return get_args(model.model_fields["type"].annotation)


PUSHES = {type_: push for push in pushes.Push.kinds() for type_ in types_of(push)}


def unknown(given: Any, parsed: Any, path: str = "") -> list[str]:
    """What an example has and its model has not, by path."""
    if isinstance(given, dict) and isinstance(parsed, dict):
        return [
            found
            for key, value in given.items()
            for found in (unknown(value, parsed[key], f"{path}.{key}") if key in parsed else [f"{path}.{key}"])
        ]
    if isinstance(given, list) and isinstance(parsed, list):
        return [found for g, p in zip(given, parsed, strict=True) for found in unknown(g, p, f"{path}[]")]
    return []


def fits(model: type[BaseModel], text: str) -> None:
    """It is an instance of the model, and has no field that the model has not, at any depth."""
    parsed = model.model_validate_json(text, by_alias=True, by_name=False)
    assert not unknown(json.loads(text), parsed.model_dump(mode="json", by_alias=True))


def parse(kind: str, text: str) -> None:
    """Raises if the text is not what its kind says."""
    value = strict_json.loads(text)
    match kind.split(":"):
        case ["client"]:
            DECODER.decode(text)
        case ["server"]:
            fits(PUSHES[value["type"]], text)
        case ["rest" | "nats", name]:
            fits(MODELS[name], text)
        case ["event"]:
            assert [event.cloud_event() for event in events.decode(text.encode())] == value
        case ["claims"]:
            token = jwt.encode(value, SECRET, algorithm="HS256")
            check_token(token, KeyRing.from_secret(SECRET), RULES, value["iat"])
        case _:
            raise AssertionError(f"a JSON block needs to say what it is, not {kind!r}")


@pytest.mark.parametrize(("kind", "text"), EXAMPLES, ids=[f"{i}-{kind}" for i, (kind, _) in enumerate(EXAMPLES)])
def test_examples_parse(kind: str, text: str) -> None:
    """The code that runs takes the example, and knows every field of it."""
    parse(kind, text)


@pytest.mark.parametrize(("kind", "text"), EXAMPLES, ids=[f"{i}-{kind}" for i, (kind, _) in enumerate(EXAMPLES)])
def test_an_unknown_field_would_be_found(kind: str, text: str) -> None:
    """The test above fails for an example with a field that does not exist. (Tokens may have claims of others.)"""
    value = json.loads(text)
    if kind == "claims":
        return
    (value[0] if isinstance(value, list) else value)["notAField"] = 1
    with pytest.raises((ValueError, AssertionError, protocol.BadMessage)):
        parse(kind, json.dumps(value))


def test_every_message_is_shown() -> None:
    """Each message a client may send, and each it may be sent, has an example."""
    shown = {kind: {json.loads(text)["type"] for k, text in EXAMPLES if k == kind} for kind in ("client", "server")}
    assert shown["client"] == DECODER.types
    assert shown["server"] == PUSHES.keys()


def test_every_event_is_named() -> None:
    """Each type of room event is named."""
    for type_ in get_args(events.EventType):
        assert f"`.{type_}`" in DOCUMENT or f"`{events.TYPE_PREFIX}{type_}`" in DOCUMENT


@pytest.mark.parametrize("code", [str(code) for code in Code])
def test_every_error_code_is_named(code: str) -> None:
    """Each stable code is explained somewhere, or said to be reserved."""
    assert f"`{code}`" in DOCUMENT


@pytest.mark.parametrize("code", [*map(int, CloseCode), 1007, 1009])
def test_every_close_code_is_named(code: int) -> None:
    """Each close code has its row in the table."""
    (table,) = re.findall(r"^### Close codes$(.*?)^## ", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert re.search(rf"^\| [^|]*\b{code}\b", table, re.MULTILINE)


def test_every_word_of_a_closed_set_is_named() -> None:
    """Reasons, roles, kinds and states that clients compare with are all on the page."""
    for words in (room.Kind, room.Role, room.RoomType, room.Access, room.LeaveReason, room.CloseReason, room.Topology):
        for word in get_args(words):
            assert f"`{word}`" in DOCUMENT, word
    assert TypeAdapter(room.ConnectionState).validate_python("reconnecting")
    assert "`reconnecting`" in DOCUMENT
