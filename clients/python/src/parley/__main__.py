"""`python -m parley`: the same as the command `parley`."""

import sys

from parley.cli.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
