"""What a process says of a store that refuses: each episode once."""

from structlog.testing import capture_logs

from shared.broker.nats.refusals import QUIET_SECONDS, Refusals

EVENT, TIMER = "agentlink.log.a.event", "agentlink.timer.set.lease.g"


def test_an_episode_is_said_once_though_small_entries_pass() -> None:
    """A log that is full takes a small entry now and then; that is no end. After a quiet while it is, and is said."""
    refusals = Refusals()
    with capture_logs() as logs:
        for second in range(5):
            refusals.refused(EVENT, "maximum bytes exceeded", second)
            refusals.stored(EVENT, second + 0.5)
        assert (len(logs), logs[0]["why"], refusals.why) == (1, "maximum bytes exceeded", "maximum bytes exceeded")
        refusals.stored(EVENT, 4 + QUIET_SECONDS)
        assert (len(logs), logs[1]["event"], refusals.why) == (2, "NATS stores again", None)
        refusals.stored(EVENT, 30)
        refusals.refused(EVENT, "maximum bytes exceeded", 40)
    assert len(logs) == 3


def test_streams_and_reasons_are_told_apart() -> None:
    """Another stream, or another reason, is said too; what is stored in one stream does not end another's episode."""
    refusals = Refusals()
    with capture_logs() as logs:
        refusals.refused(EVENT, "no answer", 0)
        refusals.refused(TIMER, "no answer", 0)
        refusals.refused(EVENT, "insufficient resources", 1)
        refusals.stored(TIMER, 100)
    assert [(line["what"], line.get("why")) for line in logs] == [
        ("log", "no answer"),
        ("timer", "no answer"),
        ("log", "insufficient resources"),
        ("timer", None),
    ]
    assert refusals.why == "insufficient resources"
