"""Natural batching: while one bulk is on its way to the store, the next one gathers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from services.kit.bus import BusDown

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Hands items to `work` in bulks, one bulk at a time, each as large as what gathered meanwhile (at most `most`).

    `work` returns a result an item, in order; an exception of it reaches every waiter of its bulk. Raises BusDown when more
    than `bound` items wait.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], *, most: int, bound: int) -> None:
        self._work, self._most, self._bound = work, most, bound
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._task: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Result:
        """The result for this item, once its bulk is done."""
        if len(self._waiting) >= self._bound:
            raise BusDown(f"overloaded: {self._bound} wait already")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        return await future

    async def _drain(self) -> None:
        while self._waiting:
            bulk, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            try:
                results = await self._work([item for item, _ in bulk])
            except Exception as error:
                for _, future in bulk:
                    if not future.done():
                        future.set_exception(error)
            else:
                for (_, future), result in zip(bulk, results, strict=True):
                    if not future.done():
                        future.set_result(result)
        self._task = None
