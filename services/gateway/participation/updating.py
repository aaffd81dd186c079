"""Changes of what a participant says of itself. Those that a client sends one after the other are asked of rooms together.

A participant has a bucket of changes, which rooms reads from the log. While it is empty, a change waits here for as long as
a connection over its rate is slowed down, and what comes meanwhile joins it: one entry then has all of them.
"""

import asyncio
import zlib
from collections.abc import Sequence

from services.gateway.participation.messages import UpdateSelf
from services.gateway.participation.participation import Participation
from services.gateway.participation.participations import Participations
from services.gateway.session.feature import Batch, Request, SessionHandle
from shared.broker.subjects import UPDATE_PARTICIPANT
from shared.rooms.commands import SelfChange, UpdateParticipant
from shared.values.errors import Code, Refused
from shared.values.ids import mint

# Refusals of all changes that were asked together. Another one is of the first; the others are asked again.
OF_ALL = frozenset({Code.NOT_IN_ROOM, Code.RATE_LIMITED})


async def update(session: SessionHandle, batch: Batch[UpdateSelf]) -> Sequence[Refused | None]:
    """Change the participant's name, metadata or media. `name: null` goes back to the token's name."""
    participation = session.part(Participations).named(batch.requests[0].message.room_id)
    patience = session.context.settings.throttle_seconds
    changes: list[SelfChange] = []
    results: list[Refused | None] = []
    batch.grow()
    while len(results) < len(batch.requests):
        changes += [_change(session, request) for request in batch.requests[len(changes) :]]
        try:
            results += await _ask(session, participation, changes[len(results) :])
        except Refused as refused:
            wait = (refused.retry_after_ms or 0) / 1000
            if refused.code is Code.RATE_LIMITED and 0 < wait <= patience:
                patience -= wait
                await asyncio.sleep(wait)
                batch.grow()
            elif refused.code is Code.UNAVAILABLE:
                # Whether the first was made is not known, so a client sends all of it again. Had those behind it been
                # made meanwhile, the first would then be the last word.
                batch.grow()
                results += [refused] * (len(batch.requests) - len(results))
            else:
                results += [refused] * (len(changes) - len(results) if refused.code in OF_ALL else 1)
    return results


async def _ask(
    session: SessionHandle, participation: Participation, changes: Sequence[SelfChange]
) -> list[Refused | None]:
    """Ask for these changes. Returns what became of the first ones: of all, or of one when rooms is of 0.4.0.

    Raises Refused.
    """
    first, *then = changes
    command = UpdateParticipant(
        room_id=participation.room_id,
        participant_id=participation.participant_id,
        epoch=participation.epoch,
        then=tuple(then),
        **{name: getattr(first, name) for name in SelfChange.model_fields},
    )
    answer = await session.context.ports.requests.request(UPDATE_PARTICIPANT, command)
    if answer.refusals is None:
        return [None]
    return [Refused(Code(one.code), one.message) if one else None for one in answer.refusals]


def _change(session: SessionHandle, request: Request[UpdateSelf]) -> SelfChange:
    message = request.message
    named = "name" in message.model_fields_set
    return SelfChange(
        operation=_operation(session, request),
        asked_at=round(session.context.clock(), 3),  # as the log has it
        name=(message.name or session.identity.name) if named else None,
        metadata=message.metadata,
        media=message.media,
    )


def _operation(session: SessionHandle, request: Request[UpdateSelf]) -> str:
    """The operation id of a change. It contains the text's checksum: a used id with another text is another change.

    It begins with the session's key: by that, rooms counts the session's changes.
    """
    key, id_ = session.part(Participations).opened.key, request.message.id
    if id_ is None:
        return mint(f"{key}:", session.context.chance(8))
    return f"{key}:{id_}:{zlib.crc32(request.text.encode()):x}"
