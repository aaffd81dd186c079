"""Who does a login name? The one place that judges every token that can open a session: agent-link's, and guests'. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from services.auth.grants import Grants
from services.auth.keys import KeyRing
from services.auth.tokens import TokenRules, check_token
from shared.auth.commands import Identity
from shared.values.errors import Code, Refused


@dataclass(frozen=True, slots=True)
class VerifiedLogin:
    """An identity, and how many seconds past its end it is accepted (guest tokens have no leeway: we issue them)."""

    identity: Identity
    leeway: float


@dataclass(frozen=True, slots=True)
class LoginRules:
    """What logins must say. `guests` is what guests may do, None where there are none. `keys` gives agent-link's."""

    agents: TokenRules
    grants: Grants
    keys: Callable[[], KeyRing]
    guests: tuple[str, ...] | None

    def verify(self, token: str, now: float) -> VerifiedLogin:
        """Raises Refused with a code of protocol section 3, or `unavailable` while there are no keys of agent-link.

        The key that signed a token says which kind it is; what the token says of itself is only read after that.
        """
        if self.grants.is_guest_token(token):
            return VerifiedLogin(self.verify_guest(token, now), 0.0)
        return VerifiedLogin(check_token(token, self.keys(), self.agents, now), self.agents.leeway)

    def verify_guest(self, token: str, now: float) -> Identity:
        """As `judge`, for whom only a guest token will do."""
        if self.guests is None:
            raise Refused(Code.INVALID_TOKEN, "guests are not let in here")
        return self.grants.check_guest_token(token, self.guests, now)
