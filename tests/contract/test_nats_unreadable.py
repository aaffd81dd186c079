"""What is stored in the log by somebody who may, and is no entry: it hides nothing that stands behind it."""

from shared.broker.signals import Signal
from shared.broker.subjects import room_log, signal_log
from shared.values.ids import ParticipantId, RoomId
from shared.values.position import NOWHERE
from tests.contract.conftest import Connect
from tests.support.broker import over_nats
from tests.support.broker_kind import on_nats

ROOM, TO, SENDER = RoomId("room-a"), ParticipantId("p_to"), ParticipantId("p_from")


@on_nats
async def test_what_cannot_be_read_hides_nothing(connect: Connect) -> None:
    """A signal whose epoch is no number stands at the beginning of what is read, twice; the true one behind it is found,
    also by a reader that asks for one entry.
    """
    await connect("rooms")
    gateway = await connect("gateway")
    client, subject = over_nats(gateway).client, signal_log(ROOM, TO)
    for _ in range(2):
        await client.request(subject, b"x", timeout=5, headers={"Parley-From": SENDER, "Parley-Epoch": "oops"})
    posted = await gateway.signals.post(Signal(ROOM, TO, SENDER, 1, b"sealed", 60))
    for limit in (1, 10):
        read = await gateway.room_log.read(room_log(ROOM), after=NOWHERE, limit=limit)
        assert [entry.position for entry in read] == [posted.position]
