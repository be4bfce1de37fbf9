"""Work that would hold a process up is done aside: by a process of its own, which lets all others go first.

A task's bytes go in on its standard input, the result's come out on standard output; what it says of itself goes to standard
error, a line at a time.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

PATIENCE_S, SHARE = 3.0, 0.1
"""An idle process that has got less than this share of a processor after so many seconds is begun anew as a nice one, so that a
machine that is never idle gets it done, too."""

NICE = 10
"""How far it lets others go first then."""

_TAIL = 4096
"""Bytes that are kept of what it says."""


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
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            with suppress(_Starved):
                return await _run(command, task, _idle, beat, every, env)
            return await _run(command, task, _nice, beat, every, env)
    raise Failed("it takes too long")


class _Starved(Exception):
    """An idle process gets next to nothing."""


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
    try:
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, env=env)
    except OSError as error:  # no process is to be had
        raise Failed(str(error)) from error
    began, said = time.monotonic(), bytearray()
    talking = asyncio.create_task(_talk(process, task, said))
    try:
        with suppress(ProcessLookupError):  # it ended at once: its status will say so
            lower(process.pid)
        while not (await asyncio.wait({talking}, timeout=every))[0]:
            past = time.monotonic() - began
            if lower is _idle and past > PATIENCE_S and _cpu_s(process.pid, past) < SHARE * past:
                raise _Starved
            if beat is not None:
                await beat(_last(said))
        result = talking.result()
    finally:
        talking.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        why = said.decode(errors="replace").strip()
        raise Failed(f"exit status {process.returncode}: {why}", process.returncode, _last(said))
    return result


def _cpu_s(pid: int, otherwise: float) -> float:
    """Seconds of a processor that a process has used; `otherwise` where that cannot be told."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return otherwise
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _talk(process: asyncio.subprocess.Process, task: bytes, said: bytearray) -> bytes:
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


async def _hear(stream: asyncio.StreamReader, said: bytearray) -> None:
    while some := await stream.read(_TAIL):
        said += some
        del said[:-_TAIL]


def _last(said: bytearray) -> str:
    """The last whole line."""
    return said.rpartition(b"\n")[0].rpartition(b"\n")[2].decode(errors="replace").strip()
