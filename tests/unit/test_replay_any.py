"""What was missed, whatever happened: as if it had been there."""

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.replica.replica import Delivery, Push
from shared.values.cursor import Cursor
from shared.values.ids import GatewayId, ParticipantId
from tests.support.absence import drop, resume
from tests.support.orders import close, create, join, leave, update, update_room
from tests.support.stored import events_of
from tests.support.tape import Tape
from tests.unit.test_replay import ME, cursor_of, live, missed, state, told

NAMES = ("a", "b", "c")


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["join", "again", "leave", "update", "drop", "resume", "signal", "signal", "stale", "room"]),
        st.sampled_from([*NAMES, "me"]),
        st.sampled_from([*NAMES, "me"]),
    ),
    max_size=30,
)


def play(acts: list[tuple[str, str, str]], closes: bool) -> Tape:
    """A log in which I am from the third entry on; others come, go, move and write."""
    tape = Tape(create(), join("a"), join("me"))
    stays, last = {"a": 1, "me": 1}, {"a": 1, "me": 1, "b": 0, "c": 0}
    for n, (act, one, other) in enumerate(acts):
        seat = tape.fold.seats.get(ParticipantId(f"p_{one}_{stays.get(one, 0)}"))
        if act in ("join", "again") and one != "me" and (seat is None or act == "again"):
            stays[one] = last[one] = last[one] + 1
            tape.do(join(one, n=stays[one]))
        elif seat is None or seat.gateway is None:
            continue
        elif act == "leave" and one != "me":
            tape.do(leave(seat.participant.id, epoch=seat.epoch))
        elif act == "update":
            tape.do(update(seat.participant.id, f"u{n}", name=f"name {n}", epoch=seat.epoch))
        elif act == "drop" and seat.participant.connection == "connected":
            tape.do(drop(one, seat.gateway, seat.epoch, n=stays[one]))
        elif act == "resume":
            tape.do(resume(one, GatewayId(f"g{n}"), f"r{n}", n=stays[one]))
        elif act in ("signal", "stale") and other in stays and one != other:
            tape.signal(seat.participant.id, f"p_{other}_{stays[other]}", epoch=seat.epoch - (act == "stale"))
        elif act == "room":
            tape.do(update_room(operation=f"o{n}", name=f"room {n}"))
    if closes:
        tape.do(close())
    return tape


def told_after_all(item: Push | Delivery, tape: Tape, cursor: Cursor) -> bool:
    """The exception: an old gateway's signal after a move that is before the cursor, of a sender that left by another's
    doing: its room was closed, or its device joined again.

    Its epoch at the time stands nowhere in what is read.
    """
    return isinstance(item, Delivery) and item.sequence > cursor.sequence and item.sender in left_by_another(tape)


def left_by_another(tape: Tape) -> set[ParticipantId]:
    """Who left in an entry that is not of its own request."""
    batches = events_of(tape.entries)
    return {
        event.change.participant.id
        for batch in batches
        for event in batch.events
        if event.type == "participant_left" and event.change.participant is not None
        if batch.stamp.participant != event.change.participant.id
    }


def test_told_after_all() -> None:
    """That exception, as it is: once who wrote was replaced, what it wrote by a gateway that it had left is told too."""
    tape = Tape(create(), join("a"), join("me"), resume("a", GatewayId("g2"), "r1"))
    cursor = Cursor("tape", tape.entries[-1].position)
    stale = tape.signal("p_a_1", ME, epoch=1)
    assert told(missed(tape, cursor, stale.position)) == []
    end = tape.do(join("a", n=2)).position
    found = missed(tape, cursor, end)
    assert found is not None
    assert [told_after_all(item, tape, cursor) for item in found.items if isinstance(item, Delivery)] == [True]


@given(ACTS, st.booleans(), st.data())
def test_as_if_it_had_been_there(acts: list[tuple[str, str, str]], closes: bool, data: st.DataObject) -> None:
    """From every cursor, parts of a batch too, up to any end: exactly what a live member got between the two."""
    tape = play(acts, closes)
    start = tape.entries[2].position
    heard = live(tape, start)
    for seen, cursor in enumerate([Cursor("tape", start), *(cursor_of(item) for item in heard)]):
        ends = [entry.position for entry in tape.entries if entry.position >= cursor.sequence]
        end = data.draw(st.sampled_from(ends))
        known = data.draw(st.sampled_from([sequence for sequence in ends if sequence <= end]))
        found = missed(tape, cursor, end, known)
        assert found is not None
        right = [item for item in heard[seen:] if item.sequence <= end]
        more = [item for item in found.items if item not in right]
        assert [item for item in found.items if item not in more] == right
        assert all(told_after_all(item, tape, cursor) for item in more)
        assert (found.sequence, found.revision) == (end, state(tape, end).revision)
