"""Arguments that several commands take, read from what was typed."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import typer

from croupier.ids import BREAK, EVENT, SESSION, WALLET_CALL, MalformedId, parse_id

LARGEST_INPUT_BYTES = 64 * 1024 * 1024

_DURATION = re.compile(r"([0-9]{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_session_id(text: str) -> UUID:
    """A session's id; typer.BadParameter says what it looks like."""
    try:
        return parse_id(SESSION, text)
    except MalformedId as error:
        raise typer.BadParameter(str(error)) from error


def parse_event_id(text: str) -> UUID:
    """An event's id; typer.BadParameter says what it looks like."""
    try:
        return parse_id(EVENT, text)
    except MalformedId as error:
        raise typer.BadParameter(str(error)) from error


def parse_break_id(text: str) -> UUID:
    """A break's id; typer.BadParameter says what it looks like."""
    try:
        return parse_id(BREAK, text)
    except MalformedId as error:
        raise typer.BadParameter(str(error)) from error


def parse_wallet_call_id(text: str) -> UUID:
    """A wallet call's id, which is its reference at the wallet; typer.BadParameter says what it looks like."""
    try:
        return parse_id(WALLET_CALL, text)
    except MalformedId as error:
        raise typer.BadParameter(str(error)) from error


def parse_instant(text: str) -> datetime:
    """A moment with its offset, in UTC; typer.BadParameter says what it looks like."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise typer.BadParameter("a time is written like 2026-03-01T12:00:00Z or 2026-03-01T13:00+01:00")
    return found.astimezone(UTC)


def parse_duration(text: str) -> int:
    """Seconds of a duration such as 30m or 24h; typer.BadParameter says what it looks like."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise typer.BadParameter("a time is a number and one of s, m, h, d: 30m, 24h, 7d")
    return int(found[1]) * _SECONDS[found[2]]


def read_input(path: str) -> bytes:
    """The bytes of a file, or of stdin for `-`; typer.BadParameter when unreadable or beyond 64 MiB."""
    try:
        if path == "-":
            content = sys.stdin.buffer.read(LARGEST_INPUT_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                content = file.read(LARGEST_INPUT_BYTES + 1)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > LARGEST_INPUT_BYTES:
        raise typer.BadParameter(f"{path} is larger than {LARGEST_INPUT_BYTES} bytes")
    return content
