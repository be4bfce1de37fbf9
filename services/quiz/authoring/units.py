"""The units of a contest from a file: `units.csv`, or the same in Excel. A dry run first; then all of it, or nothing. Pure."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import python_calamine as calamine

from services.events import Unit
from services.kit.problems import Problem
from services.quiz.contest_faults import ContestError, Faults
from services.quiz.contest_files import UNITS, read_units

MOST = 20_000
MOST_BYTES = 5 * 1024 * 1024


@dataclass(frozen=True)
class UnitRow:
    """A row of the file with its verdict: no faults, or what is wrong."""

    line: int
    code: str
    parent: str
    name: str
    kind: str
    faults: Sequence[ContestError]


@dataclass(frozen=True)
class UnitSheet:
    """What a file holds, and its text as CSV. `faults` are those of no row."""

    text: str
    units: Sequence[Unit]
    rows: Sequence[UnitRow]
    faults: Sequence[ContestError]

    @property
    def digest(self) -> str:
        """Names this text."""
        return blake2b(self.text.encode(), digest_size=8).hexdigest()

    @property
    def good(self) -> bool:
        """Whether it may be taken, whole."""
        return not self.faults and not any(row.faults for row in self.rows)


def read(name: str, data: bytes, published: Collection[str] = ()) -> UnitSheet:
    """Reads a file; `published` are codes that must not go, for people have registered under them. Raises Problem 413, 422."""
    if len(data) > MOST_BYTES:
        raise Problem(413, "too-large", "Tệp quá lớn: nhiều nhất {mb} MB.", field="file", mb=MOST_BYTES >> 20)
    return read_text(_excel(data) if data[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0") else _text(data), published)


def read_text(text: str, published: Collection[str] = ()) -> UnitSheet:
    """The same of a CSV that is text already."""
    faults = Faults()
    units, cells = read_units(text, faults)
    kept = {unit.code for unit in units} | {row["code"] for _, row in cells}
    for code in sorted(set(published) - kept):
        faults.add(UNITS, None, "code", "Đơn vị {code} đã công bố nên không bỏ được.", code=code)
    if len(units) > MOST:
        faults.add(UNITS, None, None, "Nhiều nhất {most} đơn vị.", most=MOST)
    by_line: dict[int | None, list[ContestError]] = {}
    for fault in faults.found:
        by_line.setdefault(fault.row, []).append(fault)
    rows = [UnitRow(line, c["code"], c["parent"], c["name"], c["kind"], by_line.pop(line, [])) for line, c in cells]
    return UnitSheet(text, units, rows, [fault for group in by_line.values() for fault in group])


def _text(data: bytes) -> str:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return unicodedata.normalize("NFC", data.decode(encoding))
    except UnicodeDecodeError as error:
        raise Problem(422, "encoding", "Không phải UTF-8. Hãy lưu lại tệp với bảng mã UTF-8.", field="file") from error


def _excel(data: bytes) -> str:
    """The first sheet as the CSV that it could have been saved as; a row of the sheet is a line."""
    try:
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        rows = book.get_sheet_by_index(0).to_python(skip_empty_area=False)
    except Exception as error:  # the library raises what it likes on a broken file
        raise Problem(422, "excel", "Không đọc được tệp Excel này.", field="file") from error
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    width = next((len(_trimmed(row)) for row in rows if any(row)), 0)
    for row in rows[: MOST + 100]:
        writer.writerow([_cell(cell) for cell in row[:width]])
    return unicodedata.normalize("NFC", table.getvalue())


def _trimmed(row: Sequence[object]) -> Sequence[object]:
    end = max((place for place, cell in enumerate(row, 1) if str(cell).strip()), default=0)
    return row[:end]


def _cell(cell: object) -> str:
    """A number as it is shown: a code that Excel has taken for one has no decimals."""
    text = str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
    return " ".join(text.split())
