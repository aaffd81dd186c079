"""Which signals are passed on: the rules of SDP and candidates, with this gateway's limits."""

from services.gateway.settings import GatewaySettings
from services.gateway.signaling.messages import Description, Signal
from shared.wire.candidate import CandidatePolicy, check_candidate
from shared.wire.sdp import check_sdp


class SignalValidator:
    """Checks signals against this gateway's limits."""

    __slots__ = ("_candidate_bytes", "_policy", "_sdp_bytes", "_sdp_lines")

    def __init__(self, settings: GatewaySettings) -> None:
        self._sdp_bytes = settings.sdp_bytes
        self._sdp_lines = settings.sdp_lines
        self._candidate_bytes = settings.candidate_bytes
        self._policy = CandidatePolicy(allow_loopback=settings.loopback_candidates)

    def check(self, message: Signal) -> None:
        """Accept the signal unchanged, or raise Refused. Nothing of a signal is ever logged."""
        if isinstance(message, Description):
            limits = {"max_bytes": self._sdp_bytes, "max_lines": self._sdp_lines}
            check_sdp(message.sdp, message.type, **limits, policy=self._policy)
        elif message.candidate is not None:
            check_candidate(message.candidate.candidate, max_bytes=self._candidate_bytes, policy=self._policy)
