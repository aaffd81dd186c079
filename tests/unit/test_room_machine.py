"""Any commands, in any order, decided by replicas that are behind: the log's promises hold and the fold is the room.

The model of the broker is a list with compare-and-set. A replica decides on what it has read; if the log has moved on it
reads some of it (perhaps not all) and decides again, as `services.rooms.log` does.
"""

import contextlib
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.rooms.decision import Context, Decision, RoomInput, Rules
from services.rooms.rules import decide
from shared.broker import headers as header
from shared.rooms.commands import Caller, SelfChange
from shared.rooms.events import decode, encode
from shared.rooms.model import Media, MediaPatch, Track
from shared.rooms.roster import Entry, Roster, Snapshot
from shared.values.errors import Refused
from shared.values.position import Position
from tests.support.invariants import check_entries
from tests.support.orders import (
    NOW,
    OWNER,
    ROOM,
    caller,
    close,
    create,
    grant,
    join,
    leave,
    update,
    update_room,
)

REPLICAS = 3
AGENTS = ["owner", "ann", "bob", "cem"]
RULES = Rules(creates_on_join=True, default_max_participants=2, metadata_bytes=64, mesh_participants=2)

replicas = st.integers(0, REPLICAS - 1)
agents = st.sampled_from(AGENTS)
stays = st.integers(1, 6)
seats = st.integers(1, 4)
epochs = st.integers(0, 2)
values = st.none() | st.integers(0, 3)
metadata = st.dictionaries(st.sampled_from("ab"), values | st.dictionaries(st.sampled_from("xy"), values), max_size=2)


def who(agent: str) -> Caller:
    return OWNER if agent == "owner" else caller(agent)


