"""`croupier` with every command, for its help, its reference and its tests; `entry` is faster for one command."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from croupier.cli.groups import COMMANDS
from croupier.cli.root import make_app

GROUPS: Final = tuple(import_module(f"croupier.cli.{name}") for name in COMMANDS)
"""Every module with commands, in the order of the help."""

app = make_app(GROUPS)


def main() -> None:
    """Run the command line."""
    app(prog_name="croupier")


if __name__ == "__main__":
    main()
