"""The features of this gateway. A feature is a folder and one line here."""

from services.gateway.participation.commands import PARTICIPATION
from services.gateway.session.commands import SESSION
from services.gateway.signaling.commands import SIGNALING

# The session opens its parts, and calls their hooks, in this order. A feature may use those before it.
FEATURES = (SESSION, PARTICIPATION, SIGNALING)
