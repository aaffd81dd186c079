"""The REST operations on rooms. Each asks the service rooms (and auth, for join tokens) on behalf of the caller."""

import re
import secrets
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Response

from services.gateway.rest import examples
from services.gateway.rest.models import JoinOrder, JoinToken, NewRoom, Paging, Participants, RoomChange
from services.gateway.rest.problems import documented
from services.gateway.rest.route import AgentRoute, CallerOf, RestOf
from shared.auth import commands as a
from shared.broker import subjects as s
from shared.rooms import commands as c
from shared.rooms.model import Room
from shared.values.errors import Code, Refused
from shared.values.ids import TOKEN_PATTERN, RoomId, fingerprint, idempotent_room_id, mint

ANY_OPERATION = (
    Code.NOT_AUTHENTICATED,
    Code.INVALID_TOKEN,
    Code.EXPIRED_TOKEN,
    Code.NOT_YET_VALID,
    Code.WRONG_AUDIENCE,
    Code.WRONG_ISSUER,
    Code.RATE_LIMITED,
    Code.THROTTLED,
    Code.INTERNAL,
    Code.UNAVAILABLE,
)
ONE_ROOM = (*ANY_OPERATION, Code.ROOM_NOT_FOUND, Code.ROOM_CLOSED)
WITH_BODY = (Code.BAD_MESSAGE, Code.TOO_LARGE)

router = APIRouter(prefix="/api/rooms", tags=["rooms"], route_class=AgentRoute)


async def _room_id(room_id: Annotated[str, Path(alias="roomId", description="The room's `roomId`.")]) -> RoomId:
    """The id of a room. A malformed id is refused as an unknown one."""
    if not re.fullmatch(TOKEN_PATTERN, room_id):
        raise Refused(Code.ROOM_NOT_FOUND, "no room has such an id")
    return RoomId(room_id)


RoomIdOf = Annotated[RoomId, Depends(_room_id)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[ -~]{1,128}$",
        description="Your name for this request, 1 to 128 printable ASCII characters; sent again: no second room.",
    ),
]


def _done(status: int, example: dict[str, Any], description: str, *codes: Code, body: bool = False) -> dict[Any, Any]:
    """An operation's answers: the good one with an example, then its refusals."""
    good = {"description": description, "content": {"application/json": {"example": example}}}
    return {status: good, **documented(*codes, bad_request=body)}


@router.post(
    "",
    status_code=201,
    summary="Create a room",
    responses=_done(
        201,
        examples.ROOM,
        "The room.",
        *ANY_OPERATION,
        Code.FORBIDDEN,
        Code.ROOM_EXISTS,
        Code.ROOM_CLOSED,
        *WITH_BODY,
        body=True,
    ),
)
async def create_room(
    body: NewRoom, caller: CallerOf, rest: RestOf, response: Response, idempotency_key: IdempotencyKey = None
) -> Room:
    """Needs `rooms:create`. `Location` is the room's path.

    The same `Idempotency-Key` of the same agent answers with the same room. A `roomId` that is or was taken is
    `room_exists`, whoever took it.
    """
    if idempotency_key is None:
        room_id, operation = RoomId(str(uuid.uuid4())), mint("op_", secrets.token_bytes(16))
    else:
        room_id = idempotent_room_id(caller.agent_id, idempotency_key)
        operation = fingerprint(f"{caller.agent_id}\n{idempotency_key}")
    create = c.CreateRoom(
        caller=caller,
        operation=operation,
        room_id=body.room_id or room_id,
        name=body.name,
        type=body.type,
        max_participants=body.max_participants,
        access=body.access,
        settings=body.settings,
    )
    room = (await rest.requests.request(s.CREATE_ROOM, create)).room
    response.headers["Location"] = f"/api/rooms/{room.room_id}"
    return room


