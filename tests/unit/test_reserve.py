"""What is admitted at each level of the reserve, and how fast signals may be stored."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.reserve import PATIENCE_SECONDS, SignalReserve
from services.rooms.admission import EVENT_BYTES, FREE_MOVES, MOVE_SECONDS, Admission
from services.rooms.decision import Context, RoomInput
from services.rooms.rules import decide
from services.rooms.settings import RoomsSettings
from shared.broker.memory.broker import MemoryBroker
from shared.broker.memory.ports import connect
from shared.rooms.events import RoomEvent
from shared.rooms.reserve import Place, Reserve, Thresholds
from shared.values.errors import Code, Refused
from tests.support.absence import RULES, resume, room_of
from tests.support.orders import LoggedRoom, join

MIB = 1 << 20


def at(share: float, size: int = 100 * MIB, refusal: str | None = None) -> Reserve:
    return Reserve.of([Place("log", int(share * size), size)], Thresholds(), refusal)


@pytest.mark.parametrize(
    ("share", "newcomers", "changes", "slowed"),
    [
        (0.0, True, True, False),
        (0.79, True, True, False),
        (0.81, True, True, True),
        (0.91, False, True, True),
        (0.96, False, False, True),
        (1.2, False, False, True),
    ],
)
def test_levels(share: float, newcomers: bool, changes: bool, slowed: bool) -> None:
    """Above 80 % signals are slowed, above 90 % newcomers are refused, above 95 % signals and changes too."""
    reserve = at(share)
    assert reserve.admits_newcomers() is newcomers
    assert reserve.admits_changes() is changes
    assert (reserve.signal_rate(60) is not None) is slowed
    assert (reserve.signal_rate(60) == 0.0) is not changes
    assert (reserve.notice() is not None) is slowed


def test_the_tightest_place_counts() -> None:
    """Of several places the fullest one decides, and is named; one without a limit never does."""
    places = [Place("log", 10, 100), Place("store", 93, 100), Place("disk", 10**12, 0)]
    reserve = Reserve.of(places, Thresholds(), None)
    assert (reserve.place, reserve.admits_newcomers()) == ("store", False)
    assert reserve.notice() == "the store of NATS is 93 % full: joins and new rooms are refused, signals are slowed"
    assert Reserve.of([], Thresholds(), None).share() == 0


def test_why_nothing_is_stored_is_said_first() -> None:
    """NATS' own words are the notice, however full it is."""
    assert at(0.1, refusal="no space left on device").notice() == "NATS stores nothing: no space left on device"


@given(st.floats(0.8, 0.95), st.integers(1, 120), st.lists(st.integers(1, 200_000), max_size=300))
def test_signals_alone_never_fill_the_reserve(share: float, seconds: int, sizes: list[int]) -> None:
    """One gateway's signals, however many, stay below the share from which they are refused, though none expires."""
    size = 100 * MIB
    now = [0.0]
    gateway = SignalReserve(connect(MemoryBroker()).requests, seconds, lambda: now[0])
    used = share * size
    gateway.told(at(share, size), now[0])
    for number, body in enumerate(sizes):
        try:
            wait = gateway.wait(body, now[0])
        except Refused:
            wait = 0.1
        else:
            assert wait <= PATIENCE_SECONDS
            used += body
        now[0] += wait
        if number % 10 == 9:
            now[0] += 1
            gateway.told(at(used / size, size), now[0])
    burst = PATIENCE_SECONDS * (0.95 - share) * size / seconds + max(sizes, default=0)
    assert used <= 0.95 * size + burst


