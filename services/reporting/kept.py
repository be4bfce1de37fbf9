"""Things that are the same for everybody, made once for all who ask and kept for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from services.kit.clock import Clock

MOST_KEPT = 100
"""Things of one process; whatever was made first goes first."""


class Kept:
    """Makes a thing when it is first asked for, once for all who wait, and keeps it for some seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._things: dict[tuple[str, ...], tuple[float, asyncio.Task[bytes]]] = {}

    async def get(self, key: tuple[str, ...], seconds: float, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """Raises what `make` does; nothing of that is kept."""
        until, task = self._things.get(key, (0.0, None))
        if task is None or self._clock.monotonic() >= until or (task.done() and (task.cancelled() or task.exception())):
            self._things.pop(key, None)
            while len(self._things) >= MOST_KEPT:
                del self._things[next(iter(self._things))]
            task = asyncio.ensure_future(_made(make))
            self._things[key] = (self._clock.monotonic() + seconds, task)
        # One who leaves must not take it from the others.
        return await asyncio.shield(task)


async def _made(make: Callable[[], Awaitable[bytes]]) -> bytes:
    return await make()
