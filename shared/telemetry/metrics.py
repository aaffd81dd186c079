"""The metrics of every service. Those of one service alone are in that service. docs/operations.md says what to watch."""

from itertools import product

from prometheus_client import Counter, Gauge, Histogram

from shared.telemetry.tally import Tally

LATENCY_BUCKETS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)

BUILD = Gauge("parley_build_info", "Always 1; the labels say what runs.", ["service", "version"])
REQUEST_SECONDS = Histogram(
    "parley_request_seconds", "Seconds until a NATS endpoint answered.", ["endpoint", "code"], buckets=LATENCY_BUCKETS
)
BROKER_CONNECTED = Gauge("parley_broker_connected", "Whether the connection to NATS stands.")
BROKER_RECONNECTS = Counter("parley_broker_reconnects_total", "Times the connection to NATS was made again.")
BROKER_ERRORS = Tally(
    "parley_broker_errors_total",
    "Errors the NATS client reported.",
    "kind",
    (  # classes of nats-py and of Python: what it reports when connections end and subjects are refused
        *("AuthorizationError", "Error", "MaxPayloadError", "NoServersError", "SlowConsumerError", "UnexpectedEOF"),
        *("StaleConnectionError", "ConnectionRefusedError", "ConnectionResetError", "OSError", "TimeoutError"),
        *("gaierror", "SSLCertVerificationError", "stray_message"),
    ),
)
LOG_REFUSED = Tally(
    "parley_log_refused_total", "Entries the log did not take.", "reason", ("full", "unavailable", "timeout")
)
RESERVE_REFUSED = Tally(
    "parley_reserve_refused_total",
    "What was refused because storage is nearly full.",
    "what",
    ("join", "create", "change", "signal"),  # the first three by rooms, the last one by gateways
)
QUOTA_REFUSALS = Counter(
    "parley_quota_refusals_total",
    "Requests refused with `rate_limited` because a quota was used up, by what and whose.",
    ["quota", "whose"],
)
for _whose in ("agent", "network", "guests", "room"):
    QUOTA_REFUSALS.labels("signals", _whose)
QUOTA_REFUSALS.labels("changes", "participant")
for _quota, _whose in product(("open_rooms", "rooms_per_hour"), ("agent", "network", "guests")):
    QUOTA_REFUSALS.labels(_quota, _whose)

TIMER_FAILURES = Counter("parley_timer_failures_total", "Due timers that could not be handled; they come again.")
CLOCK_OFF = Gauge(
    "parley_clock_off_seconds", "How far this host's clock is ahead of the broker's; below 0 it is behind."
)
LOOP_LAG = Histogram(
    "parley_loop_lag_seconds",
    "How much later than asked for the event loop came back, ten times a second.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.5, 1, 2, 5),
)
LOG_UNREADABLE = Counter("parley_log_unreadable_total", "Entries in rooms' logs that no service of ours wrote.")
STRANGERS = Tally(
    "parley_strangers_lines_total",
    "Lines about strangers' broken requests that a library would have logged.",
    "logger",
    ("uvicorn.error", "asyncio"),
)
