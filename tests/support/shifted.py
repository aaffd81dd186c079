"""Processes whose clock is wrong, as on a host without NTP: libfaketime shifts what they read as the time of day."""

import subprocess
from collections.abc import Mapping

from tests.support.needed import needed


def shifted(seconds: float) -> Mapping[str, str]:
    """The environment in which a process's clock is ahead by so much. Its timers run as they would."""
    program = str(needed("faketime"))
    asked = [program, "-m", "-f", "+0", "printenv", "LD_PRELOAD"]
    library = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603
    return {
        "LD_PRELOAD": library,
        "FAKETIME": f"{seconds:+g}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
