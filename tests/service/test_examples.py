"""The programs of the documentation, run as they stand against real sockets."""

from pathlib import Path

import pytest

from docs.examples import offer_answer
from tests.support.system import System

ROOT = Path(__file__).parent.parent.parent


async def test_offer_and_answer(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    """The README's example gets an answer to its offer, and says so in the README's words."""
    await system.start()
    await offer_answer.main(system.url)
    said = capsys.readouterr().out
    assert sorted(said.splitlines()) in (
        ["ada: bot has answered my offer", "bot: ada has left"],
        ["ada: bot has left", "bot: ada has answered my offer"],
    )


def test_the_readme_shows_the_program() -> None:
    """What the README shows is what is run here."""
    program = (ROOT / "docs/examples/offer_answer.py").read_text()
    assert f"```python\n{program}```" in (ROOT / "README.md").read_text()
