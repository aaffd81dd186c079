"""The cases that both SDKs are held to: the same files are run by vitest in clients/js."""

import copy
import json
from datetime import datetime
from typing import Any

import pytest
from parley.merge_patch import merge_patch
from parley.roster import Roster
from parley.rtc.ice_credentials import renewed
from parley.rtc.negotiation import Negotiation, generation_of
from parley.transport.link_state import Action, Event, State, is_final, loss_of, step

from shared.rooms import model as services
from tests.support.processes import ROOT

VECTORS = ROOT / "tests/vectors"
SDK = "python"


def cases(file: str, section: str = "cases") -> list[Any]:
    """Those of a section that this SDK has, each named by its `name`."""
    found = json.loads((VECTORS / f"{file}.json").read_text())[section]
    return [
        pytest.param(one, id=str(one.get("name", one.get("label", n))))
        for n, one in enumerate(found)
        if SDK in one.get("only", [SDK])
    ]


def as_sent(roster: Roster) -> dict[str, Any]:
    """A roster as the protocol's objects."""
    return {
        "revision": roster.revision,
        "self": roster.self_id,
        "room": roster.info.raw,
        "participants": [one.raw for one in roster.participants.values()],
    }


@pytest.mark.parametrize("case", cases("fold"))
def test_fold(case: dict[str, Any]) -> None:
    """After each push the roster is the one that the case says, and a gap is noticed where it says."""
    first, *steps = case["steps"]
    roster = Roster(first["push"])
    assert (as_sent(roster), first["gap"]) == (first["roster"], False)
    for one in steps:
        push = one["push"]
        gap = False
        if push["type"] == "room_users":
            roster.replace(push)
        else:
            gap = roster.apply(push).gap
        assert (as_sent(roster), gap) == (one["roster"], one["gap"]), push


@pytest.mark.parametrize("merge", [merge_patch, services.merge_patch], ids=["sdk", "services"])
@pytest.mark.parametrize("case", cases("merge_patch"))
def test_merge_patch(case: dict[str, Any], merge: Any) -> None:
    """The result is that of the case, and neither argument is changed; the services merge in the same way."""
    before = copy.deepcopy(case)
    assert merge(case["target"], case["patch"]) == case["result"]
    assert case == before


@pytest.mark.parametrize("case", cases("negotiation", "signals"))
def test_verdicts(case: dict[str, Any]) -> None:
    """What is done with a description or a candidate, in a given state of the negotiation."""
    rules = Negotiation(polite=False)
    rules.generation = 1
    for name, value in case["standing"].items():
        assert hasattr(rules, name), name
        setattr(rules, name, value)
    rules._ignored = case.get("ignored")
    signal, expected = case["signal"], case["verdict"]
    if isinstance(expected, dict):
        expected = expected[SDK]
    negotiation = signal.get("negotiation")
    if signal["type"] == "offer":
        restart, closed = case.get("restart", False), case.get("closed", False)
        verdict = rules.judge_offer(negotiation, restart=restart, closed=closed).name.lower()
    else:
        judge = rules.judge_answer if signal["type"] == "answer" else rules.judge_candidate
        verdict = "apply" if judge(negotiation) else "drop"
    assert verdict == expected


@pytest.mark.parametrize("case", cases("negotiation", "labels"))
def test_labels(case: dict[str, Any]) -> None:
    """Which generation a label names; another client's labels name none."""
    assert generation_of(case["label"]) == case["generation"]


@pytest.mark.parametrize("case", cases("negotiation", "credentials"))
def test_credentials(case: dict[str, Any]) -> None:
    """Whether a relay is replaced when ICE servers come, and which end of credentials is known then."""
    now = datetime.fromisoformat(case["now"])
    assert renewed(case["known"], case["told"], now) == (case["restart"], case["then"])


OTHERS_ONLY = {"wake", "online"}  # events that only a page has


def test_every_transition_of_the_link() -> None:
    """Each state and event leads where the table says, and what is not in it changes nothing and does nothing."""
    document = json.loads((VECTORS / "link.json").read_text())
    assert set(document["states"]) == set(State)
    assert set(document["events"]) - OTHERS_ONLY == set(Event)
    listed = {
        (one["from"], one["event"]): (one["to"], tuple(one["actions"]))
        for one in document["transitions"]
        if SDK in one.get("only", [SDK])
    }
    assert {action for _, actions in listed.values() for action in actions} == set(Action)
    for state in State:
        for event in Event:
            assert step(state, event) == listed.get((state, event), (state, ())), (state, event)


@pytest.mark.parametrize("case", cases("link", "sequences"))
def test_lives_of_the_link(case: dict[str, Any]) -> None:
    """One event after another, from connecting to the end."""
    state = State(case["from"])
    for one in case["steps"]:
        state, actions = step(state, Event(one["event"]))
        assert (state, list(actions)) == (one["to"], one["actions"]), one


@pytest.mark.parametrize("case", cases("link", "codes"))
def test_close_codes(case: dict[str, Any]) -> None:
    """Which close codes are final, and what they mean for the present connection."""
    assert (is_final(case["code"]), loss_of(case["code"])) == (case["final"], case["lost"])
