"""What `make mutate` leaves out by itself: mutants that differ from the code in a sentence for people, and no others."""

import pytest

from tests.mutation.wording import is_wording

REFUSAL = 'raise Refused(Code.FORBIDDEN, "you may not")'


@pytest.mark.parametrize(
    ("went", "came"),
    [
        (REFUSAL, 'raise Refused(Code.FORBIDDEN, "XXyou may notXX")'),
        (REFUSAL, "raise Refused(Code.FORBIDDEN, None)"),
        ('raise ValueError("no room")', "raise ValueError(None)"),
        ('f"a name has {limit} characters",', "None,"),
        ("return 'no \"room\"' if x else None", "return 'NO \"ROOM\"' if x else None"),
    ],
)
def test_a_sentence_is_wording(went: str, came: str) -> None:
    """Another sentence, or none where one belongs."""
    assert is_wording(went, came)


@pytest.mark.parametrize(
    ("went", "came"),
    [
        (REFUSAL, 'raise Refused(None, "you may not")'),
        (REFUSAL, 'raise Refused("you may not")'),
        (REFUSAL, "raise Refused(Code.FORBIDDEN, )"),
        ('return "a fault"', "return None"),
        ('kind == "a" and state == "b"', 'kind == "a" or state == "b"'),
        ('if kind == "a b" and x:', 'if kind == "a b" or x:'),
        ('if kind == "created":', 'if kind == "XXcreatedXX":'),
        ('text.split(" ")', 'text.split("XX XX")'),
        ('text.split(" ")', "text.split(None)"),
    ],
)
def test_all_else_is_a_decision(went: str, came: str) -> None:
    """Codes, words that the code compares, and what stands between two literals."""
    assert not is_wording(went, came)
