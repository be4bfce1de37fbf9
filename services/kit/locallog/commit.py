"""Group commit: one durable commit for all that arrives within a few milliseconds.

The commit runs on the event loop itself: beside a busy loop a committing thread waits for the interpreter lock far longer
than the disk takes. An item costs a future, not a task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from services.kit.bus import BusDown

Item = TypeVar("Item")
Result = TypeVar("Result")


class GroupCommit(Generic[Item, Result]):
    """Collects items and hands them to `commit`, which makes them durable together and returns a result each, in order.

    A group starts `linger` seconds after its first item, or at once when it weighs `full`. An exception of `commit` fails
    the whole group with BusDown; the next group tries anew.
    """

    def __init__(self, commit: Callable[[Sequence[Item]], Sequence[Result]], *, linger: float, full: int, bound: int) -> None:
        self._commit = commit
        self._linger, self._full, self._bound = linger, full, bound
        self._items: list[Item] = []
        self._futures: list[asyncio.Future[Result]] = []
        self._weight = 0
        self._timer: asyncio.Handle | None = None
        self._hurried = False
        self._closed = False

    def submit(self, item: Item, weight: int = 1) -> asyncio.Future[Result]:
        """Queues an item; the future resolves once it is durable. Raises BusDown when too much waits already, or after
        `close`. Cancelling the future does not take the item back."""
        if self._closed:
            raise BusDown("closed")
        if self._items and self._weight + weight > self._bound:
            raise BusDown(f"overloaded: {self._weight} records wait for a commit")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._items.append(item)
        self._futures.append(future)
        self._weight += weight
        if self._timer is None:
            self._timer = loop.call_later(self._linger, self._flush)
        if self._weight >= self._full and not self._hurried:
            self._timer.cancel()
            self._timer = loop.call_soon(self._flush)
            self._hurried = True
        return future

    def _flush(self) -> None:
        items, futures = self._items, self._futures
        self._items, self._futures, self._weight = [], [], 0
        self._timer, self._hurried = None, False
        try:
            results = self._commit(items)
        except Exception as error:
            for future in futures:
                if not future.done():
                    down = BusDown(str(error))
                    down.__cause__ = error
                    future.set_exception(down)
            return
        for future, result in zip(futures, results, strict=True):
            if not future.done():
                future.set_result(result)

    def close(self) -> None:
        """Commits what waits, then takes no more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._flush()
