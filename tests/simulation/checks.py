"""What must hold at the end of a run: the rooms' logs, the answers to clients, and the clients' views agree."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from shared.broker.headers import KEY
from shared.broker.memory.stream import Message
from shared.broker.room_log import RoomEntry, StoredEvents, StoredSignal
from shared.rooms.roster import Roster
from shared.values.ids import RoomId
from tests.simulation.client import Client
from tests.simulation.cluster import Cluster
from tests.simulation.ledger import OK, SIGNALS, UNKNOWN, Ledger, Request
from tests.simulation.trims import check_trims
from tests.support.invariants import check_entries
from tests.support.operations import named_in
from tests.support.stored import events_of

MAYBE = frozenset({UNKNOWN, "unavailable"})
AGAIN = " again"  # appended to the name in a join that is asked once more


@dataclass
class History:
    """One room's log, sorted by what it says."""

    room_id: RoomId
    fold: Roster
    joined: dict[str, int] = field(default_factory=dict)  # participant -> position
    names: dict[str, int] = field(default_factory=dict)  # name under which one joined -> position
    left: dict[str, int] = field(default_factory=dict)
    timed_out: set[str] = field(default_factory=set)  # of those who left
    turns: dict[str, list[int]] = field(default_factory=dict)  # participant -> its updates of itself, in order
    named: set[str] = field(default_factory=set)  # fingerprints of the operations that entries name
    signals: dict[str, StoredSignal] = field(default_factory=dict)  # request id -> where it was stored

    def take(self, message: Message[RoomEntry]) -> None:
        """One more entry of the log."""
        entry = message.entry
        if isinstance(entry, StoredSignal):
            request_id = message.headers[KEY].split(":")[1]
            self.signals[request_id] = entry
            return
        if not isinstance(entry, StoredEvents):
            return
        self.named.update(named_in(entry.entry().stamp))
        for event in entry.entry().events:
            participant = event.change.participant
            if participant is None:
                continue
            if event.type == "participant_joined":
                self.joined[participant.id] = self.names[participant.name] = entry.position
            elif event.type == "participant_left":
                self.left[participant.id] = entry.position
                if event.change.reason == "timeout":
                    self.timed_out.add(participant.id)
            else:
                turn, said = participant.metadata.get("turn", 0), self.turns.setdefault(participant.id, [])
                if turn and said[-1:] != [turn]:
                    said.append(turn)


def check(cluster: Cluster, ledger: Ledger, clients: list[Client]) -> Iterator[str]:
    """A sentence for each thing that is wrong."""
    histories: dict[str, History] = {}
    written = cluster.broker.traced.written
    for message in written:
        room_id = message.entry.room_id
        if room_id not in histories:
            entries = events_of(one.entry for one in written if one.entry.room_id == room_id)
            events = [entry for entry in entries if entry.checkpoint is None]
            try:
                histories[room_id] = History(room_id, check_entries(room_id, events))
            except AssertionError as error:
                yield f"the log of {room_id}: {error}"
                return
        histories[room_id].take(message)
    for client in clients:
        yield from _rests(client)
        yield from _sees(client, histories)
    yield from _ghosts(histories, clients)
    for request in ledger.requests.values():
        yield from _acknowledged(request, histories[request.room_id])
    for history in histories.values():
        yield from _turns(history, ledger)
    yield from _signals(histories, ledger)
    yield from check_trims(cluster.broker)


def _rests(client: Client) -> Iterator[str]:
    if not client.ready.is_set():
        yield f"{client.name} is not in"
    for request, _ in client.pending.values():
        yield f"{client.name} was never answered {request.message}"


def _sees(client: Client, histories: dict[str, History]) -> Iterator[str]:
    for room_id, view in client.views.items():
        fold = histories[room_id].fold
        there = {seat.participant.id: seat.participant.wire() for seat in fold.seats.values()}
        if view.own not in there:
            yield f"{client.name} believes to be in {room_id} as {view.own}, and is not"
        elif view.revision != fold.revision:
            yield f"{client.name} sees {room_id} at revision {view.revision}, which is at {fold.revision}"
        elif view.participants != there:
            yield f"{client.name} sees other participants in {room_id}: {view.participants} instead of {there}"


