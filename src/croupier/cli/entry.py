"""The entry point of the package: imports what the command that was typed needs, and no more."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from croupier.cli.groups import COMMANDS

FLAGS: Final = frozenset({"--json", "--yes"})
"""Global options that may stand before a command and take no value."""


def module_of(arguments: Sequence[str]) -> str | None:
    """The module of the command that is typed; None for whatever is not plainly one, such as a request for help."""
    words = iter(arguments)
    for word in words:
        if word == "--config":
            next(words, None)
        elif word not in FLAGS and not word.startswith("--config="):
            return next((name for name, commands in COMMANDS.items() if word in commands), None)
    return None


def main() -> None:
    """Run the command line."""
    name = module_of(sys.argv[1:])
    if name is None:
        from croupier.cli.main import app
    else:
        from croupier.cli.root import make_app

        app = make_app([import_module(f"croupier.cli.{name}")])
    app(prog_name="croupier")


if __name__ == "__main__":
    main()
