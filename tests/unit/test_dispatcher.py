"""The table of messages: what a feature may not put into it, and how requests that come again are answered."""

from typing import Any, Literal, cast

import pytest

from services.gateway.session.dispatcher import Dispatcher
from services.gateway.session.feature import Feature, Handled, Inline, Repeated, Reply, Request, SessionHandle
from services.gateway.session.idempotency import DoneRequests
from shared.values.errors import Code, Refused
from shared.wire.protocol import BadMessage, ClientMessage


class Wave(ClientMessage):
    """A message of a feature of this test's."""

    type: Literal["wave", "wink"]


class Session:
    """What is sent, in order, and whether the client was waited for."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, payload: bytes, *, counted: bool = True) -> None:
        """See SessionHandle."""
        self.sent.append(payload.decode() + ("" if counted else " uncounted"))

    async def flowing(self) -> None:
        """See SessionHandle."""
        self.sent.append("flowing")


async def nothing(_session: Any, _request: Request[Wave]) -> None:
    """Answered `ok`."""


async def itself(session: Any, _request: Request[Wave]) -> Reply:
    """Answered by a reply, after which something happens."""
    return Reply(b"hello", then=lambda: session.sent.append("then"), counted=False)


def dispatcher(*rows: Handled[Any] | Inline[Any]) -> Dispatcher:
    """With one feature."""
    return Dispatcher([Feature("waving", rows)])


async def answers(to: Dispatcher, *texts: str) -> list[str]:
    """What a session is sent for these messages."""
    session, done = Session(), DoneRequests()
    for text in texts:
        try:
            await to.answer(cast("SessionHandle", session), done, Request(to.decode(text), text), lambda _fits: None)
        except Refused as refused:
            session.sent.append(refused.code)
    return session.sent


def test_the_decoder_knows_what_is_registered_and_nothing_else() -> None:
    """Every type that a feature names is decoded; the types of other features are unknown."""
    waving = dispatcher(Handled(Wave, nothing))
    assert [waving.decode(f'{{"type": "{type_}"}}').model_dump()["type"] for type_ in ("wave", "wink")] == [
        "wave",
        "wink",
    ]
    with pytest.raises(BadMessage, match="missing or unknown"):
        dispatcher(Handled(Wave, nothing), Handled(Other, nothing)).decode('{"type": "ping"}')


class Other(ClientMessage):
    """Another message."""

    type: Literal["other"]


def test_a_message_has_one_handler() -> None:
    """Two features cannot have the same message."""
    with pytest.raises(ValueError, match="waving: Wave is handled by another feature too"):
        dispatcher(Handled(Wave, nothing), Inline(Wave, lambda _session, _message: cast("Any", None)))


def test_who_answers_itself_says_what_asking_again_does() -> None:
    """A handler with a reply of its own cannot leave the row's default: asked again, its client would get `ok`."""
    with pytest.raises(ValueError, match="waving: Wave is answered by its handler"):
        dispatcher(Handled(Wave, itself))
    dispatcher(Handled(Wave, itself, repeated=Repeated.REDO))


async def test_asked_again() -> None:
    """What was done is `ok` again without being done; what says so is done again; the id of another request is refused."""
    once, other = '{"type": "wave", "id": "1"}', '{"type": "wink", "id": "1"}'
    ok = '{"type":"ok","id":"1"}'
    assert await answers(dispatcher(Handled(Wave, nothing)), once, once, other) == [ok, ok, Code.BAD_MESSAGE]
    redone = dispatcher(Handled(Wave, itself, repeated=Repeated.REDO, paced=True))
    said = ["flowing", "hello uncounted", "then"]
    assert await answers(redone, once, once, other) == [*said, *said, Code.BAD_MESSAGE]
    anew = dispatcher(Handled(Wave, itself, repeated=Repeated.ANEW))
    assert await answers(anew, once, other) == ["hello uncounted", "then"] * 2
