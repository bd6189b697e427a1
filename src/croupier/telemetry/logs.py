"""Log lines: JSON with the field names of `interfaces.md`, or readable text for a terminal."""

from __future__ import annotations

import io
import logging
import sys
from typing import Any, Final, TextIO, cast

import msgspec
import structlog

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_encoder = msgspec.json.Encoder(enc_hook=str)


def _dumps(value: Any, **_: Any) -> str:
    return _encoder.encode(value).decode()


class _CurrentStderr(io.TextIOBase):
    """Standard error as it is when a line is written: whoever replaced it may have closed the one of before."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr.isatty()


def set_up_logs(*, log_format: str, level: str, file: TextIO | None = None) -> None:
    """Write log lines of at least `level` to stderr or to `file`, as `json` or for the `console`."""
    target = cast("TextIO", _CurrentStderr()) if file is None else file
    renderer: Any = (
        structlog.processors.JSONRenderer(serializer=_dumps)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=target.isatty())
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
        logger_factory=structlog.PrintLoggerFactory(file=target),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=LEVELS[level], stream=target, format="%(levelname)s %(name)s %(message)s")
