"""Whether a mutant changes what is decided, or only a sentence for people."""

import re

_LITERAL = re.compile(r'f?"[^"\n]*"' + r"|f?'[^'\n]*'")
_SENTENCE = re.compile(r"(?=.*[A-Za-z]).* ")  # words, with a space between
_NO_SENTENCE = re.compile(r"(Refused\(\s*Code\.\w+,\s*|ValueError\()None\b")


def is_wording(went: str, came: str) -> bool:
    """Whether lines that went and lines that came differ in nothing but a sentence."""
    kept = _without_sentences(went)
    return kept == _without_sentences(came) or (kept, came) == ("§,", "None,")


def _without_sentences(code: str) -> str:
    """The code with one sign for each sentence. Literals are taken in turn: what stands between two of them is code."""
    return _LITERAL.sub(
        lambda found: "§" if _SENTENCE.match(found[0]) else found[0], _NO_SENTENCE.sub(r'\1"a sentence"', code)
    )
