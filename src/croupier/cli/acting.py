"""Who acts through a command, and why: what the audit log wants to know."""

from __future__ import annotations

import getpass
import os
from typing import Annotated

import typer

ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it goes into the audit log.")]


def read_actor() -> str:
    """Who typed the command, as the operating system knows them."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.getuid()}"
    return f"cli:{name}"


def require_reason(reason: str | None) -> str:
    """The reason without the space around it; typer.BadParameter when nothing is left."""
    if reason is None or not reason.strip():
        raise typer.BadParameter("say why: --reason is empty")
    return reason.strip()
