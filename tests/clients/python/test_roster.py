"""The fold of a room, whatever its history: tests/vectors/fold.json has the cases one by one."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from parley.events import ParticipantJoined, ParticipantLeft
from parley.roster import Roster


def participant(n: int, **fields: Any) -> dict[str, Any]:
    """As it stands on the wire."""
    return {"id": f"p{n}", "agentId": f"agent-{n}", "order": n, "name": f"N{n}", "metadata": {}, **fields}


def users(revision: int, *who: dict[str, Any], me: str = "p1") -> dict[str, Any]:
    """A room_users."""
    return {"type": "room_users", "room": {"roomId": "r"}, "self": me, "revision": revision, "participants": list(who)}


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Pushes from revision 1 on, and who is there at the end."""
    there = {1: participant(1)}
    pushes: list[dict[str, Any]] = []
    for revision in range(2, draw(st.integers(2, 20))):
        n = draw(st.integers(2, 5))
        if n not in there:
            there[n] = participant(n)
            pushes.append({"type": "user_joined", "revision": revision, "participant": there[n]})
        elif draw(st.booleans()):
            there[n] = participant(n, metadata={"at": revision})
            pushes.append({"type": "user_updated", "revision": revision, "participant": there[n]})
        else:
            del there[n]
            pushes.append({"type": "user_left", "revision": revision, "participantId": f"p{n}", "reason": "left"})
    return pushes, list(there.values())


@given(histories(), st.data())
def test_a_roster_is_the_same_by_pushes_or_by_snapshot(
    history: tuple[list[dict[str, Any]], list[dict[str, Any]]], data: st.DataObject
) -> None:
    """Pushes one by one, a snapshot, or both with pushes twice, lead to the same participants; the events of a
    snapshot turn what was known into what it says; a push that is left out is noticed as a gap."""
    pushes, at_end = history
    folded = Roster(users(1, participant(1)))
    for push in pushes:
        assert not folded.apply(push).gap
        assert folded.apply(push).events == ()
    whole = Roster(users(len(pushes) + 1, *at_end))
    assert folded.participants == whole.participants
    assert list(folded.participants) == sorted(folded.participants, key=lambda id_: folded.participants[id_].order)
    cut = data.draw(st.integers(0, len(pushes)))
    partial = Roster(users(1, participant(1)))
    for push in pushes[:cut]:
        partial.apply(push)
    known = set(partial.participants)
    for event in partial.replace(users(len(pushes) + 1, *at_end)):
        if isinstance(event, ParticipantJoined):
            known.add(event.participant.id)
        elif isinstance(event, ParticipantLeft):
            known.remove(event.participant.id)
    assert known == set(whole.participants)
    assert partial.participants == whole.participants
    if len(pushes) >= 2:
        gapped = Roster(users(1, participant(1)))
        assert gapped.apply(pushes[1]).gap


def test_an_old_snapshot_changes_nothing() -> None:
    """A room_users that is older than what is known is not believed."""
    roster = Roster(users(5, participant(1), participant(2)))
    assert roster.replace(users(4, participant(1))) == ()
    assert set(roster.participants) == {"p1", "p2"}
