"""Where reporting keeps headcounts as people enter them, and how each approval becomes an event.

headcounts        a unit's book, guarded by its revision
headcount_intents what was ordered, whole, until it is done and told: written first, so that a process may die at any point
headcount_open    which units have a proposal that waits
headcount_files   the file that somebody tried last

Orders change nothing when they are carried out again, and an event is told from the book as it stands *after* it was written. Who
has told looks once more: of two processes that change a book at once, the later one's word is the last in the topic.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
import structlog
from bson import Binary

from services.events.headcounts import HeadcountApproved
from services.kit.bus import BusDown, Transient
from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.kit.store import FACTS, StoreDown, find_ids, insert_facts, store_errors
from services.reporting.headcount_book import Book, Decide, Enter, Key, Order, apply

LEFT_BEHIND = timedelta(seconds=15)
"""An intent this old belongs to nobody who still works on it."""
_CHUNK, _TRIES = 500, 20

Orders = Sequence[tuple[str, Order]]
"""Each with its unit."""

_books = msgspec.json.Decoder(Book)
_orders = msgspec.json.Decoder(list[tuple[str, Enter | Decide]])

log = structlog.get_logger(__name__)


class Held(NamedTuple):
    """A book as it was read; revision -1 where there is none yet."""

    revision: int
    book: Book


class HeadcountStore:
    """All calls raise StoreDown or BusDown; what was ordered then is finished by the worker, or was never begun."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._books = runtime.store["headcounts"].with_options(write_concern=FACTS)
        self._intents = runtime.store["headcount_intents"].with_options(write_concern=FACTS)
        self._open, self._files = runtime.store["headcount_open"], runtime.store["headcount_files"]

    async def books(self, contest: str, units: Iterable[str]) -> dict[str, Book]:
        """The book of each unit; an empty one where there is none."""
        return {unit: held.book for unit, held in (await self._read(contest, units)).items()}

    async def waiting(self, contest: str) -> list[str]:
        """The units that have a proposal to be decided."""
        with store_errors():
            return sorted([found["unit"] async for found in self._open.find({"contest": contest, "open": True})])

    async def submit(self, contest: str, orders: Orders) -> None:
        """Does all of it, or nothing. Raises Problem 404 or 409 of the first order that cannot be."""
        books = await self.books(contest, {unit for unit, _ in orders})
        for unit, order in orders:
            books[unit] = apply(books[unit], order)
        id = uuid.uuid4().hex
        intent = {
            "_id": id,
            "at": self._runtime.clock.now(),
            "contest": contest,
            "orders": Binary(msgspec.json.encode(list(orders))),
        }
        await insert_facts(self._intents, [intent])
        try:
            await self._carry_out(contest, orders, strict=len(orders) == 1)
        except Problem:  # Of one order; somebody was quicker, and nothing was written.
            await self._forget(id)
            raise
        await self._forget(id)

    async def sweep(self) -> int:
        """Does again what a dead process left. Returns how many intents that were."""
        now = self._runtime.clock.now()
        with store_errors():
            left = [intent async for intent in self._intents.find({}) if intent["at"] < now - LEFT_BEHIND]
        for intent in left:
            await self._carry_out(intent["contest"], _orders.decode(intent["orders"]), strict=False)
            await self._forget(intent["_id"])
            log.info("headcounts.swept", contest=intent["contest"])
        return len(left)

    async def run(self, stop: Callable[[], bool]) -> None:
        """Sweeps every few seconds until `stop()`."""
        due = self._runtime.clock.monotonic()
        while not stop():
            if self._runtime.clock.monotonic() >= due:
                try:
                    await self.sweep()
                except (Transient, BusDown) as error:
                    log.warning("headcounts.put_off", error=str(error))
                due = self._runtime.clock.monotonic() + 5
            await asyncio.sleep(0.2)

    async def keep_file(self, by: str, contest: str, text: str) -> None:
        """Keeps a file between its dry run and its import."""
        with store_errors():
            await self._files.update_one({"_id": f"{by}/{contest}"}, {"$set": {"text": text}}, upsert=True)

    async def file(self, by: str, contest: str) -> str:
        """The file that was tried last; "" where there is none."""
        with store_errors():
            found = await self._files.find_one({"_id": f"{by}/{contest}"})
        return str(found["text"]) if found else ""

    # -- carrying out

    async def _carry_out(self, contest: str, orders: Orders, *, strict: bool) -> None:
        by_unit: dict[str, list[Order]] = {}
        for unit, order in orders:
            by_unit.setdefault(unit, []).append(order)
        left = by_unit
        for _ in range(_TRIES):
            left = await self._write(contest, left, strict=strict)
            if not left:
                break
        else:
            raise StoreDown(f"headcounts of {contest} change all the time")
        await self._tell(contest, by_unit)

    async def _write(self, contest: str, orders: Mapping[str, list[Order]], *, strict: bool) -> dict[str, list[Order]]:
        """Changes the books; returns the orders of those that somebody else changed meanwhile."""
        held = await self._read(contest, orders)
        fresh: dict[str, dict[str, Any]] = {}
        lost: dict[str, list[Order]] = {}
        for unit, of_unit in orders.items():
            book = _applied(held[unit].book, of_unit, strict)
            if book is held[unit].book:
                continue
            change = {"revision": held[unit].revision + 1, "body": Binary(msgspec.json.encode(book))}
            if held[unit].revision < 0:
                fresh[unit] = {"_id": f"{contest}/{unit}", "contest": contest, "unit": unit, **change}
            else:
                with store_errors():
                    query = {"_id": f"{contest}/{unit}", "revision": held[unit].revision}
                    done = await self._books.update_one(query, {"$set": change})
                if done.matched_count != 1:
                    lost[unit] = of_unit
        known = set[str]()
        for begin in range(0, len(fresh), _CHUNK):
            known |= await insert_facts(self._books, list(fresh.values())[begin : begin + _CHUNK])
        return lost | {unit: orders[unit] for unit, document in fresh.items() if document["_id"] in known}

    async def _tell(self, contest: str, orders: Mapping[str, list[Order]]) -> None:
        """Tells of the books as they stand, until they have stood still while it was told."""
        left = set(orders)
        while left:
            held = await self._read(contest, left)
            books = {unit: held[unit].book for unit in sorted(left)}
            events = [e for unit, book in books.items() for e in told(contest, unit, book, _keys(book, orders[unit]))]
            for begin in range(0, len(events), _CHUNK):
                await self._runtime.bus.publish([self._runtime.outgoing(event) for event in events[begin : begin + _CHUNK]])
            await self._mark_open(contest, {unit: any(held[unit].book.proposals()) for unit in left}, orders)
            now = await self._read(contest, left)
            left = {unit for unit in left if now[unit].revision != held[unit].revision}

    async def _mark_open(self, contest: str, waits: Mapping[str, bool], orders: Mapping[str, list[Order]]) -> None:
        for unit, open in waits.items():
            if any(isinstance(order, Decide) or not order.approved for order in orders[unit]):
                with store_errors():
                    mark = {"contest": contest, "unit": unit, "open": open}
                    await self._open.update_one({"_id": f"{contest}/{unit}"}, {"$set": mark}, upsert=True)

    async def _read(self, contest: str, units: Iterable[str]) -> dict[str, Held]:
        wanted = list(units)
        found: dict[str, dict[str, Any]] = {}
        for begin in range(0, len(wanted), _CHUNK):
            found |= await find_ids(self._books, [f"{contest}/{unit}" for unit in wanted[begin : begin + _CHUNK]])
        held = {unit: found.get(f"{contest}/{unit}") for unit in wanted}
        return {unit: Held(d["revision"], _books.decode(d["body"])) if d else Held(-1, Book()) for unit, d in held.items()}

    async def _forget(self, intent: str) -> None:
        with store_errors():
            await self._intents.delete_one({"_id": intent})


def told(contest: str, unit: str, book: Book, keys: Iterable[Key]) -> list[HeadcountApproved]:
    """The events of what stands under these keys; the same for the same book."""
    standing = book.standing()
    entries = [standing[key] for key in sorted(keys) if key in standing]
    return [
        HeadcountApproved(
            time=entry.decided_at or entry.at, contest=contest, unit=unit, category=entry.category, as_of=entry.as_of,
            people=entry.people, source=entry.source, revision=entry.revision,
        )
        for entry in entries
    ]  # fmt: skip


def _applied(book: Book, orders: Sequence[Order], strict: bool) -> Book:
    for order in orders:
        try:
            book = apply(book, order)
        except Problem:
            if strict:
                raise
    return book


def _keys(book: Book, orders: Sequence[Order]) -> set[Key]:
    """What these orders are about."""
    entries = {order.entry for order in orders if isinstance(order, Decide)}
    decided = {entry.key for entry in book.entries if entry.id in entries}
    return decided | {order.key for order in orders if isinstance(order, Enter) and order.approved}
