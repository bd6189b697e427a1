"""Log lines: JSON with the field names of `interfaces.md`, or readable text for a terminal."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import msgspec
import structlog

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_encoder = msgspec.json.Encoder(enc_hook=str)


def _dumps(value: Any, **_: Any) -> str:
    return _encoder.encode(value).decode()


def set_up_logs(*, log_format: str, level: str) -> None:
    """Write log lines of at least `level` to stderr, as `json` or for the `console`."""
    renderer: Any = (
        structlog.processors.JSONRenderer(serializer=_dumps)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=LEVELS[level], stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
