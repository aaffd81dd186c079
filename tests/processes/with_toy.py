"""`make run` with one service more, as somebody would add it: a record in the registry, and a NATS user.

A program of its own, because what is installed has no way to be told of a service from outside.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

from services.launcher.program import run
from services.registry import ACCOUNTS, REGISTRY, Registry, ServiceRecord
from tests.processes.toy.service import ToySettings

TOY = Path(__file__).parent / "toy"
RECORD = ServiceRecord(
    name="toy",
    settings=ToySettings,
    group="shared",
    user="toy",
    replicas="toys",
    colour="yellow",
    program="tests.processes.toy",
)


def with_toy(accounts: Path) -> Registry:
    """The registry with the toy in it. Its NATS users are written to `accounts`: gateways may ask it, too."""
    text = ACCOUNTS.read_text()
    for there, more in (
        ('"agentlink.rooms.*"          #', '"agentlink.rooms.*", "agentlink.toy.*"          #'),
        *(
            (place, f"{place}\n{place.replace('rooms', 'toy')}")  # what one account offers, the other must take
            for place in (
                '      { service: "agentlink.rooms.*", accounts: [GATEWAYS] }',
                '      { service: { account: AGENTLINK, subject: "agentlink.rooms.*" } }',
            )
        ),
        ("\n    ]\n", f"\n{(TOY / 'user.conf').read_text()}    ]\n"),  # the end of the first account's users
    ):
        if there not in text:
            raise ValueError(f"{ACCOUNTS} has another form now: no {there!r}")
        text = text.replace(there, more, 1)
    accounts.write_text(text)
    return replace(REGISTRY, services=(*REGISTRY.services, RECORD), accounts=accounts)


if __name__ == "__main__":
    sys.exit(run(with_toy(Path(os.environ["ACCOUNTS_WITH_TOY"]))))
