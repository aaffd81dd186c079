"""Token buckets, and how a client over its rate is first slowed down, then refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.identity import FailedLogins
from services.gateway.token_bucket import Bucket, MessageRate, Verdict
from shared.values.errors import Code, Refused

STEPS = st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 20)), max_size=60)


@given(st.floats(0.5, 100), st.floats(1, 500), STEPS)
def test_a_bucket_never_gives_more_than_its_rate(rate: float, burst: float, steps: list[tuple[float, float]]) -> None:
    """Over any time it gives at most the burst and what the rate adds; what it refuses it does not take."""
    bucket, now, taken = Bucket(rate, burst), 0.0, 0.0
    for pause, cost in steps:
        now += pause
        before = bucket.level(now)
        wait = bucket.take(now, cost)
        if wait == 0.0:
            taken += cost
        else:
            assert bucket.level(now) == before
        assert taken <= burst + rate * now + 1e-6


@given(st.floats(0.5, 100), st.floats(1, 500), st.floats(0, 1))
def test_it_says_when_to_come_back(rate: float, burst: float, share: float) -> None:
    """Waiting as long as it says is enough, and hardly less is."""
    bucket, cost = Bucket(rate, burst), burst * max(share, 0.01)
    while (wait := bucket.take(0.0, cost)) == 0.0:
        pass
    assert wait < 1e-6 or bucket.take(wait * 0.98, cost) > 0
    assert bucket.take(wait * 1.001 + 1e-9, cost) == 0.0


def test_debts() -> None:
    """Borrowing always succeeds, and says how long it takes to pay back."""
    bucket = Bucket(10, 5)
    assert bucket.borrow(0, 5) == 0
    assert bucket.borrow(0, 20) == pytest.approx(2)
    assert bucket.level(1) == pytest.approx(-10)


def test_slow_down_then_refuse_then_calm() -> None:
    """Over the rate: slowed down for the patience, then refused; after a pause everything is as in the beginning."""
    rate = MessageRate(10, 20, patience=2)
    assert [rate.rule(0).verdict for _ in range(20)] == [Verdict.PASS] * 20
    now, verdicts = 0.0, []
    while now < 3:
        ruling = rate.rule(now)
        verdicts.append(ruling.verdict)
        now += ruling.seconds if ruling.verdict is Verdict.SLOW_DOWN else 0.01
        assert ruling.seconds <= 2
    assert verdicts[0] is Verdict.SLOW_DOWN
    assert Verdict.REFUSE in verdicts
    first = verdicts.index(Verdict.REFUSE)
    assert set(verdicts[first:]) <= {Verdict.REFUSE, Verdict.PASS}, "no more patience until it calmed down"
    assert rate.rule(now + 5).verdict is Verdict.PASS
    assert [rate.rule(now + 5).verdict for _ in range(20)][-1] is Verdict.SLOW_DOWN


@given(st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 16)), min_size=1, max_size=200))
def test_a_client_gets_no_more_than_its_share(messages: list[tuple[float, int]]) -> None:
    """Whatever it tries, what passes stays within burst, rate, and what the time it is slowed down for allows."""
    rate, now, passed = MessageRate(50, 200, 2), 0.0, 0
    for pause, receivers in messages:
        now += pause
        ruling = rate.rule(now, receivers)
        if ruling.verdict is not Verdict.REFUSE:
            passed += receivers
        if ruling.verdict is Verdict.SLOW_DOWN:
            now += ruling.seconds
        assert passed <= 200 + 50 * now + 16 * 2


@given(st.lists(st.floats(200, 5000), max_size=50))
def test_large_rooms_are_no_source_of_tokens(bursts: list[float]) -> None:
    """A large room adds to the burst once: going in and out of it does not."""
    rate = MessageRate(50, 200, 2)
    for burst in bursts:
        rate.allow_burst(burst)
        rate.allow_burst(200)
    rate.allow_burst(5000)
    passed = 0
    while rate.rule(0).verdict is Verdict.PASS:
        passed += 1
    assert passed <= 5000


def test_a_subscriber_guesses_from_all_its_addresses_at_once() -> None:
    """Refused tokens count for the /64 network of IPv6, however the address is written; other networks are not affected."""
    failed = FailedLogins(3, lambda: 0.0)
    for address in ("2001:db8::1", "[2001:db8::2]:4711", "2001:db8:0:0:ffff::3"):
        failed.check(address)
        failed.count(address, Refused(Code.INVALID_TOKEN, "no"))
    with pytest.raises(Refused) as refused:
        failed.check("2001:db8::4")
    assert refused.value.code is Code.THROTTLED
    failed.check("2001:db8:0:1::1")
