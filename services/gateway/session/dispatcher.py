"""Finds the handler of each message in one table, which the features fill. Knows no feature."""

from collections.abc import Sequence
from types import NoneType
from typing import Any, get_type_hints

from services.gateway.session.feature import ANSWERED, Feature, Handled, Inline, Repeated, Reply, Request, SessionHandle
from services.gateway.session.idempotency import DoneRequests, Seen
from shared.values.errors import Code, Refused
from shared.wire import pushes
from shared.wire.protocol import ClientMessage, Decoder


class Dispatcher:
    """The messages of these features. A process has one for all its sessions.

    Raises ValueError when two features handle the same message.
    """

    def __init__(self, features: Sequence[Feature]) -> None:
        self.features = features
        self._handled: dict[type[ClientMessage], Handled[Any] | Inline[Any]] = {}
        for feature in features:
            for handled in feature.handled:
                _check(feature, handled)
                if handled.message in self._handled:
                    raise ValueError(f"{feature.name}: {handled.message.__name__} is handled by another feature too")
                self._handled[handled.message] = handled
        self._decoder = Decoder(self._handled)

    def decode(self, text: str) -> ClientMessage:
        """A client's message. Raises BadMessage."""
        return self._decoder.decode(text)

    def of(self, message: ClientMessage) -> Handled[Any] | Inline[Any]:
        """The table's entry for a message."""
        return self._handled[type(message)]

    async def answer(self, session: SessionHandle, done: DoneRequests, request: Request[Any]) -> None:
        """Call the handler of a request, and send its reply. Raises Refused."""
        handled, id_ = self._handled[type(request.message)], request.message.id
        if isinstance(handled, Inline):
            return session.push(handled.answer(session, request.message))
        remembered = id_ is not None and handled.repeated is not Repeated.ANEW
        if remembered and _again(done, request) and handled.repeated is Repeated.OK:
            return session.send(pushes.ok(request.message.id))
        if handled.paced:
            await session.flowing()
        reply = await handled.handle(session, request)
        if remembered:
            done.done(request.message.id, request.text)
        return _send(session, id_, reply)

    def unhandled(self, session: SessionHandle, message: ClientMessage) -> None:
        """The connection is gone before this message was handled: call the handler's `unhandled`, if it has one."""
        handled = self._handled[type(message)]
        if isinstance(handled, Handled) and handled.unhandled is not None:
            handled.unhandled(session, message)


def _check(feature: Feature, handled: Handled[Any] | Inline[Any]) -> None:
    """Refuse a row whose request, asked again, would be answered `ok` although its handler has a reply of its own."""
    if not isinstance(handled, Handled) or handled.repeated is not Repeated.OK:
        return
    if get_type_hints(handled.handle).get("return") is not NoneType:
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
