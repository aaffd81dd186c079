"""When a stream is another one: made anew, or back at an earlier time; and when it only seems so."""

from dataclasses import replace

from shared.broker.watch import Change, Sight, StreamState
from shared.values.position import Position

PATIENCE = 2.5
AT_100 = StreamState("ROOMS", "a", "then", Position(1), Position(100), 100, 5000, 0)


def at(last: int, incarnation: str = "a") -> StreamState:
    """The stream with this end."""
    return replace(AT_100, last=Position(last), incarnation=incarnation)


def seen(*looks: StreamState | None) -> tuple[Sight, list[Change | None]]:
    """A sight after these looks, a second apart, and what each found."""
    sight = Sight(PATIENCE)
    return sight, [sight.take(look, float(second)) for second, look in enumerate(looks)]


def test_a_stream_that_grows_is_the_same() -> None:
    """However often it is looked at; the first look finds nothing, whatever is there."""
    sight, found = seen(at(0), at(5), at(5), at(100))
    assert found == [None] * 4
    assert (sight.generation, sight.known, sight.doubtful) == (0, at(100), False)


def test_a_stream_that_is_missing_is_said_once() -> None:
    """When it is there again it is the same one, if it has the same name and no lower end."""
    sight, found = seen(at(5), None, None, at(5))
    assert found == [None, Change.MISSING, None, None]
    assert sight.generation == 0
    assert sight.state == sight.known == at(5)


def test_a_stream_that_was_not_there_yet_is_not_missing() -> None:
    """A process that came first has lost nothing."""
    assert seen(None, None, at(5))[1] == [None, None, None]


def test_a_stream_of_another_name_is_another_one() -> None:
    """At once, whether its end is higher or lower, and whether it was seen missing."""
    assert seen(at(100), at(3, "b"), at(4, "b"))[1] == [None, Change.ANEW, None]
    assert seen(at(100), None, at(300, "b"))[1] == [None, Change.MISSING, Change.ANEW]
    assert seen(at(100), at(3, "b"))[0].generation == 1


def test_a_lower_end_is_another_one_when_it_stays_lower() -> None:
    """A volume that was rolled back keeps its name. Until it is sure, what is known is the stream as it was."""
    sight, found = seen(at(100), at(60), at(61), at(62))
    assert found == [None, None, None, None]
    assert sight.doubtful
    assert sight.known == at(100)
    assert sight.take(at(63), 4.0) is Change.BACK
    assert (sight.generation, sight.known, sight.doubtful) == (1, at(63), False)
    assert sight.take(at(64), 5.0) is None


def test_a_leader_that_catches_up_is_no_other_stream() -> None:
    """An end that is lower for a moment is a hint, no finding; the next doubt begins anew."""
    sight, found = seen(at(100), at(60), at(99), at(100), at(60), at(60))
    assert found == [None] * 6
    assert sight.generation == 0


def test_a_name_given_by_the_owner_is_no_second_finding() -> None:
    """Who found the end lower and gave the stream another name knows it; others find another stream, once."""
    owner, _ = seen(at(100), at(60), at(60), at(60), at(60))
    assert owner.generation == 1
    owner.rename(at(60, "b"))
    assert owner.take(at(61, "b"), 6.0) is None
    other, found = seen(at(100), at(60), at(60, "b"), at(61, "b"), at(61, "b"), at(61, "b"))
    assert [change for change in found if change] == [Change.ANEW]
    assert (other.generation, other.doubtful) == (1, False)
