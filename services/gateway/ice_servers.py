"""ICE servers: asked of auth once for each agent, kept until half of their credentials' life is over, told to the rooms.

Keeping them is the rate limit: however often an agent joins, it is given the same credentials until new ones are due.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import LRUCache

from services.gateway import metrics
from services.gateway.transport.outbox import text_frame
from shared.auth.commands import IssueIceServers
from shared.auth.ice_server import IceServer
from shared.broker.requests import Requests
from shared.broker.subjects import ICE_SERVERS
from shared.values import moment, pauses
from shared.values.errors import Refused
from shared.values.ids import AgentId, RoomId
from shared.wire import pushes

WAIT_SECONDS = 0.25  # a room is shown without ICE servers rather than later than this; they follow
SAME_FOR_ALL_SECONDS = 60.0  # servers without credentials are kept, and nobody asks for them meanwhile
KEPT_AGENTS = 20_000  # whoever is forgotten is given new credentials
ASKED_AT_ONCE = 256  # of auth; others are asked for at the next tick of the heartbeat


@dataclass(frozen=True, slots=True)
class IceSet:
    """ICE servers, when others are due (`renew_at`) and until when these are good (`good_until`), in Unix seconds."""

    servers: tuple[IceServer, ...] = ()
    expires_at: str | None = None
    renew_at: float = 0.0
    good_until: float = math.inf


NOT_KNOWN = IceSet()  # what is told while auth has not answered


class IceServers:
    """What auth said, for all sessions of this gateway. `clock` gives Unix seconds."""

    def __init__(self, requests: Requests, clock: Callable[[], float]) -> None:
        self._requests = requests
        self._clock = clock
        self._for_all: IceSet | None = None
        self._kept: LRUCache[AgentId, IceSet] = LRUCache(KEPT_AGENTS)
        self._asking: dict[AgentId, tuple[asyncio.Task[None], float]] = {}  # since when, by the loop's clock
        self._resting_until = 0.0  # by the loop's clock
        self._away = False  # auth did not answer the last time

    def fresh(self, agent_id: AgentId) -> IceSet | None:
        """The servers this agent is to use now. None while auth has yet to say: it is being asked."""
        kept = self._of(agent_id)
        if kept is not None and self._clock() < kept.renew_at:
            return kept
        self._ask(agent_id)
        return None

    async def soon(self, agent_id: AgentId) -> IceSet:
        """What to tell now: the servers there are, those of before while they are good, or none if auth takes too long."""
        fresh = self.fresh(agent_id)
        if fresh is not None:
            return fresh
        asking, since = self._asking.get(agent_id, (None, 0.0))
        left = since + WAIT_SECONDS - asyncio.get_running_loop().time()
        if asking is not None and left > 0 and not self._away:  # nobody waits for an auth that is known to be away
            await asyncio.wait({asking}, timeout=left)
        kept = self._of(agent_id)
        return kept if kept is not None and self._clock() < kept.good_until else NOT_KNOWN

    def _of(self, agent_id: AgentId) -> IceSet | None:
        if self._for_all is not None and self._clock() < self._for_all.renew_at:
            return self._for_all
        return self._kept.get(agent_id) or self._for_all

    def _ask(self, agent_id: AgentId) -> None:
        if agent_id in self._asking or len(self._asking) >= ASKED_AT_ONCE:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now >= self._resting_until:
            self._asking[agent_id] = (loop.create_task(self._answer(agent_id), name="ice servers"), now)

    async def _answer(self, agent_id: AgentId) -> None:
        try:
            issued = await self._requests.request(ICE_SERVERS, IssueIceServers(agent_id=agent_id))
            self._keep(agent_id, tuple(issued.ice_servers), issued.expires_at)
        except (Refused, ValueError) as error:
            metrics.ICE_SERVERS.labels(error.code if isinstance(error, Refused) else "nonsense").inc()
            self._away = True
            self._resting_until = asyncio.get_running_loop().time() + pauses.ICE_SERVERS
        else:
            metrics.ICE_SERVERS.labels("ok").inc()
            self._away = False
        finally:
            del self._asking[agent_id]

    def _keep(self, agent_id: AgentId, servers: tuple[IceServer, ...], expires_at: str | None) -> None:
        now = self._clock()
        if expires_at is None:
            self._for_all = IceSet(servers, None, now + SAME_FOR_ALL_SECONDS)
            self._kept.clear()
            return
        end = moment.unix(expires_at)
        self._for_all = None
        self._kept[agent_id] = IceSet(servers, expires_at, now + max(pauses.ICE_SERVERS, (end - now) / 2), end)


class SessionIce:
    """What the rooms of one session were told. Whatever they should know and do not is pushed by `refresh`."""

    def __init__(self, ice: IceServers, agent_id: AgentId, send_frame: Callable[[bytes], None]) -> None:
        self._ice = ice
        self._agent_id = agent_id
        self._send_frame = send_frame
        self._sent: dict[RoomId, IceSet] = {}
        self._due = math.inf

    def ask(self) -> None:
        """They will be wanted in a moment."""
        self._ice.fresh(self._agent_id)

    async def soon(self) -> IceSet:
        """What `room_users` is to say; waits at most a moment since auth was asked."""
        return await self._ice.soon(self._agent_id)

    def sent(self, room_id: RoomId, ice: IceSet) -> IceSet:
        """These are on their way to the client with a room."""
        self._sent[room_id] = ice
        self._due = min(self._due, ice.renew_at)
        return ice

    def resumed(self, room_id: RoomId) -> None:
        """The client is back in a room, and has what it was told there by another connection, if it was."""
        self.sent(room_id, NOT_KNOWN)
        self.refresh(0.0)

    def forget(self, room_id: RoomId) -> None:
        """The session is no longer in this room."""
        self._sent.pop(room_id, None)
        if not self._sent:
            self._due = math.inf

    def refresh(self, now: float) -> None:
        """Push what has become due by `now` (Unix seconds), as soon as it is known."""
        if now < self._due:
            return
        fresh = self._ice.fresh(self._agent_id)
        if fresh is None:
            return
        for room_id, told in list(self._sent.items()):
            if told.servers != fresh.servers:
                push = pushes.IceServers(room_id=room_id, ice_servers=list(fresh.servers), expires_at=fresh.expires_at)
                self._send_frame(text_frame(pushes.encode(push)))
            self._sent[room_id] = fresh
        self._due = fresh.renew_at
