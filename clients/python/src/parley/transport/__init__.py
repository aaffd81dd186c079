"""How a session stays connected: one WebSocket after another, to any of its gateways."""
