"""What must hold after every run, whatever died: the ledger, the logs and every caller's belief held against each other."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.broker.ports import Ports
from tests.faults.belief import shown_at
from tests.faults.caller import Caller
from tests.faults.figures import Row
from tests.faults.history import Fact, History
from tests.faults.ledger import SIGNALS, Asked, Ledger

CLOCK = 0.05  # seconds; one machine, but events carry milliseconds
CATCH_UP = 15.0
EXAMPLES = 3
LEISURE = 10.0  # who leaves so much later must have heard what was sent to it, even if its gateway had to read on


@dataclass
class Findings:
    """Sentences, by what they are about."""

    acknowledged: int = 0
    signals: int = 0
    rooms: int = 0
    unrecovered: int = 0  # signals to somebody whose room came anew (`recovered: false`), which says that they are lost
    unmet: int = 0  # signals of somebody who had left before the receiver was shown the room for the first time
    problems: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    ended: Counter[str] = field(default_factory=Counter)  # stays that nobody gave up, by reason

    def tell(self, row: Row, name: str = "") -> None:
        """Into a row: figures of what was looked at, and every kind of problem with examples."""
        begin = f"{name}: " if name else ""
        found = {
            kind: len(self.problems[kind]) for kind in ("operations lost", "ghosts", "rosters wrong", "signals missed")
        }
        figures = ", ".join(f"{count} {kind}" for kind, count in found.items())
        row.saw(
            f"{begin}{self.acknowledged} acknowledged operations and {self.signals} signals in {self.rooms} rooms: {figures}"
        )
        if self.unrecovered:
            row.saw(f"{begin}{self.unrecovered} signals lost with rooms that came anew (recovered: false)")
        if self.unmet:
            row.saw(
                f"{begin}{self.unmet} signals of senders who had left before their receiver was first shown the room"
            )
        for kind, sentences in self.problems.items():
            if sentences:
                row.details += [f"{kind}: {sentence}" for sentence in sentences]
                row.wrong.append(f"{begin}{len(sentences)} × {kind}: " + " | ".join(sentences[:EXAMPLES]))


async def histories(ports: Ports, ledger: Ledger) -> dict[str, History]:
    """The logs of all rooms the callers were in or asked for."""
    recorded = ledger.recorded
    return {room_id: await History.read(ports, room_id, recorded.get(room_id, {})) for room_id in sorted(ledger.rooms)}


async def settled(
    ports: Ports, ledger: Ledger, callers: Sequence[Caller], within: float = CATCH_UP
) -> dict[str, History]:
    """The logs, once every living caller has come to their ends and heard its signals, or the time is over.

    A signal may be stored just when its receiver's gateway reads what it missed: then it is heard a little later.
    """
    deadline = time.monotonic() + within
    while True:
        logs = await histories(ports, ledger)
        behind = [
            belief
            for caller in callers
            if caller.alive
            for belief in caller.rooms.values()
            if belief.view.revision != logs[belief.room_id].fold.revision
        ]
        told = not behind and not judge(logs, ledger, callers).problems["signals missed"]
        if told or time.monotonic() > deadline:
            return logs
        await asyncio.sleep(0.2)


def judge(logs: dict[str, History], ledger: Ledger, callers: Sequence[Caller]) -> Findings:
    """Everything that holds in every row."""
    findings = Findings(rooms=len(logs))
    problems = findings.problems
    problems["breaches seen by clients"] += ledger.wrong
    problems["logs broken"] += [log.broken for log in logs.values() if log.broken]
    _operations(logs, ledger, findings)
    _replies(logs, ledger, findings)
    _signals(logs, ledger, callers, findings)
    _rosters(logs, callers, findings)
    _ends(logs, ledger, callers, findings)
    return findings


def _operations(logs: dict[str, History], ledger: Ledger, findings: Findings) -> None:
    """Every acknowledged operation is named in an entry, between request and reply; entries stand in the order of real time."""
    placed: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
    first: dict[tuple[str, ...], Asked] = {}
    for asked in ledger.asked:
        key = _purpose(asked)
        first.setdefault(key, asked)
        if not asked.acknowledged or asked.type in (*SIGNALS, "get_room", "ping") or asked.reply is None:
            continue
        findings.acknowledged += 1
        fact = entry_of(logs[asked.room_id], asked)
        if fact is None:
            findings.problems["operations lost"].append(f"{asked.caller}: {asked.type} in {asked.room_id}")
            continue
        began, known = min(asked.began, first[key].began), min(asked.known, first[key].known)
        replied = asked.replied or 0.0
        if asked.type == "join_room" and asked.stay is not None:
            continue  # shown again, where it was in already
        if not began - CLOCK <= fact.at <= replied + CLOCK or fact.sequence <= known:
            findings.problems["entries not between request and reply"].append(
                f"{asked.caller}: {asked.type} in {asked.room_id}, asked at {began:.3f} after {known}, answered at "
                f"{replied:.3f}, entry {fact.sequence} of {fact.at:.3f}"
            )
        placed[asked.room_id].append((began, replied, fact.sequence))
    for room_id, operations in placed.items():
        findings.problems["out of real time's order"] += _disorder(room_id, operations)


def _purpose(asked: Asked) -> tuple[str, ...]:
    """The same for a request and its repetitions."""
    return (asked.type, asked.room_id, asked.stay or f"{asked.caller} {asked.id}", str(asked.message.get("metadata")))


def entry_of(log: History, asked: Asked) -> Fact | None:
    """What an acknowledged operation left in the log."""
    if asked.type == "join_room":
        return log.joined.get(asked.reply["self"]) if asked.reply else None
    if asked.type == "leave_room":
        return log.left.get(asked.stay or "")
    return log.named.get(asked.operation)


def _disorder(room_id: str, operations: list[tuple[float, float, int]]) -> list[str]:
    """Pairs where one was answered before the other was asked, and yet stands after it in the log."""
    found = []
    done = sorted((replied, sequence) for _, replied, sequence in operations)
    highest = 0
    i = 0
    for began, _, sequence in sorted(operations):
        while i < len(done) and done[i][0] < began:
            highest = max(highest, done[i][1])
            i += 1
        if sequence < highest:
            found.append(f"{room_id}: entry {sequence} was asked for after {highest} was acknowledged")
    return found


def _replies(logs: dict[str, History], ledger: Ledger, findings: Findings) -> None:
    """Every `room_users` agrees with the log at its cursor."""
    shown: dict[str, list[dict[str, object]]] = defaultdict(list)
    for one in ledger.shown:
        shown[one.message["roomId"]].append(one.message)
    for room_id, messages in shown.items():
        findings.problems["replies that disagree with the log"] += logs[room_id].disagreements(messages)


def _signals(logs: dict[str, History], ledger: Ledger, callers: Sequence[Caller], findings: Findings) -> None:
    """Every `ok` signal arrived once, whole, in order, where it was sent to and nowhere else; or its receiver is gone."""
    problems = findings.problems
    arrived: Counter[str] = Counter()
    last: dict[tuple[str, str], int] = {}
    for heard in ledger.heard:
        arrived[heard.marker] += 1
        sent = ledger.sent.get(heard.marker)
        if sent is None or (heard.stay, heard.room_id, heard.message["from"]) != (
            sent.to,
            sent.asked.room_id,
            sent.sender,
        ):
            problems["signals outside their room"].append(f"{heard.marker} at {heard.stay} in {heard.room_id}")
            continue
        if any(heard.message.get(name) != sent.asked.message.get(name) for name in ("type", "sdp", "candidate")):
            problems["signals altered"].append(heard.marker)
        if arrived[heard.marker] > 1:
            problems["signals doubled"].append(heard.marker)
        elif sent.nth < last.get((sent.sender, sent.to), -1):
            problems["signals out of order"].append(heard.marker)
        last[sent.sender, sent.to] = max(sent.nth, last.get((sent.sender, sent.to), -1))
    leaving = {a.stay: a.began for a in reversed(ledger.asked) if a.type == "leave_room" and a.stay is not None}
    left = {pid for log in logs.values() for pid, fact in log.left.items() if fact.reason == "left"}
    present = {belief.own for caller in callers if caller.alive for belief in caller.rooms.values()}
    first_shown = {one.message["self"]: shown_at(one.message["cursor"])[0] for one in reversed(ledger.shown)}
    for marker, sent in ledger.sent.items():
        findings.signals += sent.asked.acknowledged
        if not sent.asked.acknowledged or arrived[marker]:
            continue
        if ledger.unrecovered.get(sent.to, 0.0) > sent.asked.began:
            findings.unrecovered += 1
        elif _unmet(logs[sent.asked.room_id], sent.sender, first_shown.get(sent.to)):
            findings.unmet += 1
        elif sent.to in present or (
            sent.to in left and leaving.get(sent.to, 0.0) > (sent.asked.replied or 0.0) + LEISURE
        ):
            problems["signals missed"].append(f"{marker} from {sent.sender} to {sent.to} in {sent.asked.room_id}")


def _unmet(log: History, sender: str, first_shown: int | None) -> bool:
    """Whether nobody to whom the room was first shown at this position ever saw that sender in it.

    A join whose answer was lost has a seat, and others write to it; the one who asked is shown the room when it asks
    again. Nothing is heard of who is not in the room.
    """
    left = log.left.get(sender)
    return left is not None and first_shown is not None and left.sequence <= first_shown


def _rosters(logs: dict[str, History], callers: Sequence[Caller], findings: Findings) -> None:
    """Who lives believes what the log says; and whom the log has in a room, lives."""
    living: set[str] = set()
    for caller in callers:
        if not caller.alive:
            continue
        for belief in caller.rooms.values():
            living.add(belief.own)
            log = logs[belief.room_id]
            if belief.view.revision != log.fold.revision or belief.view.participants != log.seats:
                findings.problems["rosters wrong"].append(
                    f"{caller.name} in {belief.room_id}: revision {belief.view.revision} with "
                    f"{len(belief.view.participants)}, the log has {log.fold.revision} with {len(log.seats)}"
                )
    for log in logs.values():
        findings.problems["ghosts"] += [f"{pid} in {log.room_id}" for pid in log.seats if pid not in living]


def _ends(logs: dict[str, History], ledger: Ledger, callers: Sequence[Caller], findings: Findings) -> None:
    """Counts the stays that ended although their callers lived and did not ask for it."""
    gave_up = {asked.stay for asked in ledger.asked if asked.type == "leave_room"}
    living = {caller.name for caller in callers if caller.alive}
    shown = {one.message["self"] for one in ledger.shown}
    for log in logs.values():
        for pid, fact in log.left.items():
            if fact.agent in living and pid in shown and pid not in gave_up:
                findings.ended[fact.reason or "?"] += 1


async def late(ports: Ports, ledger: Ledger, known: Mapping[str, int], healed_at: float) -> list[str]:
    """What was refused before the heal, never acknowledged, and yet stands in the log above what was known at the heal."""
    done = {_purpose(asked) for asked in ledger.asked if asked.acknowledged}
    refused = [a for a in ledger.asked if a.refused and a.type == "update_self" and (a.replied or 0.0) < healed_at]
    last = {_purpose(asked): asked for asked in ledger.asked}
    found = []
    logs = await histories(ports, ledger)
    for asked in refused:
        fact = logs[asked.room_id].named.get(asked.operation)
        given_up = _purpose(asked) not in done and last[_purpose(asked)] is asked
        if given_up and fact is not None and fact.sequence > known.get(asked.room_id, 0):
            found.append(
                f"{asked.caller}: update_self in {asked.room_id}, asked {healed_at - asked.began:.1f} s and refused "
                f"{healed_at - (asked.replied or 0.0):.1f} s before the heal, is entry {fact.sequence}; "
                f"{known.get(asked.room_id, 0)} was the last one then"
            )
    return found
