"""Headcounts of a contest directory: its `headcounts.csv`, taken as an organiser's import."""

from __future__ import annotations

from pathlib import Path

from services.events import ContestBook
from services.kit.cloudevents import type_of
from services.kit.faults import Faults, FaultsFound
from services.kit.runtime import Runtime
from services.reporting.headcount_file import read
from services.reporting.headcount_store import HeadcountStore

BY = "contest load"


async def load(runtime: Runtime, file: Path, contest: str) -> int:
    """Takes the file over and returns how many figures it has; what is held already is not changed. Raises FaultsFound,
    StoreDown, BusDown."""
    book = ContestBook()
    for record in await runtime.bus.read("contests"):
        book.read(type_of(record.headers), record.value)
    faults = Faults()
    text = faults.text(file)
    sheet = read(text or "", book.units(contest), book.contests[contest].categories)
    if text is None or not sheet.good:
        raise FaultsFound([*faults.found, *sheet.faults, *(fault for row in sheet.rows for fault in row.faults)])
    orders = sheet.orders(BY, runtime.clock.now(), approved=True)
    await HeadcountStore(runtime).submit(contest, orders)
    return len(orders)
