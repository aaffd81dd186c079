"""What this gateway can do: one record for each feature. A feature is a folder; whoever adds one adds a line here."""

from services.gateway.participation.commands import PARTICIPATION
from services.gateway.session.commands import SESSION
from services.gateway.signaling.commands import SIGNALING

# In this order sessions are opened, and told what happens to them. A feature may use those before it.
FEATURES = (SESSION, PARTICIPATION, SIGNALING)
