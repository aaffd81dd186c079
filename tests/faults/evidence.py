"""What helps to find out why, once something was wrong: written beside the table, judged by nobody."""

from collections.abc import Sequence

from shared.broker.ports import Ports
from shared.broker.subjects import signal_log
from shared.values.ids import ParticipantId, RoomId
from tests.faults.belief import position
from tests.faults.caller import Caller
from tests.faults.history import History
from tests.faults.ledger import Ledger
from tests.support.invariants import PAGE
from tests.support.stored import signals_of

MOST = 5  # receivers
AROUND = 20.0  # seconds of both ends' connections


async def of_missed_signals(
    ports: Ports, ledger: Ledger, callers: Sequence[Caller], markers: Sequence[str]
) -> list[str]:
    """For some of these: what else the receiver did not hear, and what befell the connections of both ends."""
    by_name = {caller.name: caller for caller in callers}
    owners = {asked.reply["self"]: asked.caller for asked in ledger.acknowledged("join_room") if asked.reply}
    found: list[str] = []
    receivers: set[str] = set()
    for sent in [ledger.sent[marker] for marker in markers]:
        if sent.to in receivers or len(receivers) == MOST:
            continue
        receivers.add(sent.to)
        room_id, sender, receiver = sent.asked.room_id, by_name[sent.asked.caller], by_name[owners[sent.to]]
        found += await _unheard(ports, ledger, room_id, sent.to)
        around = sent.asked.began - AROUND, (sent.asked.replied or 0.0) + AROUND
        found += [
            f"  {sent.marker} was sent at {sent.asked.began:.2f} by {sent.sender}, ok at {sent.asked.replied or 0:.2f}",
            f"  connections of {receiver.name}, who missed it: {receiver.link.told(*around)}",
            f"  connections of {sender.name}, who sent it: {sender.link.told(*around)}",
            "  the sender's seat in the log: " + await _moves(ports, ledger, room_id, sent.sender),
            "  the receiver's seat in the log: " + await _moves(ports, ledger, room_id, sent.to),
        ]
    return found


async def _unheard(ports: Ports, ledger: Ledger, room_id: str, stay: str) -> list[str]:
    heard = {position(one.message["cursor"])[0] for one in ledger.heard if one.stay == stay}
    log = await ports.room_log.read(signal_log(RoomId(room_id), ParticipantId(stay)), limit=PAGE)
    shown = [one.message["cursor"] for one in ledger.shown if one.message["self"] == stay]
    return [f"{stay} in {room_id} was shown it at {shown}, heard {sorted(heard)}, and did not hear:"] + [
        f"  {signal.position} from {signal.sender} of epoch {signal.epoch}"
        for signal in signals_of(log)
        if signal.position not in heard
    ]


async def _moves(ports: Ports, ledger: Ledger, room_id: str, stay: str) -> str:
    """Every entry that says where a participant is."""
    log = await History.read(ports, room_id, ledger.recorded.get(room_id, {}))
    return "; ".join(
        f"{entry.sequence} {entry.events[0].time[11:]} {entry.events[0].type} on {entry.stamp.gateway} epoch {entry.stamp.epoch}"
        for entry in log.entries
        if entry.stamp.participant == stay and entry.events
    )
