"""The broker's time, as it is estimated from answers."""

from hypothesis import given
from hypothesis import strategies as st

from shared.broker.clock import HELD_SECONDS, BrokerClock, Difference

BROKER = 1_800_000_000.0


class Host:
    """A host with its own clock, which may be wrong."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.ticks = 1000.0
        self.ahead = ahead
        self.clock = BrokerClock(lambda: self.ticks, lambda: BROKER + self.ticks + self.ahead)

    def hears(self, there: float, back: float, broker: float = BROKER) -> None:
        """Ask: the question takes `there`, the answer `back`; the broker's clock says `broker` at tick 0."""
        sent = self.ticks
        self.ticks += there + back
        self.clock.take(sent, self.ticks, broker + sent + there)

    @property
    def true(self) -> float:
        """The broker's time."""
        return BROKER + self.ticks


def test_without_an_answer_the_hosts_own_clock() -> None:
    """Before the first answer there is nothing better; and no difference is claimed."""
    host = Host(7.0)
    assert host.clock() == host.true + 7
    assert host.clock.off is None


@given(st.floats(-1e6, 1e6), st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5), st.floats(0, 100)), min_size=1))
def test_right_within_its_doubt(ahead: float, answers: list[tuple[float, float, float]]) -> None:
    """However wrong the host's clock is, and however slow and lopsided the answers are: right within what it says."""
    host = Host(ahead)
    for there, back, pause in answers:
        host.hears(there, back)
        host.ticks += pause
        assert host.clock.off is not None
        off, doubt = host.clock.off
        assert abs(off - ahead) <= doubt + 1e-5


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3)), min_size=2))
def test_never_goes_back(answers: list[tuple[float, float]]) -> None:
    """What is asked later has no earlier time, so that what a client says first is not taken for the older."""
    host = Host(50.0)
    given_out = []
    for there, back in answers:
        host.hears(there, back)
        given_out.append(host.clock())
    assert given_out == sorted(given_out)


def test_the_fastest_answer_counts() -> None:
    """A slow answer does not spoil what a fast one said, until that is too old to be better."""
    host = Host()
    host.hears(0.001, 0.001)
    host.hears(0.0, 4.0)
    assert abs(host.clock() - host.true) < 0.01


def test_another_leader_is_believed() -> None:
    """When another server answers whose clock is other, or this host slept, the newer answer counts at once."""
    host = Host()
    host.hears(0.001, 0.001)
    host.hears(0.01, 0.01, broker=BROKER + 120)
    assert abs(host.clock() - host.true - 120) < 0.1
    host.hears(0.01, 0.01)
    assert host.clock() - host.true > 119, "it stands still rather than go back"
    host.ticks += 125
    assert abs(host.clock() - host.true) < 0.2


def test_nonsense_does_not_stop_time_for_ever() -> None:
    """A server that was years ahead for a moment is forgotten with the next answer."""
    host = Host()
    host.hears(0.001, 0.001, broker=BROKER + 1e9)
    host.clock()
    host.hears(0.001, 0.001)
    assert abs(host.clock() - host.true) < 0.1
    assert HELD_SECONDS < 1e9


def test_a_difference_is_news_once() -> None:
    """Half a second is told once, again only after it was fine; and not while it is in doubt."""
    difference = Difference()
    seen = [(0.4, 0.0), (0.9, 0.5), (0.51, 0.0), (0.6, 0.0), (0.3, 0.0), (0.2, 0.0), (0.1, 0.0), (-0.7, 0.1)]
    assert [difference.changed(*off) for off in seen] == [False, False, True, False, False, True, False, True]
