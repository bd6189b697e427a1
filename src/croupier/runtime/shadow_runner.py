"""The other end of a candidate's process: gives it one call at a time, and replaces it when it dies or hangs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from croupier.providers.shadow.compare import Difference
from croupier.providers.shadow.trial import Result, Trial
from croupier.runtime.shadow_child import (
    LENGTH_BYTES,
    MOST_BYTES,
    START_S,
    Answer,
    Setup,
    failure,
    render_frame,
)

_log = structlog.get_logger("croupier.shadow")

CHILD: Final = (sys.executable, "-m", "croupier.runtime.shadow_child")
GRACE_S: Final = 1.0
"""How much later than the candidate's own clock this side ends its process: it may be stopped, clock and all."""
BACKOFF_S: Final = (0.0, 0.1, 0.5, 2.0, 5.0)
"""Pauses before a process that died is replaced; one that answered begins them anew. Calls meanwhile are dropped."""
INHERITED: Final = ("PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL", "TZ")
"""What a candidate's process may know of this one's environment: no address of a database, no secret."""

_DECODER: Final = msgspec.json.Decoder(Answer)


class Runner:
    """One candidate's process, present or being replaced. Not for two callers at once."""

    def __init__(self, setup: Setup, command: Sequence[str] = CHILD) -> None:
        self._setup = setup
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._deaths = 0
        self._is_outdated = False

    @property
    def pid(self) -> int | None:
        """The candidate's process now, if there is one."""
        return None if self._process is None else self._process.pid

    def change(self, setup: Setup) -> None:
        """Go on with other keys: the next call is tried in a new process."""
        self._setup, self._is_outdated = setup, True

    async def ask(self, call: bytes) -> Trial:
        """What the candidate makes of a call; a process that does not survive it is a result too."""
        process = self._process
        if process is None or process.returncode is not None or self._is_outdated:
            await self.close()
            self._is_outdated = False
            process, why = await self._start()
            if why is not None:
                return why
        assert process is not None, "a process without a fault is there"  # noqa: S101 (narrowing)
        answer = await self._exchange(process, call, self._setup.deadline_s + GRACE_S)
        if isinstance(answer, Trial):
            self._deaths += 1
            return answer
        self._deaths = self._deaths + 1 if answer.is_last else 0
        if answer.is_last:
            await self.close()
        return answer.trial

    async def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()

    async def _start(self) -> tuple[asyncio.subprocess.Process | None, Trial | None]:
        """A process that has loaded the candidate, or why there is none."""
        await asyncio.sleep(BACKOFF_S[min(self._deaths, len(BACKOFF_S) - 1)])
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={name: os.environ[name] for name in INHERITED if name in os.environ},
        )
        answer = await self._exchange(process, msgspec.json.encode(self._setup), START_S + GRACE_S)
        if isinstance(answer, Answer) and not answer.is_last:
            _log.info("shadow_candidate_started", candidate=self._setup.candidate, pid=process.pid)
            return process, None
        await self.close()
        self._deaths += 1
        trial = answer.trial if isinstance(answer, Answer) else answer
        _log.warning("shadow_candidate_does_not_start", candidate=self._setup.candidate, result=trial.result)
        return None, trial

    async def _exchange(
        self, process: asyncio.subprocess.Process, body: bytes, within_s: float
    ) -> Answer | Trial:
        """One frame there and one back; a trial that says how the process ended when there is none."""
        assert process.stdin is not None, "its input is a pipe"  # noqa: S101 (narrowing)
        assert process.stdout is not None, "its output is a pipe"  # noqa: S101 (narrowing)
        try:
            async with asyncio.timeout(within_s):
                process.stdin.write(render_frame(body))
                await process.stdin.drain()
                length = int.from_bytes(await process.stdout.readexactly(LENGTH_BYTES))
                if length > MOST_BYTES:
                    raise ValueError(length)
                return _DECODER.decode(await process.stdout.readexactly(length))
        except TimeoutError:
            trial = hung()
        except (OSError, asyncio.IncompleteReadError):
            trial = await _how_it_ended(process)
        except (msgspec.DecodeError, ValueError):
            trial = failure("an answer that cannot be read")
        await self.close()
        return trial


def hung() -> Trial:
    """A call that was not done by its deadline."""
    return Trial(Result.HUNG, (Difference("deadline", "answered", "not done in time"),))


async def _how_it_ended(process: asyncio.subprocess.Process) -> Trial:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE_S):
            status = await process.wait()
            if status == -signal.SIGALRM:
                return hung()
            if status < 0:
                return failure(f"the process ended by {signal.Signals(-status).name}")
            return failure(f"the process ended with {status}")
    return failure("the process closed its output")
