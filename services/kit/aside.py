"""Work that would hold a process up is done aside: by a process of its own, which lets all others go first.

A task's bytes go in on its standard input, the result's come out on standard output; what it says of itself goes to standard
error, a line at a time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

PATIENCE_S = 30.0
"""Seconds after which a machine that is never idle is asked for a small share of its time: the work is then begun anew."""

NICE = 10
"""How far it lets others go first then."""


class Failed(Exception):
    """It ended badly, or took too long; the text says what it said last, `status` how it ended."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


async def aside(
    command: Sequence[str],
    task: bytes,
    *,
    seconds: float,
    hear: Callable[[str], None] = lambda line: None,
    env: Mapping[str, str] | None = None,
) -> bytes:
    """The result. `hear` is told each line that it says. Raises Failed. Who is cancelled meanwhile ends the process."""
    for lower, most in ((_idle, min(PATIENCE_S, seconds)), (_nice, seconds)):
        with suppress(TimeoutError):
            async with asyncio.timeout(most):
                return await _run(command, task, lower, hear, env)
    raise Failed("it takes too long")


def _idle(pid: int) -> None:
    # Unlike a nice one, an idle process yields to whoever wakes up at once, not only when its slice is over.
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.setpriority(os.PRIO_PROCESS, pid, 19)


def _nice(pid: int) -> None:
    os.setpriority(os.PRIO_PROCESS, pid, max(NICE, os.getpriority(os.PRIO_PROCESS, pid)))


async def _run(
    command: Sequence[str], task: bytes, lower: Callable[[int], None], hear: Callable[[str], None], env: Mapping[str, str] | None
) -> bytes:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, env=env)
    assert process.stdin
    assert process.stdout
    assert process.stderr
    said: list[str] = []
    try:
        with suppress(ProcessLookupError):  # it ended at once: its status will say so
            lower(process.pid)
        _, result, _ = await asyncio.gather(_feed(process.stdin, task), process.stdout.read(), _hear(process.stderr, said, hear))
        status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if status:
        raise Failed(f"exit status {status}: {' '.join(said)}", status)
    return result


async def _feed(stream: asyncio.StreamWriter, task: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # it ended at once: its status will say so
        stream.write(task)
        await stream.drain()
    stream.close()


async def _hear(stream: asyncio.StreamReader, said: list[str], hear: Callable[[str], None]) -> None:
    async for line in stream:
        said.append(line.decode(errors="replace").rstrip())
        del said[:-20]
        hear(said[-1])
