"""Changes of what a participant says of itself: made together they are one entry, and the same as one after the other."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.rooms.decision import Context
from services.rooms.rules import decide
from shared.broker import headers
from shared.rooms.commands import SelfChange, UpdateParticipant
from shared.rooms.events import decode, encode
from shared.rooms.model import MediaPatch, Track
from shared.rooms.roster import Entry, Roster, Snapshot
from shared.values.errors import Code, Refused
from shared.values.ids import fingerprint
from tests.support.absence import RULES, drop, refusal, resume
from tests.support.orders import NOW, ROOM, LoggedRoom, create, join, leave, told, update

P = "p_ann_1"
PACED = replace(RULES, participant_change_rate=1.0, participant_change_burst=5)
FREE = replace(
    RULES, participant_change_rate=1000.0, participant_change_burst=60_000, metadata_bytes=30, name_characters=4
)

values = st.none() | st.integers(0, 2)
changes = st.lists(
    st.builds(
        SelfChange,
        operation=st.sampled_from([f"u{n}" for n in range(6)]),
        asked_at=st.sampled_from([0.0, 1.0, 2.0, 3.0]),
        name=st.none() | st.sampled_from(["A", "Bob", "Carol", "Dora"]),  # Carol is too long
        metadata=st.none() | st.dictionaries(st.sampled_from("ab"), values | st.just("x" * 20), max_size=2),
        media=st.none()
        | st.builds(lambda s: MediaPatch(audio=Track(state=s)), st.sampled_from(["on", "off", "muted"])),
    ),
    min_size=1,
    max_size=8,
)


def together(changes: list[SelfChange], participant_id: str = P, **fields: Any) -> UpdateParticipant:
    """One command with all of these changes."""
    first, *then = changes
    given = first.model_dump(exclude={"media"}) | {"media": first.media, "then": tuple(then)}
    return update(participant_id, **given, **fields)


def change(operation: str, **fields: Any) -> SelfChange:
    return SelfChange(operation=operation, **fields)


def room(**rules: Any) -> LoggedRoom:
    """A room with Ann and Bob in it."""
    return LoggedRoom(create(), join("ann"), join("bob"), rules=replace(FREE, **rules))


def outcomes(of: LoggedRoom, changes: list[SelfChange]) -> dict[str, Code | None]:
    """What became of each, the last time it was asked, when they are asked one after the other."""
    found: dict[str, Code | None] = {}
    for one in changes:
        try:
            of.do(together([one]))
            found.setdefault(one.operation, None)
        except Refused as refused:
            found[one.operation] = refused.code
    return found


@given(changes, changes)
def test_together_is_one_after_the_other(before: list[SelfChange], now: list[SelfChange]) -> None:
    """Participant, and what is refused, are the same; there is at most one entry, which names every change that is made."""
    unique = list({one.operation: one for one in now}.values())
    merged, single = room(), room()
    for of in (merged, single):
        outcomes(of, before)
    entries = len(merged.log)
    expected = outcomes(single, unique)
    asked = [*unique, change("last", name="Dora")]  # with another one behind it each has a refusal of its own
    expected |= outcomes(single, asked[-1:])
    decision = merged.do(together(asked))
    found = {one.operation: decision.refusals.get(one.operation) for one in asked}
    assert {name: refused.code if refused else None for name, refused in found.items()} == expected
    assert merged.seat(P).participant == single.seat(P).participant
    assert merged.seat(P).said_at == single.seat(P).said_at
    assert len(merged.log) - entries == (len(single.log) > entries)
    for name, code in expected.items():
        assert code is not None or not single.fold.did(name) or merged.fold.did(name)


@given(changes, st.integers(0, 7), st.booleans())
def test_a_repeat_of_any_changes_nothing(asked: list[SelfChange], which: int, restarted: bool) -> None:
    """Of a change that is named in an entry: also after a restart, from a snapshot, and together with new ones."""
    of = room()
    of.do(together([change("first", metadata={"a": 9}), *asked, change("undone", metadata={"a": None})]))
    if restarted:
        text = of.fold.snapshot(whole=True).model_dump_json(by_alias=True)
        of.fold = Roster.of(Snapshot.model_validate_json(text))
    before = of.seat(P)
    named = [change("first", metadata={"a": 9}), *(one for one in asked if of.fold.did(one.operation))]
    again = named[which % len(named)]
    assert not told(of.do(together([again])))
    of.do(together([again, change("new", name="Dora")]))
    assert of.seat(P).participant == before.participant.model_copy(update={"name": "Dora"})


def test_an_entry_names_every_change() -> None:
    """The first in the header that 0.4.0 reads, the others by their fingerprints; one that undoes another is an entry too."""
    of = room()
    on, off = MediaPatch(audio=Track(state="on")), MediaPatch(audio=Track(state="off"))
    decision = of.do(together([change("u1", media=on, asked_at=7.0), change("u2", media=off, asked_at=8.0)]))
    assert told(decision) == [("participant_updated", P, None)]
    assert of.log[-1].stamp.operation == "u1"
    assert of.log[-1].stamp.also == (fingerprint("u2"),)
    assert of.seat(P).said_at == 8.0
    assert not told(of.do(together([change("u3", media=off)]))), "what changes nothing is no entry, as ever"


def test_a_refusal_in_the_middle_is_its_own() -> None:
    """The changes before and behind it are made."""
    of = room()
    decision = of.do(together([change("u1", name="A"), change("u2", name="Longer"), change("u3", metadata={"a": 1})]))
    assert {name: refused.code for name, refused in decision.refusals.items()} == {"u2": Code.TOO_LARGE}
    assert (of.seat(P).participant.name, of.seat(P).participant.metadata) == ("A", {"a": 1})
    assert of.log[-1].stamp.also == (fingerprint("u3"),)
    assert not of.fold.did("u2"), "it may be asked again"


def test_0_4_0_reads_it() -> None:
    """Its fold does not know the other operations, and sees the same room; what it then writes is read here."""
    of = room()
    of.do(together([change("u1", name="A"), change("u2", name="B"), change("u3", name="C")]))
    older = Roster(ROOM, "test")
    for entry in of.log:
        written = headers.of_stamp(entry.stamp)
        written.pop("Parley-Also", None)
        older.apply(Entry(entry.sequence, decode(encode(entry.events)), headers.stamp(written)))
    assert older.snapshot() == of.fold.snapshot()
    # It takes a repeat of the second for a new change. Our fold must not leave that entry out: its revision is taken.
    repeat = decide(older, update(P, "u2", name="B"), Context(NOW, FREE))
    entry = Entry(of.log[-1].sequence + 1, repeat.events, repeat.stamp)  # type: ignore[arg-type]
    assert entry.events
    assert of.fold.apply(entry)
    assert (of.fold.revision, of.seat(P).participant.name) == (older.revision + 1, "B")


def test_nobody_changes_who_has_left_or_moved() -> None:
    """All of the changes are refused when the seat is gone, or has another connection by now."""
    asked = together([change("u1", name="A"), change("u2", name="B")])
    moved = room()
    moved.do(drop("ann"))
    moved.do(resume("ann"))
    gone = room()
    gone.do(leave(P))
    assert refusal(moved, asked).code is refusal(gone, asked).code is Code.NOT_IN_ROOM


# -- how often -------------------------------------------------------------------------------------------------------


def session(n: int, operation: str, of: str = "ann") -> UpdateParticipant:
    """A change of that session's nth participant, as a gateway names it."""
    return update(f"p_{of}_{n}", f"s_{of}_{n}:{operation}", name=f"N{operation}")


