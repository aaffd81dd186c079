"""The gateway's metrics. docs/operations.md says what to watch."""

from prometheus_client import Counter, Gauge, Histogram

from shared.telemetry.metrics import LATENCY_BUCKETS, RESERVE_REFUSED
from shared.telemetry.tally import CODES, OUTCOMES, Tally
from shared.values.errors import CloseCode

CONNECTIONS = Gauge("parley_connections", "Open WebSocket connections.")
SESSIONS = Gauge("parley_sessions", "Authenticated sessions.")
HANDSHAKES_REFUSED = Tally(
    "parley_handshakes_refused_total",
    "WebSocket upgrades refused, by HTTP status.",
    "status",
    ("400", "403", "404", "405", "426", "429", "500", "503"),
)
MALFORMED = Tally(
    "parley_malformed_frames_total",
    "Connections ended by a malformed frame.",
    "error",
    ("BinaryMessage", "PayloadTooBig", "ProtocolError", "TooManyFragments", "UnicodeDecodeError"),
)
CUTS = Tally(
    "parley_outbox_cuts_total", "Clients cut off, by reason.", "reason", ("slow_consumer", "stalled", "no_pong")
)
CLOSES = Tally(
    "parley_closes_total", "Connections closed by us, by close code.", "code", (str(int(code)) for code in CloseCode)
)
LOGINS = Tally("parley_logins_total", "authenticate messages, by result.", "result", OUTCOMES)
REFUSALS = Tally("parley_refusals_total", "Errors sent to clients, by code.", "code", CODES)
SIGNALS = Tally(
    "parley_signals_relayed_total", "Signals stored for a receiver.", "type", ("offer", "answer", "candidate")
)
DELIVERED = Counter("parley_signals_delivered_total", "Signals handed to a local participant.")
SIGNALS_SLOWED = Counter("parley_signals_slowed_total", "Signals that waited because storage is running out.")
SIGNALS_REFUSED = RESERVE_REFUSED.labels("signal")
DROPPED = Tally("parley_signals_dropped_total", "Signals not handed over, by reason.", "reason", ("unopenable",))
RELAY_SECONDS = Histogram(
    "parley_relay_seconds", "Seconds from reading a signal to its being stored.", buckets=LATENCY_BUCKETS
)
FOLLOWED_ROOMS = Gauge("parley_followed_rooms", "Rooms with local participants.")
GAPS = Tally(
    "parley_replica_holes_total",
    "Times a replica had to read on from the log, by what showed it.",
    "reason",
    ("connection", "doubt", "revision", "stranger", "signal", "silence", "late"),
)
DEPARTURES = Gauge("parley_farewells_waiting", "Participants whose leaving has not reached the log yet.")
HTTP_SECONDS = Histogram(
    "parley_http_request_seconds",
    "Seconds until a REST request was answered.",
    ["method", "route", "status"],
    buckets=LATENCY_BUCKETS,
)
LEASE_HELD = Gauge("parley_lease_held", "Whether this gateway may speak for its participants.")
LEASE_FAILURES = Counter(
    "parley_lease_renewal_failures_total", "Renewals of the lease that were not acknowledged in time."
)
RESUMES = Tally(
    "parley_resumes_total",
    "Sessions that came back, by what they were given.",
    "result",
    ("replay", "snapshot", "no rooms", "gone"),
)
REPLAYED = Counter("parley_replayed_pushes_total", "Backlog pushes and signals sent again to sessions that came back.")
ICE_SERVERS = Tally(
    "parley_ice_servers_asked_total",
    "Times auth was asked for ICE servers, by result.",
    "result",
    (*OUTCOMES, "nonsense"),
)
REPLACED = Counter("parley_sessions_replaced_total", "Connections closed because their session was resumed on another.")
STRANGERS = Gauge("parley_strangers", "Open connections that have not authenticated.")
CLIENTS_WAITING = Gauge(
    "parley_clients_waiting",
    "Connections whose bytes wait for their turn, of strangers and of those who are in.",
    ["who"],
)
CLIENTS_SECONDS = Tally(
    "parley_clients_seconds_total",
    "Seconds spent on what clients sent, strangers and those who are in.",
    "who",
    ("strangers", "members"),
)
CONNECTIONS_REFUSED = Tally(
    "parley_connections_refused_total",
    "Connections closed before or without an answer, by reason.",
    "reason",
    ("address", "descriptors", "handshake"),
)
HTTP_REFUSED = Tally(
    "parley_http_refused_total",
    "HTTP requests that no route looked at, by reason.",
    "reason",
    ("fields", "malformed", "memory", "rate_limited", "stalled", "unavailable"),
)
DESCRIPTORS_SHORT = Gauge("parley_descriptors_short", "Whether connections are refused for want of file descriptors.")
