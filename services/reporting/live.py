"""The board as it moves: reads the views at most once a second and only while somebody looks, and tells all listeners at once."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec
import structlog

from services.events import ContestBook, state_at
from services.kit.bus import Transient
from services.kit.clock import Clock
from services.kit.metrics import STREAMS
from services.kit.problems import Problem
from services.reporting.board import Board
from services.reporting.share import NOTHING, Cell
from services.reporting.store import Views

PERIOD = 1.0
"""Seconds between two reads of the views, and between two looks at what has changed. Figures twice as old are still shown while
newer ones are read, so that nobody waits for the store where many ask."""

HEARTBEAT = 15.0
MOST_STREAMS = 5_000
"""Listeners of one process; whoever comes after them is asked to come back, and the page asks by itself meanwhile."""

_SLICE, _BREATH = 0.0005, 0.002
"""Seconds of adding up at a stretch, and of rest: an answer takes several turns of the loop, and each may wait for a stretch."""

_QUEUE = 16

log = structlog.get_logger(__name__)


class Live:
    """Keeps a board fresh for those who ask. One read at a time, shared by all who wait for it."""

    def __init__(self, views: Views, board: Board, clock: Clock) -> None:
        self._views, self._board, self._clock = views, board, clock
        self._reading: asyncio.Task[None] | None = None
        self._due, self._interval = 0.0, PERIOD
        self.as_of: datetime | None = None

    async def fresh(self, *, newest: bool = False) -> datetime:
        """Returns the time of which the board tells, two seconds ago at most; earlier while the store is away, or with `newest`
        waits for what is there now, if a second has gone by.

        Raises StoreDown when the views were never read.
        """
        late = self._clock.monotonic() - self._due
        if self.as_of is None or late >= 0:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read())
            if self.as_of is None or newest or late >= self._interval:
                # One who leaves must not take the read from the others.
                await asyncio.shield(self._reading)
        assert self.as_of is not None
        return self.as_of

    async def _read(self) -> None:
        began, now = self._clock.monotonic(), self._clock.now()
        try:
            for partition, body in (await self._views.changed()).items():
                self._board.take(partition, body)
                await asyncio.sleep(_BREATH)
            worked = time.perf_counter()
            for _ in self._board.add_up():
                if time.perf_counter() - worked > _SLICE:
                    await asyncio.sleep(_BREATH)
                    worked = time.perf_counter()
            self.as_of = now
        except Transient as error:
            if self.as_of is None:
                raise
            log.warning("board.stale", error=str(error))
        # A large board takes at most a quarter of the process.
        self._interval = max(PERIOD, 4 * (self._clock.monotonic() - began))
        self._due = began + self._interval


class Listener:
    """One open stream. Whoever reads too slowly loses the queue and gets the whole state instead."""

    def __init__(self, contest: str) -> None:
        self.contest = contest
        self.behind = True
        self._queue: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._closed = False

    def put(self, message: bytes) -> None:
        if len(self._queue) >= _QUEUE:
            self._queue.clear()
            self.behind = True
        else:
            self._queue.append(message)
        self._news.set()

    def close(self) -> None:
        self._closed = True
        self._news.set()

    async def messages(self) -> AsyncIterator[bytes]:
        """What is put, as it comes, until `close`."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._queue:
                yield self._queue.popleft()
            if self._closed:
                return


class Stream:
    """Server-sent events of all contests: one producer, whose messages are made once for all listeners of a contest."""

    def __init__(self, live: Live, board: Board, book: ContestBook, clock: Clock) -> None:
        self._live, self._board, self._book, self._clock = live, board, book, clock
        self._listeners: set[Listener] = set()
        self._told: dict[str, Mapping[str, Cell]] = {}
        self._states: dict[str, str] = {}
        self._closed = False

    def admit(self) -> None:
        """Raises Problem 503 where no more listeners fit."""
        if self._closed or len(self._listeners) >= MOST_STREAMS:
            raise Problem(503, "streams", "Bảng đang có quá nhiều người xem, xin thử lại sau.", headers={"Retry-After": "15"})

    async def listen(self, contest: str) -> AsyncIterator[bytes]:
        """The events of a contest for one listener, the whole state first."""
        listener = Listener(contest)
        self._listeners.add(listener)
        STREAMS.inc()
        try:
            async for message in listener.messages():
                yield message
        finally:
            STREAMS.dec()
            self._listeners.discard(listener)

    async def run(self, stop: Callable[[], bool]) -> None:
        """Produces until `stop()`, then ends all streams."""
        beat = self._clock.monotonic() + HEARTBEAT
        while not stop():
            if self._listeners:
                try:
                    as_of = await self._live.fresh(newest=True)
                    self._produce(as_of)
                except Transient as error:
                    log.warning("stream.store_down", error=str(error))
                if self._clock.monotonic() >= beat:
                    beat = self._clock.monotonic() + HEARTBEAT
                    self._tell(None, message("heartbeat", {"now": self._clock.now()}))
            await asyncio.sleep(PERIOD / 4)
        self._closed = True
        for listener in self._listeners:
            listener.close()

    def _produce(self, as_of: datetime) -> None:
        contests = {listener.contest for listener in self._listeners} & self._book.contests.keys()
        for contest in contests:
            table, told = self._board.table(contest).cells, self._told.get(contest, {})
            self._told[contest] = table
            if table is not told:
                units = table.keys() | told.keys()
                changed = {code: table.get(code, NOTHING) for code in units if table.get(code) != told.get(code)}
                if changed:
                    self._tell(contest, turnout(as_of, table, changed, whole=False))
            for state in self._changed_rounds(contest):
                self._tell(contest, message("round", state))
            self._catch_up(contest, as_of, table)

    def _catch_up(self, contest: str, as_of: datetime, table: Mapping[str, Cell]) -> None:
        """Tells new and slow listeners everything."""
        behind = [listener for listener in self._listeners if listener.behind and listener.contest == contest]
        if behind:
            everything = turnout(as_of, table, table, whole=True) + b"".join(
                message("round", {"round": plan.id, "name": plan.name, "state": self._states[plan.id]})
                for plan in self._book.rounds(contest)
            )
            for listener in behind:
                listener.behind = False
                listener.put(everything)

    def _changed_rounds(self, contest: str) -> list[dict[str, str]]:
        now = self._clock.now()
        states = {plan.id: (plan.name, state_at(plan, now)) for plan in self._book.rounds(contest)}
        changed = [
            {"round": id, "name": name, "state": state} for id, (name, state) in states.items() if self._states.get(id) != state
        ]
        self._states |= {id: state for id, (_, state) in states.items()}
        return changed

    def _tell(self, contest: str | None, text: bytes) -> None:
        for listener in self._listeners:
            # Who is behind gets everything in a moment.
            if not listener.behind and contest in (None, listener.contest):
                listener.put(text)


def turnout(as_of: datetime, table: Mapping[str, Cell], rows: Mapping[str, Cell], whole: bool) -> bytes:
    """The event `turnout`: what everybody together comes to, and these rows, roll-ups included. `whole` says that units which
    are not in it have nobody."""
    total = table.get("", NOTHING)
    return message(
        "turnout",
        {
            "as_of": as_of,
            "whole": whole,
            "totals": {"people": total.people, "attempts": total.attempts},
            "rows": [{"unit": code, "people": cell.people, "attempts": cell.attempts} for code, cell in rows.items() if code],
        },
    )


def message(event: str, data: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"event: %s\ndata: %s\n\n" % (event.encode(), msgspec.json.encode(data))
