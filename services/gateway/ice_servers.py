"""ICE servers: the gateway asks auth once for each agent and keeps the answer for half of the credentials' life.

Keeping them is also the rate limit: an agent that joins often gets the same credentials until new ones are due.
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

WAIT_SECONDS = 0.25  # `room_users` waits no longer for ICE servers; a push brings them later
SAME_FOR_ALL_SECONDS = 60.0  # servers without credentials are the same for all agents, and kept this long
KEPT_AGENTS = 20_000  # beyond that the least recently used agent is dropped, and gets new credentials
ASKED_AT_ONCE = 256  # requests to auth under way; the heartbeat asks again for the other agents


@dataclass(frozen=True, slots=True)
class IceSet:
    """ICE servers; `renew_at` is when to ask for new ones, `good_until` when these end, both in Unix seconds."""

    servers: tuple[IceServer, ...] = ()
    expires_at: str | None = None
    renew_at: float = 0.0
    good_until: float = math.inf


NOT_KNOWN = IceSet()  # sent while auth has not answered


class IceServers:
    """The answers of auth, for all sessions of this gateway. `clock` gives Unix seconds."""

    def __init__(self, requests: Requests, clock: Callable[[], float]) -> None:
        self._requests = requests
        self._clock = clock
        self._for_all: IceSet | None = None
        self._kept: LRUCache[AgentId, IceSet] = LRUCache(KEPT_AGENTS)
        self._asking: dict[AgentId, tuple[asyncio.Task[None], float]] = {}  # request and its start, loop's clock
        self._resting_until = 0.0  # no request before this, after one failed; loop's clock
        self._away = False  # the last request to auth failed

    def fresh(self, agent_id: AgentId) -> IceSet | None:
        """The servers this agent is to use now. None when there are none, or new ones are due; then auth is asked."""
        kept = self._of(agent_id)
        if kept is not None and self._clock() < kept.renew_at:
            return kept
        self._ask(agent_id)
        return None

    async def soon(self, agent_id: AgentId) -> IceSet:
        """The servers to send now: fresh ones, else the last ones while they are good, else `NOT_KNOWN`.

        Waits for auth until `WAIT_SECONDS` after it was asked.
        """
        fresh = self.fresh(agent_id)
        if fresh is not None:
            return fresh
        asking, since = self._asking.get(agent_id, (None, 0.0))
        left = since + WAIT_SECONDS - asyncio.get_running_loop().time()
        if asking is not None and left > 0 and not self._away:  # when auth failed the last time, do not wait for it
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
    """The ICE servers that one session was sent for each of its rooms. `refresh` pushes new ones when they are due."""

    def __init__(self, ice: IceServers, agent_id: AgentId, send_frame: Callable[[bytes], None]) -> None:
        self._ice = ice
        self._agent_id = agent_id
        self._send_frame = send_frame
        self._sent: dict[RoomId, IceSet] = {}
        self._due = math.inf

    def ask(self) -> None:
        """Ask auth ahead of time: `soon` will be called in a moment."""
        self._ice.fresh(self._agent_id)

    async def soon(self) -> IceSet:
        """The servers for `room_users`. Waits at most `WAIT_SECONDS` since auth was asked."""
        return await self._ice.soon(self._agent_id)

    def sent(self, room_id: RoomId, ice: IceSet) -> IceSet:
        """Note that `room_users` of this room carries these servers."""
        self._sent[room_id] = ice
        self._due = min(self._due, ice.renew_at)
        return ice

    def resumed(self, room_id: RoomId) -> None:
        """The client resumed this room. What its old connection sent is not known, so push the servers."""
        self.sent(room_id, NOT_KNOWN)
        self.refresh(0.0)

    def forget(self, room_id: RoomId) -> None:
        """The session is no longer in this room."""
        self._sent.pop(room_id, None)
        if not self._sent:
            self._due = math.inf

    def refresh(self, now: float) -> None:
        """Push new servers to the rooms when they are due by `now` (Unix seconds) and auth has answered."""
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