def _ghosts(histories: dict[str, History], clients: list[Client]) -> Iterator[str]:
    known = {view.own: client.name for client in clients for view in client.views.values()}
    for history in histories.values():
        for seat in history.fold.seats.values():
            participant = seat.participant
            if participant.id not in known:
                yield f"a ghost of {participant.agent_id} in {history.room_id}: {seat}"
            elif participant.connection != "connected":
                yield f"{known[participant.id]} is in, and shown as {participant.connection} in {history.room_id}"


def _acknowledged(request: Request, history: History) -> Iterator[str]:
    """A request that was acknowledged happened. One that was sent once and refused did not."""
    type_, own, message = request.message["type"], request.own, request.message
    refused = request.outcome not in MAYBE | {OK} and request.asked == 1
    if type_ == "join_room":
        if request.outcome == OK and request.reply and request.reply["self"] not in history.joined:
            yield f"{message} was acknowledged, and nobody joined"
        if refused and message["name"] in history.names:
            yield f"{message} was refused with {request.outcome}, and happened"
        if request.outcome == "forbidden" and not _timed_out(message["name"].removesuffix(AGAIN), history):
            yield f"{message} was refused, and its join token had not led to a stay that timed out"
    elif type_ == "leave_room":
        if request.outcome == OK and own not in history.left:
            yield f"{message} of {own} was acknowledged, and nobody left"
    elif type_ == "update_self":
        said = request.operation in history.named
        if request.outcome == OK and not said:
            yield f"{message} of {own} was acknowledged, and no entry names it"
        if refused and said:
            yield f"{message} of {own} was refused with {request.outcome}, and happened"


def _timed_out(name: str, history: History) -> bool:
    """Whether a join took a seat under this name, and the seat timed out."""
    at = history.names.get(name)
    return any(history.joined[participant] == at for participant in history.timed_out)


def _turns(history: History, ledger: Ledger) -> Iterator[str]:
    """After an acknowledged change of a participant, no earlier change of it happens."""
    acknowledged = {
        (request.own, request.message["metadata"]["turn"])
        for request in ledger.requests.values()
        if request.message["type"] == "update_self" and request.outcome == OK
    }
    for own, said in history.turns.items():
        sure = 0
        for turn in said:
            if turn < sure:
                yield f"{own} in {history.room_id} said {sure}, which was acknowledged, and then {turn} happened: {said}"
            if (own, turn) in acknowledged:
                sure = max(sure, turn)


def _signals(histories: dict[str, History], ledger: Ledger) -> Iterator[str]:
    """Every acknowledged signal has arrived, and signals arrived in the order in which they were sent."""
    order: dict[tuple[str, str], dict[str, int]] = {}
    for request in ledger.requests.values():
        if request.message["type"] not in SIGNALS or request.outcome != OK:
            continue
        to = request.message["to"]
        sent = order.setdefault((request.own, to), {})
        sent[request.id] = len(sent)
        yield from _delivered(request, to, histories[request.room_id], ledger)
    for (own, to), sent in order.items():
        arrived = [sent[request_id] for request_id in ledger.arrived.get(to, []) if request_id in sent]
        if arrived != sorted(arrived):
            yield f"from {own} to {to} in another order: {arrived}"


def _delivered(request: Request, to: str, history: History, ledger: Ledger) -> Iterator[str]:
    entry = history.signals.get(request.id)
    sender_left = history.left.get(request.own, 0)
    if entry is None:
        yield f"{request.message['type']} {request.id} was acknowledged, and is not in the log"
    elif (
        request.id not in ledger.arrived.get(to, [])
        and to not in history.left
        and to in ledger.entered
        and ledger.anew.get(to, 0) < entry.position
        and not (0 < sender_left <= max(entry.position, ledger.entered[to]))
    ):
        epoch = entry.epoch
        yield f"{request.message['type']} {request.id} to {to}, at {entry.position} with epoch {epoch}, never arrived"
