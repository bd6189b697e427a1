"""A candidate's process with a candidate that misbehaves in the way its argument names, wherever the call says so.

Calls whose body holds `BAIT` trigger it; all others are read as version 2 reads them.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from croupier.providers.adapters.softswiss_v2 import ADAPTER
from croupier.runtime import shadow_child

BAIT = b"bait"


def hang() -> None:
    while True:
        pass


def sleep() -> None:
    threading.Event().wait(3600)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def leave() -> None:
    os._exit(7)


def eat() -> None:
    hoard = [bytearray(1 << 20)]
    while True:
        hoard.append(bytearray(1 << 20))


def nibble() -> None:
    hoard: list[Any] = []
    while True:
        hoard.append([len(hoard)] * 10)


def dawdle() -> None:
    threading.Event().wait(0.1)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def chatter() -> None:
    print("x" * 100_000, flush=True)
    os.write(1, b"\xff\xff\xff\xff")
    os.write(2, b"x" * 1000)


def write() -> None:
    with open("shadow-was-here", "w") as file:
        file.write("x")
        file.flush()


class Misfit:
    """Version 2 that misbehaves when it is baited."""

    def __getattr__(self, name: str) -> Any:
        return getattr(ADAPTER, name)

    def decode(self, verified: Any, context: Any) -> Any:
        if BAIT in verified.raw.body:
            globals()[sys.argv[1]]()
        return ADAPTER.decode(verified, context)


def load(name: str) -> Any:
    if sys.argv[1] == "break_while_loading":
        raise SyntaxError(name)
    return Misfit()


if __name__ == "__main__":
    shadow_child.import_candidate = load
    shadow_child.main()
