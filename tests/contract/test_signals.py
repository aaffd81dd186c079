"""What both adapters promise about signals."""

import asyncio
from collections.abc import Awaitable, Callable

from shared.broker.ports import Ports
from shared.broker.room_log import StoredSignal
from shared.broker.subjects import room_log, signal_log
from shared.values.ids import ParticipantId, RoomId
from tests.support.logs import signal

Connect = Callable[[str], Awaitable[Ports]]
A = RoomId("room-a")


async def test_a_signal_is_stored_for_its_receiver(connect: Connect) -> None:
    """Body verbatim, with sender, epoch and receiver."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    body = bytes(range(256))
    position = (await gateway.signals.post(signal(A, "p_bob", body, epoch=3))).position
    (entry,) = await rooms.room_log.read(signal_log(A, ParticipantId("p_bob")), limit=10)
    assert isinstance(entry, StoredSignal)
    assert (entry.position, entry.body, entry.room_id) == (position, body, A)
    assert (entry.sender, entry.to, entry.epoch) == ("p_ann", "p_bob", 3)


async def test_a_repeated_signal_is_stored_once(connect: Connect) -> None:
    """The same key gives the first one's position, from another process and at the same time too."""
    rooms, gateway = await connect("rooms"), await connect("gateway")
    other = await connect("gateway")
    repeats = [ports.signals.post(signal(A, key="k1")) for ports in (gateway, other, gateway, other)]
    posted = await asyncio.gather(*repeats)
    assert len({one.position for one in posted}) == 1
    assert sorted(one.again for one in posted) == [False, True, True, True]
    assert await gateway.signals.post(signal(A, key="k2")) != await gateway.signals.post(signal(A, key="k1"))
    assert len({await gateway.signals.post(signal(A)), await gateway.signals.post(signal(A))}) == 2, (
        "without a key nothing is a repeat"
    )
    assert len(await rooms.room_log.read(room_log(A), limit=10)) == 4
