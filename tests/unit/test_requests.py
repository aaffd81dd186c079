"""Request ids: the same request again has no second effect."""

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.session.idempotency import REMEMBERED, DoneRequests, Seen


def test_new_done_taken() -> None:
    """An id is new until its request succeeded; then it stands for that very text."""
    requests = DoneRequests()
    assert requests.seen("1", "a") is Seen.NEW
    assert requests.seen("1", "b") is Seen.NEW
    requests.done("1", "a")
    assert requests.seen("1", "a") is Seen.DONE
    assert requests.seen("1", "b") is Seen.TAKEN
    assert requests.seen("2", "a") is Seen.NEW


@given(st.lists(st.tuples(st.text(min_size=1, max_size=4), st.text(max_size=4)), max_size=2 * REMEMBERED))
def test_the_newest_are_remembered(done: list[tuple[str, str]]) -> None:
    """The last ones are remembered with their text, and no more than that many."""
    requests = DoneRequests()
    order: list[str] = []
    texts: dict[str, str] = {}
    for request_id, text in done:
        requests.done(request_id, text)
        texts[request_id] = text
        if request_id not in order:
            order.append(request_id)
        if len(order) > REMEMBERED:
            del texts[order.pop(0)]
    for request_id in order:
        assert requests.seen(request_id, texts[request_id]) is Seen.DONE


def test_the_oldest_is_forgotten() -> None:
    """Memory is bounded: after as many others, an id is new again."""
    requests = DoneRequests()
    for n in range(REMEMBERED + 1):
        requests.done(str(n), "text")
    assert requests.seen("0", "text") is Seen.NEW
    assert requests.seen("1", "text") is Seen.DONE
