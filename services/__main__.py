"""Runs every service and an embedded NATS server as separate processes: `python -m services`. See launcher/program.py."""

import sys

from shared.runtime.told import TOLD

if __name__ == "__main__":
    TOLD.heed()  # before the imports, which take a second
    from services.launcher.program import run

    sys.exit(run())
