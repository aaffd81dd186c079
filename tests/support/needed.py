"""Finds programs that tests need and a machine may lack. Without one the test is skipped; CI requires them."""

import os
import shutil
from pathlib import Path

import pytest

REQUIRED = frozenset(filter(None, os.environ.get("PARLEY_TEST_REQUIRE", "").split(",")))
PROGRAMS = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "firefox": ("firefox-esr", "firefox"),
    "coturn": ("turnserver",),
    "nginx": ("nginx",),
    "node": ("node",),
    "zsh": ("zsh",),
    "fish": ("fish",),
    "faketime": ("faketime",),
}


def found(what: str) -> Path | None:
    """The path of the program; None if it is not here."""
    for name in PROGRAMS[what]:
        path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
        if path is not None:
            return Path(path)
    return None


def needed(what: str) -> Path:
    """The path of the program. Without it the test is skipped, or fails where PARLEY_TEST_REQUIRE names it."""
    path = found(what)
    if path is not None:
        return path
    if what in REQUIRED:
        pytest.fail(f"{what} is required here (PARLEY_TEST_REQUIRE) and is not installed")
    pytest.skip(f"needs {what}, which is not installed here")
