"""The process in which a candidate runs: no database, no network to lose, little memory, and a clock that ends it.

It gets calls on its standard input and gives results on its standard output, one frame each. Whatever the candidate
does, only this process suffers; the one that started it starts another.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from msgspec import Struct, structs

from croupier.providers.contract import Adapter, ProviderAccount
from croupier.providers.shadow.candidates import import_candidate
from croupier.providers.shadow.compare import Difference
from croupier.providers.shadow.sample import read_sample
from croupier.providers.shadow.tap import find_token, sends_key
from croupier.providers.shadow.trial import Bench, Result, Trial, try_call
from croupier.providers.strict_json import JsonLimits
from croupier.runtime.accounts import ADAPTERS, build_accounts
from croupier.runtime.config import Config, ProviderKeys, ResolvedKeys
from croupier_signing import read_key

LAST: Final = 19
"""How much the process steps back for every other one (`nice`)."""
LENGTH_BYTES: Final = 4
MOST_BYTES: Final = 1024 * 1024
"""Largest frame; a copy of a call is much smaller."""
START_S: Final = 60
"""How long a candidate may take to be loaded on a busy machine, in seconds."""


class Setup(Struct, frozen=True, kw_only=True):
    """What the process needs to know: the first frame. `config` holds one account and nothing else of interest."""

    candidate: str
    config: Config
    keys: tuple[tuple[str, bytes], ...]
    limits: JsonLimits
    deadline_s: int
    memory_bytes: int


class Answer(Struct, frozen=True):
    """What came of one call; `is_last`: the process has had enough and ends."""

    trial: Trial
    is_last: bool = False


def render_frame(body: bytes) -> bytes:
    """A message with its length before it."""
    return len(body).to_bytes(LENGTH_BYTES) + body


def read_frame(source: BinaryIO) -> bytes | None:
    """The next message; None at the end of the stream."""
    length = source.read(LENGTH_BYTES)
    if len(length) < LENGTH_BYTES:
        return None
    return source.read(int.from_bytes(length))


def failure(what: str) -> Trial:
    """A call that the candidate did not survive, or that it raised at."""
    return Trial(Result.FAILED, (Difference("failure", "answered", what),))


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Inside the block, a clock of the kernel runs that ends this process by SIGALRM, whatever it is doing then."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


_OUT_OF_MEMORY: Final = Answer(failure("MemoryError"), is_last=True)
"""Made while there is room for it."""


def main() -> None:
    """Try calls until there are no more."""
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    _hush()
    frame = read_frame(source)
    if frame is None:
        return
    setup = msgspec.json.decode(frame, type=Setup)
    _confine(setup.memory_bytes)
    try:
        with within(START_S):
            bench = _bench(setup)
    except Exception as error:  # noqa: BLE001 (the worker loop: a candidate that cannot be loaded is told as a result)
        _give(target, Answer(failure(f"{_name(error)} while loading"), is_last=True))
        return
    _give(target, Answer(Trial(Result.SAME)))
    while (frame := read_frame(source)) is not None:
        with within(setup.deadline_s):
            answer = _try(frame, bench)
        _give(target, answer)
        if answer.is_last:
            return


def _try(frame: bytes, bench: Bench) -> Answer:
    try:
        sample = read_sample(frame)
        token = find_token(bench.account, sample.key_id) if sends_key(bench.live) else None
        return Answer(try_call(sample, bench, token))
    except MemoryError:
        # What is left of the memory is anybody's guess: another process begins with all of it.
        return _OUT_OF_MEMORY
    except Exception as error:  # noqa: BLE001 (the worker loop: a candidate's fault is a result)
        return Answer(failure(f"{_name(error)} in {_place(error)}"))


def _bench(setup: Setup) -> Bench:
    candidate = import_candidate(setup.candidate)
    keys = ProviderKeys(
        inbound=tuple(read_key(key_id, material) for key_id, material in setup.keys), outbound=()
    )
    (provider,) = setup.config.providers
    accounts = build_accounts(setup.config, ResolvedKeys(providers={provider.id: keys}, api={}))
    return Bench(
        candidate=candidate,
        live=ADAPTERS[provider.adapter],
        account=_as_seen_by(candidate, accounts[provider.id][0]),
        limits=setup.limits,
    )


def _as_seen_by(candidate: Adapter, account: ProviderAccount) -> ProviderAccount:
    """The account with the candidate's own defaults for what the configuration does not say yet."""
    manifest = candidate.manifest
    own = {one.name: one.default for one in manifest.settings if one.default is not None}
    return structs.replace(account, adapter=manifest.id, settings={**own, **account.settings})


def _hush() -> None:
    """Nothing that a candidate prints is a result, or fills a log."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _confine(memory_bytes: int) -> None:
    os.nice(LAST)
    # When the machine itself runs out of memory, this process is the first to go.
    Path("/proc/self/oom_score_adj").write_text("1000")
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(limit, (0, 0))


def _give(target: BinaryIO, answer: Answer) -> None:
    target.write(render_frame(msgspec.json.encode(answer)))
    target.flush()


def _name(error: BaseException) -> str:
    return type(error).__name__


def _place(error: BaseException) -> str:
    """The function that raised: a fault that is seen a million times has one name."""
    return traceback.extract_tb(error.__traceback__)[-1].name


if __name__ == "__main__":
    main()
