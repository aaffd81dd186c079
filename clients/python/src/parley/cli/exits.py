"""What the exit status of `parley` says, and the one way for a command to end without success."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses. Stable: scripts branch on them (docs/command-line.md)."""

    OK = 0
    REFUSED = 1  # the server said no, and will say no again
    USAGE = 2  # the command line, a file it names, or something that is not installed
    UNREACHABLE = 3  # nobody answered, or nobody could: trying again later may help
    FOUND = 4  # `doctor` found something wrong
    UNJUDGED = 5  # `doctor` found nothing wrong, and could not judge everything
    BUG = 70  # sysexits.h: EX_SOFTWARE
    INTERRUPTED = 130  # Ctrl-C
    TERMINATED = 143  # SIGTERM
    UNREAD = 141  # whoever read our output went away, as in `parley watch | head`


MAY_HELP = frozenset({"unavailable", "timeout"})  # codes after which trying again later may help


class Stop(Exception):  # noqa: N818 - how a command ends, not always an error
    """Ends the command with an exit status and one sentence. `code` is the protocol's, where the server refused."""

    def __init__(self, status: Exit, sentence: str = "", code: str | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.code = code


def refused(code: str, sentence: str) -> Stop:
    """The end for a refusal of the server's."""
    return Stop(Exit.UNREACHABLE if code in MAY_HELP else Exit.REFUSED, sentence, code)


def wrong(sentence: str) -> Stop:
    """The end for a command line that makes no sense."""
    return Stop(Exit.USAGE, sentence)


def unreachable(sentence: str) -> Stop:
    """The end for a server that does not answer."""
    return Stop(Exit.UNREACHABLE, sentence)
