"""Headcounts from a file: `headcounts.csv` (unit, category, count, as_of, source), or the same in Excel. A dry run first, row by
row; then all of it, or nothing. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from services.events import Category, Unit
from services.kit.faults import Fault, Faults
from services.kit.sheets import check_filled, read_day, rows
from services.reporting.headcount_book import Book, Enter

HEADCOUNTS = "headcounts.csv"
COLUMNS = ("unit", "category", "count", "as_of", "source")
MOST_PEOPLE = 10_000_000

_NUMBER = re.compile(r"\d{1,3}(?:[. ]\d{3})+|\d{1,8}")


@dataclass(frozen=True)
class Row:
    """A row with its verdict. `people` is None where the row says nothing (an empty count: unknown stays unknown)."""

    line: int
    unit: str
    name: str
    category: str
    people: int | None
    as_of: str
    source: str
    faults: Sequence[Fault]


@dataclass(frozen=True)
class Sheet:
    """What a file holds. `faults` are those of no row."""

    text: str
    rows: Sequence[Row]
    faults: Sequence[Fault]

    @property
    def digest(self) -> str:
        """Names this text."""
        return blake2b(self.text.encode(), digest_size=8).hexdigest()

    @property
    def good(self) -> bool:
        """Whether it may be taken, whole."""
        return not self.faults and not any(row.faults for row in self.rows)

    @property
    def figures(self) -> list[Row]:
        """The rows that say something."""
        return [row for row in self.rows if row.people is not None]

    def orders(self, by: str, at: datetime, *, approved: bool) -> list[tuple[str, Enter]]:
        """What the rows order. The same file by the same person at the same time orders the same."""
        tag = f"{self.digest}/{by}/{at.isoformat()}"
        return [
            (
                row.unit,
                Enter(
                    id=f"{tag}/{row.line}", category=row.category, as_of=row.as_of, people=row.people, source=row.source,
                    by=by, at=at, approved=approved,
                ),
            )
            for row in self.figures
        ]  # fmt: skip


def read(text: str, units: Mapping[str, Unit], categories: Iterable[Category], own: Collection[str] | None = None) -> Sheet:
    """Reads a file; with `own`, every other unit is a fault. A category is named by its id or its name, empty for everybody."""
    faults = Faults()
    known = {"": ""} | {name.casefold(): each.id for each in categories for name in (each.id, each.name)}
    given = list(rows(HEADCOUNTS, text, COLUMNS, faults))
    seen: dict[tuple[str, str, str], int] = {}
    found: list[tuple[int, Mapping[str, str], str, int | None, str]] = []
    for line, cells in given:
        category = known.get(cells["category"].casefold())
        check_filled(HEADCOUNTS, line, cells, ("unit", "as_of"), faults)
        if cells["unit"] and cells["unit"] not in units:
            faults.add(HEADCOUNTS, line, "unit", "Không có đơn vị {unit}.", unit=cells["unit"])
        elif cells["unit"] and own is not None and cells["unit"] not in own:
            faults.add(HEADCOUNTS, line, "unit", "Đơn vị {unit} không thuộc phạm vi của bạn.", unit=cells["unit"])
        if category is None:
            faults.add(HEADCOUNTS, line, "category", "Không có đối tượng “{category}”.", category=cells["category"])
        day = read_day(cells["as_of"]) if cells["as_of"] else ""
        if day is None:
            faults.add(HEADCOUNTS, line, "as_of", "Không phải ngày, ví dụ 01/07/2025 hoặc 2025-07-01.")
        people = number_of(cells["count"])
        if cells["count"] and people is None:
            faults.add(HEADCOUNTS, line, "count", "Phải là số nguyên từ {least} đến {most}.", least=0, most=MOST_PEOPLE)
        if day and category is not None:
            other = seen.setdefault((cells["unit"], category, day), line)
            if other != line:
                faults.add(HEADCOUNTS, line, "unit", "Đơn vị, đối tượng và ngày này đã có ở dòng {line}.", line=other)
        found.append((line, cells, category or "", people, day or ""))
    if not given and not faults.found:
        faults.add(HEADCOUNTS, None, None, "Tệp không có dòng nào.")
    by_line: dict[int | None, list[Fault]] = {}
    for fault in faults.found:
        by_line.setdefault(fault.row, []).append(fault)
    read_rows = [
        Row(
            line, cells["unit"], units[cells["unit"]].name if cells["unit"] in units else "", category, people, day,
            cells["source"][:200], by_line.pop(line, []),
        )
        for line, cells, category, people, day in found
    ]  # fmt: skip
    return Sheet(text, read_rows, [fault for group in by_line.values() for fault in group])


def number_of(text: str) -> int | None:
    """A number of people as people write it: "1250", "1.250", "1 250"; None where it is none."""
    digits = text.strip()
    if not digits.isascii() or not _NUMBER.fullmatch(digits):
        return None
    number = int(re.sub(r"[. ]", "", digits))
    return number if number <= MOST_PEOPLE else None


def held(row: Row, books: Mapping[str, Book]) -> int | None:
    """What the row's unit, category and day hold by now; None where nothing is known."""
    entry = books[row.unit].standing().get((row.category, row.as_of)) if row.unit in books else None
    return entry.people if entry else None
