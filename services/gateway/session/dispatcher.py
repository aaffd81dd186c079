"""Finds the handler of each message in one table, which the features fill. Knows no feature."""

from collections.abc import Sequence
from types import NoneType
from typing import Any, get_type_hints

from services.gateway.session.feature import (
    ANSWERED,
    Batch,
    Feature,
    Handled,
    Inline,
    Repeated,
    Reply,
    Request,
    SessionHandle,
    TakeNext,
)
from services.gateway.session.idempotency import DoneRequests, Seen
from shared.values.errors import Code, Refused, internal_error
from shared.wire import pushes
from shared.wire.protocol import ClientMessage, Decoder, address_of


class Dispatcher:
    """The messages of these features. A process has one for all its sessions.

    Raises ValueError when two features handle the same message.
    """

    def __init__(self, features: Sequence[Feature]) -> None:
        self.features = features
        self._queued: dict[type[ClientMessage], Handled[Any]] = {}
        self._inline: dict[type[ClientMessage], Inline[Any]] = {}
        for feature in features:
            for row in feature.handled:
                if row.message in self._queued or row.message in self._inline:
                    raise ValueError(f"{feature.name}: {row.message.__name__} is handled by another feature too")
                if isinstance(row, Inline):
                    self._inline[row.message] = row
                else:
                    _check(feature, row)
                    self._queued[row.message] = row
        self._decoder = Decoder(row.message for feature in features for row in feature.handled)

    def decode(self, text: str) -> ClientMessage:
        """A client's message. Raises BadMessage."""
        return self._decoder.decode(text)

    def of(self, message: ClientMessage) -> Handled[Any] | Inline[Any]:
        """The table's entry for a message."""
        return self._inline.get(type(message)) or self._queued[type(message)]

    async def answer(
        self, session: SessionHandle, done: DoneRequests, request: Request[Any], take_next: TakeNext
    ) -> None:
        """Call the handler of a request, and send its reply. Raises Refused.

        `take_next` gives the request behind it, if that is to be handled together with it; then it is answered too.
        """
        handled, id_ = self._queued[type(request.message)], request.message.id
        remembered = id_ is not None and handled.repeated is not Repeated.ANEW
        if remembered and _again(done, request) and handled.repeated is Repeated.OK:
            return session.send(pushes.ok(request.message.id))
        if handled.paced:
            await session.flowing()
        if handled.together is not None:
            return await _answer_together(session, done, handled, request, take_next)
        reply = await handled.handle(session, request)
        if remembered:
            done.done(request.message.id, request.text)
        return _send(session, id_, reply)

    def unhandled(self, session: SessionHandle, message: ClientMessage) -> None:
        """The connection is gone before this message was handled: call the handler's `unhandled`, if it has one."""
        handled = self._queued.get(type(message))
        if handled is not None and handled.unhandled is not None:
            handled.unhandled(session, message)


async def _answer_together(
    session: SessionHandle, done: DoneRequests, handled: Handled[Any], first: Request[Any], take_next: TakeNext
) -> None:
    """Handle this request and those directly behind it, and answer them in their order. Raises Refused for the first."""

    def fits(request: Request[Any]) -> bool:
        new = request.message.id is None or done.seen(request.message.id, request.text) is Seen.NEW
        return new and handled.together is not None and handled.together(first.message, request.message)

    batch = Batch(first, take_next, fits)
    try:
        refusals: Sequence[Refused | None] = await handled.handle(session, batch)
    except Exception as error:
        refused = error if isinstance(error, Refused) else internal_error()
        for request in batch.requests[1:]:
            session.refuse(refused, address_of(request.message))
        raise
    for request, refusal in zip(batch.requests, refusals, strict=True):
        if refusal is not None:
            session.refuse(refusal, address_of(request.message))
        elif request.message.id is not None:
            done.done(request.message.id, request.text)
            session.send(pushes.ok(request.message.id))


def _check(feature: Feature, handled: Handled[Any]) -> None:
    """Refuse a row whose request, asked again, would be answered `ok` although its handler has a reply of its own."""
    if handled.together is not None:
        return
    if handled.repeated is Repeated.OK and get_type_hints(handled.handle).get("return") is not NoneType:
        name = f"{feature.name}: {handled.message.__name__}"
        raise ValueError(f"{name} is answered by its handler: say `repeated=Repeated.REDO` (or ANEW) in its row")


def _again(done: DoneRequests, request: Request[Any]) -> bool:
    seen = done.seen(request.message.id, request.text)
    if seen is Seen.TAKEN:
        raise Refused(Code.BAD_MESSAGE, "this id was used for another request")
    return seen is Seen.DONE


def _send(session: SessionHandle, id_: str | None, reply: Reply | None) -> None:
    """No await in here: nothing may be sent between an answer and its `then`."""
    if reply is None:
        if id_ is not None:
            session.send(pushes.ok(id_))
    elif reply is not ANSWERED:
        session.send(reply.payload, counted=reply.counted)
        if reply.then is not None:
            reply.then()
