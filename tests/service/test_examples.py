"""The programs of the documentation, run as they stand against real sockets."""

import pytest

from docs.examples import offer_answer
from tests.support.system import System


async def test_offer_and_answer(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    """The example gets an answer to its offer, and says so."""
    await system.start(grace_seconds=0.5)  # the one that is left waits for so long
    capsys.readouterr()  # what the services log
    await offer_answer.main(system.url)
    said = capsys.readouterr().out
    assert sorted(said.splitlines()) in (
        ["ada: bot has answered my offer", "bot: ada has left"],
        ["ada: bot has left", "bot: ada has answered my offer"],
    )