def test_what_others_store_is_foreseen() -> None:
    """Between two looks, the log is believed to grow as it grew before: this gateway slows although it stored nothing."""
    gateway = SignalReserve(connect(MemoryBroker()).requests, 60, lambda: 0.0)
    gateway.told(at(0.60), 0.0)
    gateway.told(at(0.75), 1.0)
    assert gateway.wait(1000, 1.0) == 0
    gateway.wait(MIB // 4, 1.5)
    assert gateway.wait(1000, 1.5) > 0
    gateway = SignalReserve(connect(MemoryBroker()).requests, 60, lambda: 0.0)
    gateway.told(at(0.50), 0.0)
    gateway.told(at(0.85), 1.0)
    gateway.wait(1000, 9.0)  # 95 % is only foreseen: slowed, and not refused


async def test_an_answer_is_believed_for_a_while_only() -> None:
    """When rooms is away for long, or of a release without a reserve, signals pass."""
    now = [0.0]
    gateway = SignalReserve(connect(MemoryBroker()).requests, 60, lambda: now[0])
    gateway.told(at(0.99), 0.0)
    with pytest.raises(Refused, match="reserve"):
        gateway.wait(1, 5.0)
    now[0] = 11.0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await gateway.run()
    assert gateway.wait(1, 11.0) == 0
    assert gateway.notice() is None


def test_appends_since_the_last_look_count() -> None:
    """A replica that appends much between two looks refuses before the next look shows it."""
    admission = Admission()
    admission.looked(at(0.949, MIB))
    reserve = admission.reserve
    assert reserve.admits_changes()
    assert not reserve.admits_changes(2 * EVENT_BYTES)


@pytest.mark.parametrize(("share", "passes"), [(0.5, True), (0.93, True), (0.96, False)])
def test_replacing_an_own_seat_ends_with_the_reserve(share: float, passes: bool) -> None:
    """Two sessions of one device can take one seat from each other for ever: above 95 % neither can."""
    room = room_of("alice")
    again = join("alice", n=2)
    events = decide(room.fold, again, Context(100.0, RULES)).events
    assert [event.type for event in events] == ["participant_left", "participant_joined"]
    assert admits(again, events, room, share) is passes


@pytest.mark.parametrize(("share", "passes"), [(0.93, True), (0.96, False)])
def test_coming_and_going_ends_with_the_reserve(share: float, passes: bool) -> None:
    """Above 95 % a seat moves to another connection a few times, and then every few seconds only. Below, always."""
    room = room_of("alice")
    for number in range(FREE_MOVES):
        back = resume("alice", operation=f"r{number}").model_copy(update={"since": 1000.0 + number})
        assert admits(back, decide(room.fold, back, Context(100.0, RULES)).events, room, 0.99)
        room.do(back)
    soon, later = (
        resume("alice", operation="again").model_copy(update={"since": 1000.0 + FREE_MOVES - 1 + seconds})
        for seconds in (MOVE_SECONDS - 0.1, MOVE_SECONDS)
    )
    assert admits(soon, decide(room.fold, soon, Context(100.0, RULES)).events, room, share) is passes
    assert admits(later, decide(room.fold, later, Context(100.0, RULES)).events, room, share)
    done = back.model_copy(update={"since": soon.since})
    assert admits(done, decide(room.fold, done, Context(100.0, RULES)).events, room, share), "it was done before"


def admits(command: RoomInput, events: Sequence[RoomEvent], room: LoggedRoom, share: float) -> bool:
    admission = Admission()
    admission.looked(at(share))
    try:
        admission.check(command, events, room.fold)
    except Refused as refused:
        if refused.code is not Code.UNAVAILABLE:
            raise
        return False
    return True


@pytest.mark.parametrize("shares", [(0.9, 0.8, 0.95), (0.8, 0.96, 0.95)])
def test_thresholds_ascend(shares: tuple[float, float, float]) -> None:
    """Settings that would refuse signals before they are slowed are an error at start."""
    with pytest.raises(ValueError, match="must ascend"):
        RoomsSettings(
            mode="development",
            reserve_slows_signals=shares[0],
            reserve_refuses_joins=shares[1],
            reserve_refuses_signals=shares[2],
        )
