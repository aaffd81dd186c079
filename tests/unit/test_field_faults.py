"""What is wrong with a field is said in our own words, whatever a client sends."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from services.gateway.features import FEATURES
from services.gateway.rest import models
from services.gateway.settings import GatewaySettings
from shared.runtime.settings import SettingsError
from shared.values import field_faults
from shared.values.model import Strict
from shared.wire.protocol import BadMessage, Decoder, types_of

DECODER = Decoder([handled.message for feature in FEATURES for handled in feature.handled])
BODIES = [
    one for one in vars(models).values() if isinstance(one, type) and issubclass(one, Strict) and one is not Strict
]
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
    | st.sampled_from(["x" * 200, "voice", "room-1", "\u3164", "\ud800", -1, 0, 1e300, 1.5, "on"])
)  # fmt: skip
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner), max_leaves=4
)
PYDANTICS = (
    "Input should",
    "Field required",
    "String should",
    "Value error",
    "Extra inputs",
    "Unable",
    "valid integer",
)


def said_of(model: type[BaseModel], body: object) -> list[str]:
    """The sentences about this body."""
    try:
        model.model_validate(body)
    except ValidationError as error:
        return [field_faults.sentence(problem) for problem in error.errors()]
    return []


@given(st.sampled_from(BODIES), st.data())
@settings(max_examples=400)
def test_bodies(model: type[Strict], data: st.DataObject) -> None:
    """Every fault of a REST body has words of ours, and none of pydantic's."""
    names = [field.alias or name for name, field in model.model_fields.items()]
    body = data.draw(st.dictionaries(st.sampled_from([*names, "other"]), VALUES) | VALUES)
    for sentence in said_of(model, body):
        assert sentence != field_faults.OTHER, body
        assert not any(words in sentence for words in PYDANTICS)


@given(st.sampled_from(DECODER.messages), st.data())
@settings(max_examples=400)
def test_messages(message: type[Strict], data: st.DataObject) -> None:
    """The same of every message that a client may send."""
    names = [field.alias or name for name, field in message.model_fields.items() if name != "type"]
    fields = data.draw(st.dictionaries(st.sampled_from([*names, "other"]), VALUES))
    text = json.dumps({"type": types_of(message)[0], **fields})  # type: ignore[arg-type]
    said = ""
    try:
        DECODER.decode(text)
    except BadMessage as bad:
        said = bad.message
    assert field_faults.OTHER not in said
    assert not any(words in said for words in PYDANTICS)


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("PARLEY_PORT", "http", "PARLEY_PORT: must be an integer"),
        ("PARLEY_PORT", "70000", "PARLEY_PORT: must be at most 65535"),
        ("PARLEY_PING_SECONDS", "0", "PARLEY_PING_SECONDS: must be above 0"),
        ("PARLEY_PING_SECONDS", "soon", "PARLEY_PING_SECONDS: must be a finite number"),
        ("PARLEY_GUEST_ACCESS", "perhaps", "PARLEY_GUEST_ACCESS: must be true or false"),
        ("PARLEY_MODE", "test", "PARLEY_MODE: must be .*"),
    ],
)
def test_settings(variable: str, value: str, sentence: str) -> None:
    """Operators read the same words about their settings."""
    with pytest.raises(SettingsError, match=sentence):
        GatewaySettings.read({"PARLEY_MODE": "development", variable: value})


def test_a_type_that_is_not_known_here() -> None:
    """A fault of a pydantic that is newer than our table is still a sentence, and still not pydantic's."""
    assert field_faults.sentence({"type": "from_the_future", "msg": "Input should be new"}) == field_faults.OTHER
