"""Work that would hold a process up is done aside: by a process of its own, which lets all others go first.

A task's bytes go in on its standard input, the result's come out on standard output; what it says of itself goes to standard
error, a line at a time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

PATIENCE_S = 30.0
"""Seconds after which a machine that is never idle is asked for a small share of its time: the work is then begun anew."""

NICE = 10
"""How far it lets others go first then."""


Beat = Callable[[str], Awaitable[object]]


class Failed(Exception):
    """It ended badly, or took too long: `status` is how it ended, `last` what it said last."""

    def __init__(self, text: str, status: int | None = None, last: str = "") -> None:
        super().__init__(text)
        self.status, self.last = status, last


async def aside(
    command: Sequence[str],
    task: bytes,
    *,
    seconds: float,
    beat: Beat | None = None,
    every: float = 0.5,
    env: Mapping[str, str] | None = None,
) -> bytes:
    """The result. Meanwhile `beat` is awaited every so many seconds with what the process said last; what it raises ends the
    process, and so does who cancels this. Raises Failed."""
    for lower, most in ((_idle, min(PATIENCE_S, seconds)), (_nice, seconds)):
        with suppress(TimeoutError):
            async with asyncio.timeout(most):
                return await _run(command, task, lower, beat, every, env)
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
    command: Sequence[str],
    task: bytes,
    lower: Callable[[int], None],
    beat: Beat | None,
    every: float,
    env: Mapping[str, str] | None,
) -> bytes:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, env=env)
    said: list[str] = []
    talking = asyncio.create_task(_talk(process, task, said))
    try:
        with suppress(ProcessLookupError):  # it ended at once: its status will say so
            lower(process.pid)
        while not (await asyncio.wait({talking}, timeout=every))[0]:
            if beat is not None:
                await beat(said[-1] if said else "")
        result = talking.result()
    finally:
        talking.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise Failed(f"exit status {process.returncode}: {' '.join(said)}", process.returncode, said[-1] if said else "")
    return result


async def _talk(process: asyncio.subprocess.Process, task: bytes, said: list[str]) -> bytes:
    assert process.stdin
    assert process.stdout
    assert process.stderr
    _, result, _ = await asyncio.gather(_feed(process.stdin, task), process.stdout.read(), _hear(process.stderr, said))
    await process.wait()
    return result


async def _feed(stream: asyncio.StreamWriter, task: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # it ended at once: its status will say so
        stream.write(task)
        await stream.drain()
    stream.close()


async def _hear(stream: asyncio.StreamReader, said: list[str]) -> None:
    async for line in stream:
        said.append(line.decode(errors="replace").rstrip())
        del said[:-20]