@router.get(
    "", summary="List open rooms", responses=_done(200, examples.ROOMS, "One page.", *ANY_OPERATION, Code.BAD_MESSAGE)
)
async def list_rooms(paging: Annotated[Paging, Query()], caller: CallerOf, rest: RestOf) -> c.RoomList:
    """Open rooms that you made or may join, newest first; with `rooms:list` all of them.

    `cursor` of the answer asks for the next page; it is null on the last one.
    """
    return await rest.requests.request(
        s.LIST_ROOMS, c.ListRooms(caller=caller, limit=paging.limit, cursor=paging.cursor)
    )


@router.get("/{roomId}", summary="Read a room", responses=_done(200, examples.ROOM, "The room.", *ONE_ROOM))
async def read_room(room_id: RoomIdOf, caller: CallerOf, rest: RestOf) -> Room:
    """A room that you may join, own, manage or observe; any other is `room_not_found`, as if it did not exist."""
    return (await rest.requests.request(s.READ_ROOM, c.ReadRoom(caller=caller, room_id=room_id))).room


@router.patch(
    "/{roomId}",
    summary="Change a room",
    responses=_done(200, examples.ROOM, "The room.", *ONE_ROOM, Code.FORBIDDEN, *WITH_BODY, body=True),
)
async def update_room(room_id: RoomIdOf, body: RoomChange, caller: CallerOf, rest: RestOf) -> Room:
    """For the owner and managers. What is absent stays; `settings` merge by key, and `null` there means the default.

    Everyone in the room gets `room_updated`.
    """
    update = c.UpdateRoom(
        caller=caller,
        operation=mint("op_", secrets.token_bytes(16)),
        room_id=room_id,
        name=body.name,
        type=body.type,
        max_participants=body.max_participants,
        access=body.access,
        settings=body.settings.patch() if body.settings else None,
    )
    return (await rest.requests.request(s.UPDATE_ROOM, update)).room


@router.delete(
    "/{roomId}",
    status_code=204,
    summary="Close a room",
    response_description="It is closed.",
    responses=documented(*ONE_ROOM, Code.FORBIDDEN),
)
async def close_room(room_id: RoomIdOf, caller: CallerOf, rest: RestOf) -> None:
    """For the owner and managers. Everyone in the room gets `room_closed`; the id is never used again."""
    close = c.CloseRoom(caller=caller, operation=mint("op_", secrets.token_bytes(16)), room_id=room_id)
    await rest.requests.request(s.CLOSE_ROOM, close)


@router.get(
    "/{roomId}/participants",
    summary="List a room's participants",
    responses=_done(200, examples.PARTICIPANTS, "Who is in the room.", *ONE_ROOM),
)
async def list_participants(room_id: RoomIdOf, caller: CallerOf, rest: RestOf) -> Participants:
    """Everyone in a room that you may see, and the revision of the room that this was true at."""
    state = await rest.requests.request(s.READ_ROOM, c.ReadRoom(caller=caller, room_id=room_id))
    return Participants(revision=state.revision, participants=state.participants)


@router.post(
    "/{roomId}/join",
    status_code=201,
    summary="Issue a join token",
    responses=_done(201, examples.JOIN_TOKEN, "The token.", *ONE_ROOM, Code.FORBIDDEN, *WITH_BODY, body=True),
)
async def issue_join_token(
    room_id: RoomIdOf, caller: CallerOf, rest: RestOf, body: JoinOrder | None = None
) -> JoinToken:
    """A token for `join_room`: for this room and one agent, good once.

    For yourself if you may join; for another agent, or with a role, only by the owner or a manager. The body may be
    left out.
    """
    order = body or JoinOrder()
    agent_id = order.agent_id or caller.agent_id
    check = c.CheckGrant(caller=caller, room_id=room_id, agent_id=agent_id, role=order.role)
    await rest.requests.request(s.CHECK_GRANT, check)
    issue = a.IssueJoinToken(room_id=room_id, agent_id=agent_id, role=order.role, ttl=order.ttl)
    issued = await rest.requests.request(s.ISSUE_JOIN_TOKEN, issue)
    return JoinToken(token=issued.token, expires_at=issued.expires_at, url=rest.websocket_url())
