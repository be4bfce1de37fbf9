"""Store and forward: what a host has written down goes on to the brokers, in order, however long they were away (design §5).

The host's processes append to local logs, which takes no broker. One relay publishes the records of each log and then moves its
position: a crash in between repeats them, and consumers don't mind repeats (design §4.5).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import structlog

from services.kit.bus import Bus, BusDown, Outgoing, Record, TooLarge, dead_letter
from services.kit.clock import Clock
from services.kit.delivery import backoff
from services.kit.locallog import LocalLog
from services.kit.locallog.groups import committed, move
from services.kit.metrics import RELAY_BACKLOG

GROUP = "relay"
"""Under this name the relay commits its position in each log (a log counts as one partition of itself)."""

_RECORDS, _BYTES = 2000, 4 * 1024 * 1024
"""What one publication takes at most."""
_IDLE = 0.02
_CARE_SECONDS = 1.0

BEAT_SECONDS = 5.0
"""How often a relay tells how far it has come."""

MARGIN = timedelta(seconds=3)
"""More than passes from a submission's stamp to its commit."""

log = structlog.get_logger(__name__)


class Teller(Protocol):
    """Makes the record that says how far this host has come. `until`: the brokers hold all that was received before; None while
    that is not known. `leaving`: all is forwarded and this relay ends."""

    def __call__(self, until: datetime | None, *, leaving: bool) -> Outgoing: ...


class Relay:
    """Forwards these logs of `local` to `bus`. `lock` is a file that the one relay of a host holds while it lives."""

    def __init__(
        self,
        local: LocalLog,
        logs: Sequence[str],
        bus: Bus,
        clock: Clock,
        lock: Path,
        tell: Teller | None = None,
        beat: float = BEAT_SECONDS,
    ) -> None:
        self._local, self._bus, self._clock, self._lock = local, bus, clock, lock
        self._tell, self._beat, self._beat_due = tell, beat, 0.0
        self._until: datetime | None = None
        self._positions = dict.fromkeys(logs, 0)
        self._known: dict[tuple[str, int], int] = {}

    async def run(self, stop: Callable[[], bool]) -> None:
        """Forwards until `stop()`, and then what is left: the processes that write are to end before. Ends by itself once all
        is forwarded, or is cut off with what the brokers would not take, which waits for the next relay."""
        with self._lock.open("w") as file:
            while not await self._claim(file.fileno()):
                if stop():
                    return
            await self._forward_all(stop)

    async def _claim(self, file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(0.2)
            return False
        self._known = dict(positions(self._local))
        self._positions = {name: self._known.get((name, 0), 0) for name in self._positions}
        return True

    async def _forward_all(self, stop: Callable[[], bool]) -> None:
        tries, care = 0, self._clock.monotonic()
        while True:
            try:
                if self._clock.monotonic() >= care:
                    self._care()
                    care = self._clock.monotonic() + _CARE_SECONDS
                began = self._clock.now()
                moved = [await self._forward(name) for name in self._positions]
                if not any(moved):
                    self._until = began - MARGIN
                leaving = not any(moved) and stop()
                await self._say(leaving)
                tries = 0
            except BusDown as down:
                wait = backoff(tries, 0.1, 5.0)
                log.warning("relay.put_off", error=str(down), seconds=round(wait, 1))
                tries += 1
                await asyncio.sleep(wait)
                continue
            if leaving:
                return
            if not any(moved):
                await asyncio.sleep(_IDLE)

    async def _forward(self, name: str) -> bool:
        """Publishes what comes next in a log, if anything does, and moves on. Raises BusDown."""
        position, source = self._positions[name], self._local.log(name)
        records, next_ = source.scan(position, None, dict.fromkeys(self._local.topics_in(name)), _RECORDS, _BYTES)
        if next_ == position:
            return False
        try:
            await self._bus.publish([_as_it_is(record) for record in records])
        except TooLarge:
            for record in records:
                await self._forward_one(name, record)
        with self._local.log(GROUP).transaction() as transaction:
            move(transaction.connection, GROUP, self._known, {(name, 0): next_})
        self._known[name, 0] = self._positions[name] = next_
        return True

    async def _say(self, leaving: bool) -> None:
        """Tells, now and then and at the end, how far this host has come. Raises BusDown."""
        if self._tell is not None and (leaving or self._clock.monotonic() >= self._beat_due):
            await self._bus.publish([self._tell(self._until, leaving=leaving)])
            self._beat_due = self._clock.monotonic() + self._beat

    async def _forward_one(self, name: str, record: Record) -> None:
        """Forwards a record by itself; of one that no broker takes, a dead letter says which it was and why."""
        try:
            await self._bus.publish([_as_it_is(record)])
        except TooLarge as error:
            log.error("relay.too_large", log=name, topic=record.topic, offset=record.offset, error=str(error))
            empty = Record(record.topic, record.partition, record.offset, record.key, b"", record.headers, record.timestamp)
            await self._bus.publish([dead_letter(empty, str(error), 1)])

    def _care(self) -> None:
        """Says how much waits, and drops the files whose records the brokers hold once they have outlived their time."""
        for name, position in self._positions.items():
            RELAY_BACKLOG.labels(name).set(behind(self._local, name, position))
            self._local.log(name).trim(below=position)


def _as_it_is(record: Record) -> Outgoing:
    return Outgoing(record.topic, record.key, record.value, record.headers)


class StoreAndForward:
    """A Bus whose publications wait on this host for its relay, while all else is the brokers'."""

    def __init__(self, local: LocalLog, brokers: Bus) -> None:
        self._local, self._brokers = local, brokers
        self.consume, self.follow = brokers.consume, brokers.follow
        self.read, self.batches = brokers.read, brokers.batches
        self.end_offsets, self.committed = brokers.end_offsets, brokers.committed
        self.resume, self.close = brokers.resume, brokers.close

    @property
    def paused(self) -> Sequence[str]:
        return self._brokers.paused

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Returns when the records are durable: on this host where its logs hold their topic, else at the brokers."""
        here = [record for record in records if self._local.holds(record.topic)]
        if here:
            await self._local.publish(here)
        if len(here) < len(records):
            await self._brokers.publish([record for record in records if not self._local.holds(record.topic)])


def positions(local: LocalLog) -> Mapping[tuple[str, int], int]:
    """By log (as topic, partition 0): the offset that its relay goes on from. Raises BusDown."""
    connection = local.log(GROUP).active()
    return committed(connection, GROUP, local.logs) if connection else {}


def behind(local: LocalLog, name: str, position: int) -> int:
    """How many offsets of a log lie before the brokers. Raises BusDown."""
    return max(0, max(max(local.log(name).ends(topic)) for topic in local.topics_in(name)) - position)


class Confirmations:
    """Tells the processes that write how far the relay has come in one log. All who wait share one look at a time."""

    def __init__(self, local: LocalLog, name: str, every: float = 0.01) -> None:
        self._local, self._name, self._every = local, name, every
        self._position = 0
        self._look: asyncio.Task[None] | None = None

    async def reach(self, end: int, seconds: float) -> bool:
        """Waits until the brokers hold everything below the offset `end`; False where that took longer than `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._position < end:
                    await asyncio.shield(self._next_look())
        return self._position >= end

    def _next_look(self) -> asyncio.Task[None]:
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._look_soon())
        return self._look

    async def _look_soon(self) -> None:
        await asyncio.sleep(self._every)
        with contextlib.suppress(BusDown):
            self._position = positions(self._local).get((self._name, 0), 0)
