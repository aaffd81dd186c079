"""What deploy/nats/accounts.conf says, for tests: its users, and what each may publish and hear."""

import re
from collections.abc import Iterator

from services.registry import ACCOUNTS

_STARS = re.compile(r"\*")


def users() -> Iterator[tuple[str, str, str]]:
    """Account, user, and the text of its permissions, from deploy/nats/accounts.conf without its comments."""
    text = re.sub(r"\s#.*$", "", ACCOUNTS.read_text(), flags=re.MULTILINE)
    for account in re.split(r"^  (?=[A-Z]+ \{$)", text, flags=re.MULTILINE)[1:]:
        for user in re.split(r"^      \{$", account, flags=re.MULTILINE)[1:]:
            (name,) = re.findall(r"user: (\w+)$", user, re.MULTILINE)
            yield account.split()[0], name, user


def allowed(user: str, verb: str) -> set[str]:
    """The subjects that a user may publish or subscribe, as they are written there."""
    (text,) = (text for _, name, text in users() if name == user)
    (listed,) = re.findall(rf"{verb} \{{\s*allow: \[(.*?)\]", text, re.DOTALL)
    return set(re.findall(r'"([^"]+)"', listed))


def example(subject: str, word: str) -> str:
    """A subject that this one with wildcards allows: the word in the place of each."""
    return _STARS.sub(word, subject).replace(">", word)


def may_publish(user: str, subject: str) -> bool:
    """Whether a user may publish to this subject itself."""
    return any(_matches(pattern.split("."), subject.split(".")) for pattern in allowed(user, "publish"))


def _matches(pattern: list[str], subject: list[str]) -> bool:
    if pattern[-1:] == [">"]:
        return len(subject) >= len(pattern) and _matches(pattern[:-1], subject[: len(pattern) - 1])
    return len(pattern) == len(subject) and all(a in ("*", b) for a, b in zip(pattern, subject, strict=True))
