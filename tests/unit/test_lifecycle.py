"""Tasks drain together, and one that raises ends them all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from services.kit import lifecycle
from services.kit.bus import BusDown


async def test_every_task_finishes_what_it_holds() -> None:
    stop, finished = asyncio.Event(), []

    async def task(stopped: Callable[[], bool]) -> None:
        while not stopped():
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        finished.append(1)

    running = asyncio.create_task(lifecycle.run([task, task], stop, 5))
    await asyncio.sleep(0.01)
    assert not running.done()
    stop.set()
    await running
    assert len(finished) == 2


async def test_a_task_that_raises_ends_the_others_and_is_told() -> None:
    ended = []

    async def fails(stopped: Callable[[], bool]) -> None:
        raise ValueError("broken")

    async def works(stopped: Callable[[], bool]) -> None:
        while not stopped():
            await asyncio.sleep(0)
        ended.append(1)

    with pytest.raises(ValueError, match="broken"):
        await lifecycle.run([works, fails], asyncio.Event(), 5)
    assert ended


async def test_a_task_that_is_late_is_cut_off() -> None:
    stop = asyncio.Event()
    stop.set()

    async def late(stopped: Callable[[], bool]) -> None:
        await asyncio.sleep(60)

    await lifecycle.run([late], stop, 0.01)


async def test_a_start_is_tried_until_the_store_lets_it_through() -> None:
    tries = []

    async def start() -> None:
        tries.append(1)
        if len(tries) < 2:
            raise BusDown("not yet")

    await lifecycle.insist(start, asyncio.Event())
    assert len(tries) == 2
