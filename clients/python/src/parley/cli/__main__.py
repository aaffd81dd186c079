"""Starts the command line: whatever happens ends as one sentence on standard error and an exit status."""

import os
import sys

from parley.cli.exits import Exit

EXTRA = "the command line needs more libraries ({}): pip install 'parley[cli]'"
LIBRARIES = ("typer", "rich", "httpx", "nats")


def main() -> int:
    """Run the command that `sys.argv` names; its exit status."""
    missing = _missing()
    if missing:
        sys.stderr.write(f"parley: {EXTRA.format(', '.join(missing))}\n")
        return Exit.USAGE
    from parley.cli.app import run  # not before it is known that its libraries are there

    status = run()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = Exit.UNREAD
    if status == Exit.UNREAD:  # end without a word, also when Python flushes what is left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _missing() -> list[str]:
    from importlib.util import find_spec

    return [name for name in LIBRARIES if find_spec(name) is None]


if __name__ == "__main__":
    sys.exit(main())