def test_changes_have_a_pace() -> None:
    """So many at once, then so many a second; the refusal says when. Somebody else has a pace of its own."""
    of = LoggedRoom(create(), join("ann"), join("bob"), rules=PACED)
    for n in range(5):
        assert told(of.do(session(1, f"{n}")))
    refused = refusal(of, session(1, "5"))
    assert (refused.code, refused.retryable, refused.retry_after_ms) == (Code.RATE_LIMITED, True, 1000)
    assert told(of.do(session(1, "0", "bob")))
    of.now += 0.5
    assert refusal(of, session(1, "5")).retry_after_ms == 500
    of.now += 0.5
    assert told(of.do(session(1, "5")))
    assert refusal(of, session(1, "6")).code is Code.RATE_LIMITED
    assert not told(of.do(session(1, "5"))), "a repeat is answered, however often"
    of.now += 3600
    assert [bool(told(of.do(session(1, f"later{n}")))) for n in range(5)] == [True] * 5
    assert refusal(of, session(1, "later5")).code is Code.RATE_LIMITED


def test_changes_made_together_count_once() -> None:
    """The pace is of entries: what waits together is stored together."""
    of = LoggedRoom(create(), join("ann"), rules=PACED)
    for n in range(5):
        first, *then = (change(f"s_ann_1:{n}.{m}", metadata={"m": m}) for m in range(20))
        assert told(of.do(together([first, *then])))
    assert refusal(of, session(1, "5")).code is Code.RATE_LIMITED


def test_no_way_around_the_pace() -> None:
    """Not by coming back on another gateway, nor by leaving and joining again with the session, nor by a restart of rooms."""
    of = LoggedRoom(create(), join("ann"), rules=PACED)
    for n in range(5):
        of.do(session(1, f"{n}"))
    of.do(drop("ann"))
    of.do(resume("ann"))
    back = session(1, "5").model_copy(update={"epoch": 2})
    assert refusal(of, back).code is Code.RATE_LIMITED
    of.fold = Roster.of(Snapshot.model_validate_json(of.fold.snapshot(whole=True).model_dump_json(by_alias=True)))
    assert refusal(of, back).code is Code.RATE_LIMITED
    of.do(leave(P, epoch=2))
    of.do(join("ann", participant_id="p_ann_2"))
    again = back.model_copy(update={"participant_id": "p_ann_2", "epoch": 1})
    assert refusal(of, again).code is Code.RATE_LIMITED


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_the_pace_holds_over_any_time(pauses: list[float]) -> None:
    """Whenever somebody asks, there are never more entries than the burst and what the rate gives; waiting as told helps."""
    of = LoggedRoom(create(), join("ann"), rules=PACED)
    before, began = len(of.log), of.now
    for n, pause in enumerate(pauses):
        of.now += pause
        try:
            of.do(session(1, f"{n}"))
        except Refused as refused:
            of.now += (refused.retry_after_ms or 0) / 1000 + 0.001
            of.do(session(1, f"{n}"))
        assert len(of.log) - before <= 5 + (of.now - began) * 1.0 + 0.01
