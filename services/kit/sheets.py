"""Tables that people send: CSV as spreadsheets and people write it, Excel as the CSV that it could have been saved as. And the
cells of those that they get."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from itertools import chain

from services.kit.excel import MOST_ROWS, BadExcel, TooManyRows, first_sheet
from services.kit.faults import Faults
from services.kit.problems import Problem

MOST_BYTES = 5 * 1024 * 1024

Note = Callable[[int, str], None]
"""Hears of a row (by its line) that cannot be read, and why."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

_END = "\0"
"""A line behind the last. A quote that was never closed swallows it, and so is found out."""


def harmless(cell: str) -> str:
    """A text as a cell of a CSV, marked as a text where a spreadsheet would take it for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def as_csv(data: bytes) -> str:
    """The text of a CSV file, or of the first sheet of an Excel file. Blocks for a second or so. Raises Problem 413, 422."""
    if len(data) > MOST_BYTES:
        raise Problem(413, "too-large", "Tệp quá lớn: nhiều nhất {mb} MB.", field="file", mb=MOST_BYTES >> 20)
    return _excel(data) if data[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0") else _text(data)


def csv_lines(text: str, note: Note) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV that hold anything, stripped, with the line each begins at; columns may be separated by commas,
    semicolons or tabs. `note(row, message)` hears of what cannot be read."""
    head = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(chain(io.StringIO(text, newline=""), [_END]), delimiter=delimiter)
    while True:
        row = reader.line_num + 1
        try:
            cells = [cell.strip() for cell in next(reader)]
        except csv.Error:
            note(row, "Không đọc được dòng này.")
            continue
        if cells == [_END]:
            return
        if cells and cells[-1].endswith(_END):
            note(row, "Dấu ngoặc kép mở ở dòng này không được đóng.")
            return
        if any(cells):
            yield row, cells


def rows(
    file: str, text: str | None, needed: tuple[str, ...], faults: Faults, names: Mapping[str, str] | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV with the line each begins at; columns may be separated by commas or semicolons. `names`: what else a
    column may be called, in lower case, by which it is meant."""
    if text is None:
        return
    columns: list[str] = []
    for row, cells in csv_lines(text, lambda row, message: faults.add(file, row, None, message)):
        if not columns:
            columns = [(names or {}).get(cell.lower(), cell.lower()) for cell in cells]
            if not _check_columns(file, row, columns, needed, faults):
                return
        elif len(cells) != len(columns):
            faults.add(file, row, None, "Có {found} ô, cần {wanted}.", found=len(cells), wanted=len(columns))
        else:
            yield row, dict(zip(columns, cells, strict=True))
    if not columns:
        faults.add(file, None, None, "Tệp trống.")


def _check_columns(file: str, row: int, columns: list[str], needed: tuple[str, ...], faults: Faults) -> bool:
    """Whether the head of a CSV has each column that is needed, and none twice."""
    missing = [column for column in needed if column not in columns]
    twice = [column for column, count in Counter(filter(None, columns)).items() if count > 1]
    for column in missing:
        faults.add(file, row, column, "Thiếu cột này.")
    for column in twice:
        faults.add(file, row, column, "Cột này có hai lần.")
    return not missing and not twice


def check_filled(file: str, row: int, cells: Mapping[str, str], columns: tuple[str, ...], faults: Faults) -> None:
    """Notes each of these cells that is empty."""
    for column in columns:
        if not cells[column]:
            faults.add(file, row, column, "Để trống.")


def read_day(text: str) -> str | None:
    """A day as people write it ("2025-07-01", "1/7/2025") in ISO 8601; None where it is none."""
    try:
        day = datetime.strptime(text, "%d/%m/%Y").date() if "/" in text else date.fromisoformat(text)
    except ValueError:
        return None
    return day.isoformat() if day.year >= 1900 else None


def _text(data: bytes) -> str:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return unicodedata.normalize("NFC", data.decode(encoding))
    except UnicodeDecodeError as error:
        raise Problem(422, "encoding", "Không phải UTF-8. Hãy lưu lại tệp với bảng mã UTF-8.", field="file") from error


def _excel(data: bytes) -> str:
    try:
        return unicodedata.normalize("NFC", first_sheet(data))
    except TooManyRows as error:
        raise Problem(422, "too-many", "Tệp có quá nhiều dòng (nhiều nhất {most}).", field="file", most=MOST_ROWS) from error
    except BadExcel as error:
        raise Problem(422, "excel", "Không đọc được tệp Excel này.", field="file") from error
