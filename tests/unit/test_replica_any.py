"""The replica's whole promise, over anything that may be lost, doubled or late on the way."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.replica.replica import Delivery, Push, Replica, State
from shared.values.ids import ParticipantId
from tests.support.orders import ROOM, create, join, leave, update
from tests.support.tape import Tape

NAMES = ("a", "b", "c")


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["join", "leave", "update", "signal", "signal"]), st.sampled_from(NAMES), st.sampled_from(NAMES)
    ),
    max_size=25,
)


FATES = st.lists(
    st.sampled_from(["live", "live", "live", "twice", "dropped", "missed", "lag"]), min_size=30, max_size=60
)


def _play(acts: list[tuple[str, str, str]]) -> tuple[Tape, Tape]:
    """A log, and the part of it that the replica starts from. At its end everybody is written to and changes."""
    tape = Tape(create(), join("a"), join("b"))
    start = Tape(create(), join("a"), join("b"))
    stays = {"a": 1, "b": 1}
    last = {"a": 1, "b": 1, "c": 0}
    for n, (act, one, other) in enumerate(acts):
        if act == "join" and one not in stays:
            last[one] += 1
            stays[one] = last[one]
            tape.do(join(one, n=stays[one]))
        elif act == "leave" and one in stays:
            tape.do(leave(f"p_{one}_{stays.pop(one)}"))
        elif act == "update" and one in stays:
            tape.do(update(f"p_{one}_{stays[one]}", f"u{n}", name=f"name {n}"))
        elif act == "signal" and one in stays and other in stays and one != other:
            tape.signal(f"p_{one}_{stays[one]}", f"p_{other}_{stays[other]}")
    everyone = [f"p_{name}_{n}" for name, n in stays.items()]
    for who in everyone:
        tape.do(update(who, f"end {who}", name="end"))
        for to in everyone:
            if who != to:
                tape.signal(who, to)
    return tape, start


def _live(replica: Replica, tape: Tape, fates: list[str]) -> list[Push | Delivery]:
    """Entries as a bad connection brings them; holes are filled from the log as they show."""
    out: list[Push | Delivery] = []
    first = 3
    ending = len(tape.entries) - 6
    for i, entry in enumerate(tape.entries[first:], first):
        fate = fates[i % len(fates)] if i < ending else "live"
        if fate == "missed":
            replica.resync("connection")
        elif fate != "dropped":
            out += replica.receive(entry)
        if fate == "twice":
            out += replica.receive(entry)
            out += replica.receive(tape.entries[i // 2])
        if fate == "lag":
            if replica.state is State.CATCHING_UP:
                out += replica.fill_gap(tape.above(replica.read_from, up_to=i - 1))
            continue
        for _ in range(len(tape.entries)):
            if replica.state is State.LIVE:
                break
            out += replica.fill_gap(tape.above(replica.read_from, up_to=i + 1))
        assert replica.state is State.LIVE
    for _ in range(len(tape.entries)):
        out += replica.fill_gap(tape.above(replica.read_from))
    return out


def told_from(item: Delivery) -> Delivery:
    """Without which events were told before it, which depends on what was lost."""
    return replace(item, cursor=replace(item.cursor, events=None))


@given(ACTS, FATES)
def test_whatever_is_lost_on_the_way(acts: list[tuple[str, str, str]], fates: list[str]) -> None:
    """Live entries may be lost and doubled: what is pushed is what the log says, in its order, each once.

    One exception, and it is the rule above it: a signal read late is dropped when its sender or receiver has left.
    """
    tape, start = _play(acts)
    reference, replica = Replica(ROOM), Replica(ROOM)
    reference.start(start.snapshot())
    replica.start(start.snapshot())
    right = [item for entry in tape.entries[3:] for item in reference.receive(entry)]
    got = _live(replica, tape, fates)
    assert [i for i in got if isinstance(i, Push)] == [i for i in right if isinstance(i, Push)]
    gone = {i.left for i in right if isinstance(i, Push)}
    delivered = [i for i in got if isinstance(i, Delivery)]
    for to in {i.to for i in right if isinstance(i, Delivery)}:
        mine = [told_from(i) for i in delivered if i.to == to]
        due = [told_from(i) for i in right if isinstance(i, Delivery) and i.to == to]
        assert mine == [i for i in due if i in mine], "in order, none twice"
        assert all(gone & {i.to, i.sender} for i in due if i not in mine), "none missing"
    left: set[ParticipantId | None] = set()
    for item in got:
        if isinstance(item, Push):
            left.add(item.left)
        else:
            assert not left & {item.to, item.sender}, "nothing to or from somebody after the user_left"
