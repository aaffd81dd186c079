"""Decodes a client's text to a message, or to the error that answers it (docs/protocol.md, section 2).

The messages themselves belong to the features that handle them (services/gateway). They are `Strict`: an unknown field is
an error. The messages to clients are in shared/wire/pushes.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Annotated, Any, get_args

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from shared.values import field_faults
from shared.values.errors import Code, Refused
from shared.values.ids import RoomIdField
from shared.values.model import Strict
from shared.wire import strict_json

RequestId = Annotated[str, StringConstraints(min_length=1, max_length=64)]
To = Annotated[str, StringConstraints(min_length=1, max_length=64)]  # a participant's id
RoomRef = RoomIdField | None  # None means the only room that the session is in


class ClientMessage(Strict):
    """The base of every message from a client. Each message also has a `type` of one or several literals."""

    id: RequestId | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of a message that an error repeats, so that the client knows which message it answers."""

    id: str | None
    details: dict[str, Any]


NOBODY = Address(None, {})


class BadMessage(Refused):
    """A message that cannot be understood."""

    def __init__(self, message: str, about: Address) -> None:
        super().__init__(Code.BAD_MESSAGE, message, details={} if about.id else about.details)
        self.about = about


def types_of(message: type[ClientMessage]) -> tuple[str, ...]:
    """The values that the `type` of a message may have."""
    return get_args(message.model_fields["type"].annotation)


class Decoder:
    """Decodes the messages it was made for, and no others."""

    def __init__(self, messages: Iterable[type[ClientMessage]]) -> None:
        self.messages = tuple(messages)
        self.types = frozenset(type_ for message in self.messages for type_ in types_of(message))
        union: Any = reduce(or_, self.messages)
        by_type: Any = Annotated[union, Field(discriminator="type")] if len(self.messages) > 1 else union
        self._adapter: TypeAdapter[ClientMessage] = TypeAdapter(by_type)

    def decode(self, text: str) -> ClientMessage:
        """A client's message. Raises BadMessage, with as much of the message's address as could be read."""
        try:
            value = strict_json.loads_exact(text)
        except strict_json.InvalidJson as error:
            raise BadMessage(str(error), NOBODY) from None
        if not isinstance(value, dict):
            raise BadMessage("a message is a JSON object", NOBODY)
        try:
            return self._adapter.validate_python(value, by_alias=True, by_name=False)
        except ValidationError as error:
            raise BadMessage(_sentence(error), self.address(value)) from None

    def address(self, value: dict[str, Any]) -> Address:
        """The address of a message that could not be decoded. It contains only well-formed values."""
        id_, type_ = value.get("id"), value.get("type")
        details: dict[str, Any] = {"type": type_} if isinstance(type_, str) and type_ in self.types else {}
        for key in ("to", "roomId"):
            named = value.get(key)
            if isinstance(named, str) and 0 < len(named) <= 64:
                details[key] = named
        return Address(id_ if isinstance(id_, str) and 0 < len(id_) <= 64 else None, details)


def address_of(message: ClientMessage) -> Address:
    """The address of a decoded message."""
    details = {"type": getattr(message, "type", None)}
    for wire, name in (("to", "to"), ("roomId", "room_id")):
        value = getattr(message, name, None)
        if value is not None:
            details[wire] = value
    return Address(message.id, details)


def _sentence(error: ValidationError) -> str:
    problem = error.errors(include_input=False, include_url=False)[0]
    if problem["type"].startswith("union_tag"):
        return "the type is missing or unknown"
    # The first part of the location is the message's type. Never repeat a key that the client made up.
    where = ".".join(str(part) for part in problem["loc"][1:])
    if problem["type"] == "extra_forbidden":
        return "there is a field that this message does not have"
    fault = field_faults.sentence(problem)
    return f"{where}: {fault}" if where else f"the message {fault}"
