"""Verifies the tokens that can open a session: agent-link tokens and guest tokens. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from services.auth.grants import Grants
from services.auth.keys import KeyRing
from services.auth.tokens import TokenRules, check_token
from shared.auth.commands import Identity
from shared.values.errors import Code, Refused


@dataclass(frozen=True, slots=True)
class VerifiedLogin:
    """An identity, and for how many seconds after its end it is accepted. Guest tokens have no leeway: auth issues them."""

    identity: Identity
    leeway: float


@dataclass(frozen=True, slots=True)
class LoginRules:
    """The rules of logins. `guests` are the guests' permissions, None where guests are not let in. `keys` gives the keys
    of agent-link tokens.
    """

    agents: TokenRules
    grants: Grants
    keys: Callable[[], KeyRing]
    guests: tuple[str, ...] | None

    def verify(self, token: str, now: float) -> VerifiedLogin:
        """Verify a token at `now` (Unix seconds).

        Raises Refused with a code of protocol section 3, or `unavailable` while there are no keys of agent-link. The key
        that signed a token decides which kind it is. Its claims are only read after that.
        """
        if self.grants.is_guest_token(token):
            return VerifiedLogin(self.verify_guest(token, now), 0.0)
        return VerifiedLogin(check_token(token, self.keys(), self.agents, now), self.agents.leeway)

    def verify_guest(self, token: str, now: float) -> Identity:
        """As `verify`, for guest tokens only."""
        if self.guests is None:
            raise Refused(Code.INVALID_TOKEN, "guests are not let in here")
        return self.grants.check_guest_token(token, self.guests, now)
