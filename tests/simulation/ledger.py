"""Records the clients' requests, their answers and the signals that arrived, for comparison with the log at the end."""

from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]

OK = "ok"
SIGNALS = frozenset({"offer", "answer", "candidate"})
UNKNOWN = "unknown"  # there was no answer


@dataclass(slots=True)
class Request:
    """A client's request. It has one id, and may be sent on several connections."""

    id: str
    client: str
    message: Message
    room_id: str
    own: str  # the participant it is asked as, if any
    operation: str = ""  # what the log calls it, if it is a change of oneself
    asked: int = 0  # how often it was sent
    since: float = 0.0  # when it was sent first, in virtual seconds
    outcome: str = UNKNOWN
    reply: Message | None = None


@dataclass(slots=True)
class Ledger:
    """The records of one run."""

    requests: dict[str, Request] = field(default_factory=dict)
    arrived: dict[str, list[str]] = field(default_factory=dict)  # participant -> ids of signals, in order
    entered: dict[str, int] = field(default_factory=dict)  # participant -> position of the first snapshot it was shown
    anew: dict[str, int] = field(default_factory=dict)  # the same of the last snapshot that came instead of a backlog

    def ask(self, request: Request) -> None:
        """A request is sent, or sent again."""
        self.requests[request.id] = request
        request.asked += 1

    def answer(self, request: Request, reply: Message) -> None:
        """Its answer came."""
        request.reply = reply
        request.outcome = reply["code"] if reply["type"] == "error" else OK

    def deliver(self, own: str, request_id: str) -> bool:
        """A signal reached a participant. False when it had reached it before."""
        heard = self.arrived.setdefault(own, [])
        if request_id in heard:
            return False
        heard.append(request_id)
        return True
