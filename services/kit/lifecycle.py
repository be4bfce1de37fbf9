"""How a process lives and ends: its tasks run side by side, SIGTERM drains them, and a task that raises ends them all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
from collections.abc import Awaitable, Callable, Sequence

import structlog

from services.kit.bus import BusDown, Transient

Task = Callable[[Callable[[], bool]], Awaitable[None]]
"""Runs until its `stop()` is true, then finishes what it holds and returns."""

PARENT = "HOITHI_PARENT"
"""The environment variable with the pid of the process that this one ends with."""

log = structlog.get_logger(__name__)


def stopping() -> asyncio.Event:
    """An event of the running loop that SIGTERM, SIGINT and SIGHUP set."""
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, event.set)
    return event


async def run(tasks: Sequence[Task], stop: asyncio.Event, grace: float) -> None:
    """Runs tasks until `stop` is set or one of them raises, then gives all of them `grace` seconds to finish.

    Raises what the first failed task raised; those that are late are cancelled.
    """

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            stop.set()

    running = [asyncio.create_task(_named(task, stop), name=getattr(task, "__qualname__", repr(task))) for task in tasks]
    for task in running:
        task.add_done_callback(ended)
    await stop.wait()
    late = (await asyncio.wait(running, timeout=grace))[1] if running else set()
    for task in late:
        log.warning("task.cut_off", task=task.get_name())
        task.cancel()
    results = await asyncio.gather(*running, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def _named(task: Task, stop: asyncio.Event) -> None:
    await task(stop.is_set)


async def insist(action: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Does `action` again until the store and the bus let it through, or it is time to stop."""
    while not stop.is_set():
        try:
            await action()
            return
        except (Transient, BusDown) as error:
            log.warning("start.put_off", error=str(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.5)


async def end_with_parent(stop: Callable[[], bool]) -> None:
    """A task that ends the process when the one that started it has died. Where the kernel tells of it (Linux), this is the
    second string."""
    parent = os.environ.get(PARENT)
    while not stop():
        if parent and os.getppid() != int(parent):
            raise ParentDied(f"the supervisor (pid {parent}) is gone")
        await asyncio.sleep(0.5)


class ParentDied(Exception):
    """Nobody would restart this process or stop it."""


def allow_many_files() -> None:
    """Each connection is a file: takes as many as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