class Rooms(RuleBasedStateMachine):
    """One room, three replicas of rooms, and clients that ask for anything at any time, also twice."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.log: list[Entry] = []
        self.stored: list[tuple[bytes, dict[str, str]]] = []
        self.folds = [Roster(ROOM, "test") for _ in range(REPLICAS)]
        self.asked: list[RoomInput] = []
        self.ends: dict[tuple[str, int], int] = {}  # of join tokens, by agent and key
        self.deadlines: dict[tuple[str, int], float] = {}  # of joins, by agent and number

    # -- the broker --------------------------------------------------------------------------------------------------

    def append(self, decision: Decision, after: int) -> bool:
        if (self.log[-1].sequence if self.log else 0) != after:
            return False
        body, headers = encode(decision.events), header.of_stamp(decision.stamp)
        self.stored.append((body, headers))
        # Positions are the stream's: other rooms' entries and signals lie between.
        self.log.append(Entry(Position(after + 1 + len(self.log) % 3), decode(body), header.stamp(headers)))
        return True

    def read(self, fold: Roster, limit: int = 1000) -> bool:
        tail = [entry for entry in self.log if entry.sequence > fold.sequence][:limit]
        for entry in tail:
            fold.apply(entry)
        return bool(tail)

    # -- a replica ---------------------------------------------------------------------------------------------------

    def do(self, replica: int, command: RoomInput, reads: int) -> None:
        """As RoomsHandlers._change: a refusal and an empty decision count only on the newest state."""
        self.asked.append(command)
        fold = self.folds[replica]
        with contextlib.suppress(Refused):
            while True:
                try:
                    decision = decide(fold, command, Context(self.now, RULES))
                except Refused:
                    if self.read(fold, reads):
                        continue
                    raise
                if not decision.events and self.read(fold, reads):
                    continue
                if not decision.events or self.append(decision, fold.sequence):
                    if decision.events:
                        fold.apply(self.log[-1])
                    return
                assert self.read(fold, reads), "a conflict means there is something to read"
                stamp = decision.stamp
                if stamp.operation in fold.operations and all(name in fold.also for name in stamp.also):
                    return

    # -- what happens ------------------------------------------------------------------------------------------------

    @initialize(limit=seats, made=st.booleans())
    def begin(self, limit: int, made: bool) -> None:
        if made:
            self.do(0, create(max_participants=limit), 1)

    @rule(replica=replicas, reads=stays, agent=agents, n=stays, device=st.booleans(), granted=st.booleans(), key=stays)
    def joins(self, replica: int, reads: int, agent: str, n: int, device: bool, granted: bool, key: int) -> None:
        own = {"device_id": f"{agent}-{n}"} if device else {}
        # A token has one end; auth refuses it from then on.
        until = self.ends.setdefault((agent, key), int(self.now) + 60)
        token = grant(agent, key=f"{agent}-{key}", until=until) if granted and self.now < until else None
        media = Media(audio=Track(state="on"))
        # An id is minted for one join; asked later again it is that join, with the deadline it had.
        deadline = self.deadlines.setdefault((agent, n), self.now + n - 2)
        self.do(replica, join(who(agent), n=n, grant=token, media=media, deadline=deadline, **own), reads)

    @rule(replica=replicas, reads=stays, agent=agents, n=stays, epoch=epochs)
    def leaves(self, replica: int, reads: int, agent: str, n: int, epoch: int) -> None:
        self.do(replica, leave(f"p_{agent}_{n}", epoch=epoch), reads)

    @rule(replica=replicas, reads=stays, agent=agents, n=stays, operation=stays, patch=metadata)
    def updates(self, replica: int, reads: int, agent: str, n: int, operation: int, patch: dict[str, Any]) -> None:
        media = MediaPatch(video=Track(state="on")) if operation % 2 else MediaPatch(video=None)
        self.do(replica, update(f"p_{agent}_{n}", f"u{operation}", metadata=patch, media=media), reads)

    @rule(
        replica=replicas,
        reads=stays,
        agent=agents,
        n=stays,
        operations=st.lists(stays, min_size=1, max_size=4),
        patch=metadata,
    )
    def updates_together(
        self, replica: int, reads: int, agent: str, n: int, operations: list[int], patch: dict[str, Any]
    ) -> None:
        """The operations are those of `updates` too, so that one may be done alone and together with others."""
        first, *then = (
            SelfChange(operation=f"u{m}", metadata=patch, media=MediaPatch(audio=Track(state="on" if m % 2 else "off")))
            for m in operations
        )
        together = update(
            f"p_{agent}_{n}", first.operation, metadata=first.metadata, media=first.media, then=tuple(then)
        )
        self.do(replica, together, reads)

    @rule(replica=replicas, reads=stays, agent=agents, operation=stays, limit=seats)
    def changes_the_room(self, replica: int, reads: int, agent: str, operation: int, limit: int) -> None:
        self.do(replica, update_room(who(agent), f"r{operation}", max_participants=limit), reads)

    @rule(replica=replicas, reads=stays, agent=agents, again=stays)
    def creates(self, replica: int, reads: int, agent: str, again: int) -> None:
        # No operation has the name of another one: they are minted.
        self.do(replica, create(by=who(agent), operation=f"create{again}", max_participants=again), reads)

    @rule(replica=replicas, reads=stays, agent=st.sampled_from(["owner", "ann"]), lucky=st.integers(0, 3))
    def closes(self, replica: int, reads: int, agent: str, lucky: int) -> None:
        if lucky == 0:  # seldom, or nothing else would be tried for long
            self.do(replica, close(who(agent)), reads)

    @rule(replica=replicas, reads=stays, which=st.integers(0, 1000))
    def asks_again(self, replica: int, reads: int, which: int) -> None:
        """The answer got lost: the very same command comes again, perhaps to another replica."""
        if self.asked:
            self.do(replica, self.asked[which % len(self.asked)], reads)

    @rule(replica=replicas, limit=stays)
    def reads_a_part(self, replica: int, limit: int) -> None:
        self.read(self.folds[replica], limit)

    @rule(replica=replicas)
    def loses_its_memory(self, replica: int) -> None:
        """Restarted, or evicted from the cache, with a snapshot somebody wrote."""
        known = next((fold for fold in self.folds if fold.room is not None), None)
        text = known.snapshot(whole=True).model_dump_json(by_alias=True) if known else None
        self.folds[replica] = Roster.of(Snapshot.model_validate_json(text)) if text else Roster(ROOM, "test")

    @rule(seconds=st.sampled_from([0.5, 30.0, 90.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    # -- what holds --------------------------------------------------------------------------------------------------

    @invariant()
    def the_log_keeps_its_promises(self) -> None:
        """Revisions, counts, capacity, one joined and one left, orders, join tokens: see tests.support.invariants."""
        check_entries(ROOM, self.log)

    @invariant()
    def the_advice_fits_who_is_in(self) -> None:
        """After each entry in an open room, its topology is the one for as many as are in it."""
        for entry in self.log:
            room = entry.events[-1].change.room
            if entry.events[-1].type != "closed":
                assert room.topology == ("mesh" if room.participant_count <= RULES.mesh_participants else "sfu_advised")

    @invariant()
    def the_events_alone_are_enough(self) -> None:
        """Every replica that has read everything knows the same as one that reads the bodies from the start."""
        scratch = Roster(ROOM, "test")
        for entry, (body, headers) in zip(self.log, self.stored, strict=True):
            scratch.apply(Entry(entry.sequence, decode(body), header.stamp(headers)))
        for fold in self.folds:
            if self.log and fold.sequence == self.log[-1].sequence:
                assert fold.snapshot(whole=True) == scratch.snapshot(whole=True)

    @invariant()
    def a_snapshot_and_a_tail_are_the_whole(self) -> None:
        """From the fold of whoever is behind, written and read, the tail leads to the same state."""
        behind = min(self.folds, key=lambda fold: fold.sequence)
        if behind.room is None:
            return
        text = behind.snapshot(whole=True).model_dump_json(by_alias=True)
        resumed = Roster.of(Snapshot.model_validate_json(text))
        self.read(resumed)
        scratch = Roster(ROOM, "test")
        self.read(scratch)
        assert resumed.snapshot(whole=True) == scratch.snapshot(whole=True)


TestRooms = Rooms.TestCase
TestRooms.settings = settings(
    max_examples=120, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
