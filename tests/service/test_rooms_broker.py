"""rooms while its broker hangs, restarts, or is replaced: nothing half done, nothing remembered that does not exist."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.launcher.embedded_nats import EmbeddedNats
from shared.broker.ports import Ports
from shared.broker.subjects import ADD_PARTICIPANT, CREATE_ROOM, LIST_ROOMS
from shared.rooms.commands import ListRooms
from shared.values.errors import Code, Refused
from tests.support.broker import connector
from tests.support.broker_kind import on_both
from tests.support.invariants import check_log
from tests.support.logs import begin
from tests.support.orders import OWNER, ROOM, caller, create, join
from tests.support.patience import eventually, eventually_async
from tests.support.rooms import serve_rooms

pytestmark = on_both

LISTER = caller("lister", "rooms:list")


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[EmbeddedNats]:
    """A server process of this test's own."""
    server = EmbeddedNats(tmp_path / "nats")
    await server.start()
    yield server
    server.kill(signal.SIGCONT)
    await server.stop()


@pytest.fixture
async def both(embedded: EmbeddedNats) -> AsyncIterator[tuple[Ports, Ports]]:
    """A serving replica of rooms, and a gateway; both give up after half a second."""
    make = connector(embedded.url, embedded.passwords, timeout=0.5)
    rooms, gateway = await make("rooms"), await make("gateway")
    directory = await serve_rooms(rooms)
    yield rooms, gateway
    await directory.stop()
    await gateway.connection.close()
    await rooms.connection.close()


async def names(gateway: Ports) -> set[str]:
    return {
        room.room_id for room in (await gateway.requests.request(LIST_ROOMS, ListRooms(caller=LISTER, limit=100))).rooms
    }


async def test_the_list_survives_a_restart(embedded: EmbeddedNats, both: tuple[Ports, Ports]) -> None:
    """After a restart of the broker the same rooms are listed, and new ones are again."""
    _, gateway = both
    await gateway.requests.request(CREATE_ROOM, create("before"))
    await embedded.stop()
    await embedded.start()

    async def created() -> bool:
        return (await gateway.requests.request(CREATE_ROOM, create("after"))).room.room_id == "after"

    await eventually_async(created, "a room can be created")
    assert await names(gateway) == {"before", "after"}


async def test_rooms_begins_anew_on_an_empty_broker(embedded: EmbeddedNats, both: tuple[Ports, Ports]) -> None:
    """Rooms of a log that is gone are neither listed nor taken, although the process had them in its cache."""
    rooms, gateway = both
    await gateway.requests.request(CREATE_ROOM, create())
    await gateway.requests.request(CREATE_ROOM, create("other"))
    await gateway.requests.request(ADD_PARTICIPANT, join("bob"))
    before = rooms.room_log.incarnation
    await embedded.stop()
    shutil.rmtree(embedded.folder / "jetstream")
    await embedded.start()
    await eventually(lambda: rooms.room_log.incarnation != before, "rooms knows that this is another log")

    async def nothing_is_listed() -> bool:
        return await names(gateway) == set()

    await eventually_async(nothing_is_listed, "the list is empty")
    state = await gateway.requests.request(CREATE_ROOM, create(operation="again", by=caller("somebody-else")))
    assert (state.revision, state.participants, state.room.created_by) == (1, [], "somebody-else")
    await check_log(gateway, ROOM)


async def test_a_join_whose_answer_got_lost(embedded: EmbeddedNats, both: tuple[Ports, Ports]) -> None:
    """The broker hangs during a join: `unavailable`; asked again, the same join has one seat and one event."""
    rooms, gateway = both
    await gateway.requests.request(CREATE_ROOM, create())
    joining = join("bob")
    for _ in range(3):
        embedded.kill(signal.SIGSTOP)
        asking = asyncio.ensure_future(gateway.requests.request(ADD_PARTICIPANT, joining))
        with pytest.raises(Refused) as caught:
            await asking
        assert (caught.value.code, caught.value.retryable) == (Code.UNAVAILABLE, True)
        embedded.kill(signal.SIGCONT)

        async def back() -> bool:
            await gateway.connection.check()
            await rooms.connection.check()
            return True

        await eventually_async(back, "the broker goes on")
    joined = await gateway.requests.request(ADD_PARTICIPANT, joining)
    fold = await check_log(gateway, ROOM)
    assert (joined.participant_id, set(fold.seats), fold.last_order) == ("p_bob_1", {"p_bob_1"}, 1)


async def test_what_others_appended_counts(both: tuple[Ports, Ports]) -> None:
    """The first of two creators has the room, also when another process wrote its log; its own retry is answered."""
    rooms, gateway = both
    await begin(rooms, ROOM)
    with pytest.raises(Refused) as caught:
        await gateway.requests.request(CREATE_ROOM, create(operation="other", by=caller("eve")))
    assert caught.value.code is Code.ROOM_EXISTS
    assert (await gateway.requests.request(CREATE_ROOM, create(by=OWNER))).revision == 1
