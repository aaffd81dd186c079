"""How a line is written: our own and those of every library, warnings and tracebacks, as one JSON object each, or for people.

A line that a stranger's broken request would cause is counted instead. Strangers must not fill a disk.
"""

import logging
import sys
import threading
from types import TracebackType
from typing import Any

import structlog

from shared.telemetry import metrics

# What libraries write about a stranger's request or connection: the logger, and how the line begins.
OF_STRANGERS = (
    ("uvicorn.error", "Invalid HTTP request"),
    ("uvicorn.error", "Unsupported upgrade request"),
    ("uvicorn.error", "No supported WebSocket library"),
    ("uvicorn.error", "Request contained invalid"),
    ("asyncio", "socket.send() raised exception"),
    ("asyncio", "SSL connection is closed"),
    ("asyncio", "SSL handshake failed"),
    ("asyncio", "SSL error in data received"),
)


class _NotOfStrangers(logging.Filter):
    """Counts what is about a stranger, and lets the rest through."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # its arguments do not fit; an exception here would be the library's
            message = record.msg = str(record.msg)
            record.args = None
        of_strangers = any(record.name == name and message.startswith(begins) for name, begins in OF_STRANGERS)
        if of_strangers or _is_their_protocol(record):
            metrics.STRANGERS.labels(record.name).inc()
            return False
        return True


def _is_their_protocol(record: logging.LogRecord) -> bool:
    """Whether it tells of a request after which nothing can be answered (h11, which uvicorn uses on the internal port)."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is not None and kind.__module__.startswith("h11.") and kind.__name__.endswith("ProtocolError")


def write_lines(service: str, log_format: str, level: str) -> None:
    """Write everything to standard output from here on: as JSON, or with the format `console` for people."""
    console = log_format == "console"
    begun: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
    ]
    if not console:  # `make run` prefixes each line with the service
        begun.append(lambda _logger, _method, event: {**event, "service": service})
    # A plain traceback: where rich is installed, the default one prints local variables such as tokens and SDP.
    ends: list[Any] = (
        [
            structlog.dev.ConsoleRenderer(
                colors=sys.stdout.isatty(), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
            )
        ]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    )
    structlog.configure(
        processors=[*begun, *ends],
        wrapper_class=structlog.make_filtering_bound_logger(_number(level)),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=False,
    )
    _write_those_of_libraries(begun, ends)
    _write_last_words()


def set_level(level: str) -> None:
    """Write only lines of this level and above from here on."""
    structlog.configure(
        **{**structlog.get_config(), "wrapper_class": structlog.make_filtering_bound_logger(_number(level))}
    )


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


def _write_those_of_libraries(begun: list[Any], ends: list[Any]) -> None:
    """Libraries log through the standard module. Only their warnings and errors are shown."""
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(_NotOfStrangers())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *begun],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ends],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False  # a line that cannot be written is dropped, without a traceback about it


def _write_last_words() -> None:
    """Tracebacks that Python itself would write: of the main thread, of others, and of what nobody waits for."""
    last = logging.getLogger("python")

    def of_the_process(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        last.critical("the process ends by a bug", exc_info=(kind, error, trace))

    def of_a_thread(ended: threading.ExceptHookArgs) -> None:
        if ended.exc_value is not None:
            last.error("a thread ended by a bug", exc_info=(ended.exc_type, ended.exc_value, ended.exc_traceback))

    def of_nobody(what: Any) -> None:
        if what.exc_value is not None:
            found = (type(what.exc_value), what.exc_value, what.exc_traceback)
            last.error(what.err_msg or "an exception was ignored", exc_info=found)

    sys.excepthook = of_the_process
    threading.excepthook = of_a_thread
    sys.unraisablehook = of_nobody
