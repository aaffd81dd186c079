"""A plain client of the protocol: it keeps its session through all faults, and reports messages that must not come."""

import asyncio
import json
from typing import Any

import jwt

from services.auth.settings import DEVELOPMENT_SECRET
from shared.values.errors import CloseCode
from tests.simulation.clock import EPOCH
from tests.simulation.cluster import LOG_KEPT_SECONDS, Cluster
from tests.simulation.ledger import SIGNALS, Ledger, Message, Request
from tests.simulation.network import Network
from tests.simulation.sight import Sight
from tests.simulation.websocket import VirtualWebSocket
from tests.support.operations import operation_of
from tests.support.view import View

LOGIN_SECONDS = 15.0
AGAIN_SECONDS = 0.3
REMEMBERED_SECONDS = 60.0  # after which the protocol does not promise that what is sent again is done once


class Client:
    """One agent on one device. `keep` holds its connection; actor.py decides what it does."""

    def __init__(self, name: str, device_id: str | None, cluster: Cluster, network: Network, ledger: Ledger) -> None:
        self.name = name
        self.device_id = device_id
        self.network = network
        self.ledger = ledger
        self._cluster = cluster
        self._token = agent_token(name)
        self.socket: VirtualWebSocket | None = None
        self.ready = asyncio.Event()  # it is authenticated, and knows what became of its rooms
        self.sight = Sight(ledger)
        self.pending: dict[str, tuple[Request, asyncio.Future[Message | None]]] = {}
        self.away = 0.0  # seconds before it comes back
        self.retired = False
        self._secret: str | None = None
        self._session_id = ""
        self._login: asyncio.Future[Message | None] | None = None
        self._entered = False  # on this connection
        self._hung_up = asyncio.Event()
        self._next_id = 0

    @property
    def views(self) -> dict[str, View]:
        """The rooms it believes to be in."""
        return self.sight.views

    # -- the connection ------------------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Connect again whenever the connection is lost."""
        while not self.retired:
            if not await self._enter():
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            await self._hung_up.wait()
            self.socket = None
            self.ready.clear()
            away, self.away = self.away, 0.0
            await asyncio.sleep(away or self.network.chance.uniform(0.0, AGAIN_SECONDS))

    async def _enter(self) -> bool:
        gateway = self._cluster.gateway()
        socket = gateway.connect(self, self.name) if gateway else None
        if socket is None:
            return False
        self.socket = socket
        self._hung_up.clear()
        loop = asyncio.get_running_loop()
        self._login = loop.create_future()
        self.sight.returning = dict.fromkeys(self.sight.cursors) if self._secret else {}
        socket.say(self._authenticate())
        await asyncio.wait({self._login}, timeout=LOGIN_SECONDS)
        reply = self._login.result() if self._login.done() else None
        if reply is None or reply["type"] != "auth_ok":
            self.hang_up(silently=False)
            return False
        return True

    def _authenticate(self) -> Message:
        message: Message = {"type": "authenticate", "id": "login", "token": self._token}
        if self.device_id is not None:
            message["deviceId"] = self.device_id
        if self._secret is not None:
            message["resume"] = {"token": self._secret, "cursors": self.sight.cursors}
        return message

    def _logged_in(self, reply: Message) -> None:
        """Take `auth_ok`: forget the session if it was not resumed, else wait for its rooms."""
        self._entered = True
        self._note(f"in: resumed {reply['resumed']}, with {sorted(self.sight.cursors)}")
        self._secret, self._session_id = reply["resumeToken"], reply["sessionId"]
        if not reply["resumed"]:
            self._forget()

    def _forget(self) -> None:
        """Forget the old session: the client has a new one."""
        self.sight.forget()
        pending, self.pending = self.pending, {}
        for _, answered in pending.values():
            if not answered.done():
                answered.set_result(None)

    def _settle(self) -> None:
        """All rooms are resumed: ask again what was not answered."""
        if self.ready.is_set() or not self._entered or self.sight.returning or self.socket is None:
            return
        self.ready.set()
        for request, answered in list(self.pending.values()):
            signal = request.message["type"] in SIGNALS
            known = (
                LOG_KEPT_SECONDS if signal else REMEMBERED_SECONDS
            )  # by the log's moves, a signal is told from a stale one
            if asyncio.get_running_loop().time() - request.since <= known:
                self._send(request)
                continue
            del self.pending[request.id]
            if not answered.done():
                answered.set_result(None)

    def hang_up(self, *, silently: bool) -> None:
        """Lose the connection."""
        if self.socket is not None:
            self.socket.drop(silently=silently)
            self._gone()

    def move(self) -> None:
        """Resume on another connection although this one is fine, and ignore this one from now on."""
        if self.socket is not None:
            self.socket = None
            self._gone()

    def reload(self) -> None:
        """Forget everything, the session too, as a page that is loaded again."""
        self.hang_up(silently=False)
        self._secret = None
        self._forget()

    def _gone(self) -> None:
        self._entered = False
        self.ready.clear()
        self._hung_up.set()
        if self._login is not None and not self._login.done():
            self._login.set_result(None)

    def closed(self, socket: VirtualWebSocket, code: int) -> None:
        """See Ear."""
        if socket is not self.socket:
            return
        self._note(f"closed with {code}")
        if code >= CloseCode.BAD_CLIENT:
            self._blame(f"its newest connection was closed with {code}")
        self._gone()

    # -- asking --------------------------------------------------------------------------------------------------------

    def next_id(self) -> str:
        """The id of the next request."""
        return f"{self.name}-{self._next_id + 1}"

    def ask(self, type_: str, room_id: str, **fields: Any) -> "asyncio.Future[Message | None]":
        """Send a request. The result is None when the session ended before the answer."""
        request_id = self.next_id()
        self._next_id += 1
        view = self.sight.views.get(room_id)
        message = {"type": type_, "id": request_id, "roomId": room_id, **fields}
        operation = operation_of(self._session_id, request_id, json.dumps(message))
        request = Request(request_id, self.name, message, room_id, view.own if view else "", operation)
        request.since = asyncio.get_running_loop().time()
        answered: asyncio.Future[Message | None] = asyncio.get_running_loop().create_future()
        self.pending[request_id] = (request, answered)
        self._send(request)
        return answered

    def _send(self, request: Request) -> None:
        if self.socket is not None:
            self.ledger.ask(request)
            self._note(f"asks {request.message}")
            self.socket.say(request.message)

    # -- hearing -------------------------------------------------------------------------------------------------------

    def heard(self, socket: VirtualWebSocket, message: Message) -> None:
        """See Ear."""
        if socket is not self.socket:
            return
        self._note(f"hears {message}")
        try:
            self._take(message)
            self._settle()
        except (AssertionError, KeyError) as error:
            self._blame(f"cannot believe {message}: {error!r}")

    def _take(self, message: Message) -> None:
        type_ = message["type"]
        if message.get("id") == "login":
            if self._login is not None and not self._login.done():
                self._login.set_result(message)
                if type_ == "auth_ok":
                    self._logged_in(message)
        elif message.get("id") is not None:
            self._answered(message)
        elif type_ in ("offer", "answer", "candidate"):
            self.sight.signalled(message)
        elif type_ == "room_resumed":
            self.sight.resumed(message)
        elif type_ == "go_away":
            self.network.later(message["reconnectAfterMs"] / 1000, self._asked_away, self.socket)
        elif type_ == "error":
            self.sight.ended(message)
        elif "revision" in message:
            self.sight.changed(message)

    def _asked_away(self, socket: VirtualWebSocket | None) -> None:
        if socket is self.socket:
            self.move()

    def _answered(self, message: Message) -> None:
        request, answered = self.pending.pop(message["id"], (None, None))
        if request is None or answered is None:
            self._blame(f"{message} answers nothing that was asked")
            return
        self.ledger.answer(request, message)
        if message["type"] == "room_users":
            self.sight.shown(message)
        elif request.message["type"] == "leave_room" and message["type"] == "ok":
            self.sight.left(request.room_id)
        if not answered.done():
            answered.set_result(message)

    def _note(self, what: str) -> None:
        self.network.note(self.name, what)

    def _blame(self, what: str) -> None:
        self.network.blame(f"{self.name}: {what}")


def agent_token(agent_id: str) -> str:
    """An agent's token that is good for longer than any run."""
    claims = {
        "sub": agent_id,
        "iss": "agent-link",
        "aud": "agent-link",
        "iat": EPOCH,
        "exp": EPOCH + 80_000,
        "jti": "1",
    }
    return jwt.encode(claims, DEVELOPMENT_SECRET, algorithm="HS256")
