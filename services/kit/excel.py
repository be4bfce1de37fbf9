"""The first sheet of an Excel file as CSV, read in a process of its own: `python -m services.kit.excel`.

The library lays a sheet out whole, however far its last cell stands, and ends the process where memory does not reach: a file of
5 kB would end all that the web process does.
"""

from __future__ import annotations

import csv
import io
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from threading import BoundedSemaphore

MOST_ROWS = 50_000
MOST_MEMORY = 1024 * 1024 * 1024
MOST_SECONDS = 20

TOO_MANY_ROWS = 3
"""The exit status of the process where the sheet has more rows than MOST_ROWS."""

_few = BoundedSemaphore(2)


class BadExcel(ValueError):
    """Not an Excel file, or one that cannot be laid out."""


class TooManyRows(ValueError):
    """More rows than MOST_ROWS."""


def first_sheet(data: bytes) -> str:
    """The first sheet as the CSV that it could have been saved as; a row of the sheet is a line. Blocks for a second or so.
    Raises BadExcel, TooManyRows."""
    with _few:
        try:
            command = [sys.executable, "-m", "services.kit.excel"]
            made = subprocess.run(command, input=data, capture_output=True, timeout=3 * MOST_SECONDS, check=False)  # noqa: S603 (ourselves)
        except subprocess.TimeoutExpired as error:
            raise BadExcel("it takes too long") from error
    if made.returncode == TOO_MANY_ROWS:
        raise TooManyRows
    if made.returncode:
        raise BadExcel(f"exit status {made.returncode}")
    return made.stdout.decode()


def main() -> int:
    """What the process does."""
    os.nice(5)
    limits = {resource.RLIMIT_AS: MOST_MEMORY, resource.RLIMIT_CPU: MOST_SECONDS, resource.RLIMIT_CORE: 0}
    for limit, most in limits.items():
        with suppress(ValueError, OSError):  # not every system lets itself be bounded
            resource.setrlimit(limit, (most, most))
    # Imported by need: only this process has use for it.
    import python_calamine as calamine

    book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(sys.stdin.buffer.read()))
    rows = book.get_sheet_by_index(0).to_python(skip_empty_area=False)
    if len(rows) > MOST_ROWS:
        return TOO_MANY_ROWS
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    width = next((len(_trimmed(row)) for row in rows if any(row)), 0)
    for row in rows:
        writer.writerow([_cell(cell) for cell in row[:width]])
    sys.stdout.buffer.write(table.getvalue().encode())
    return 0


def _trimmed(row: Sequence[object]) -> Sequence[object]:
    end = max((place for place, cell in enumerate(row, 1) if str(cell).strip()), default=0)
    return row[:end]


def _cell(cell: object) -> str:
    """A number as it is shown: a code that Excel has taken for one has no decimals, a day no time."""
    if isinstance(cell, datetime):
        cell = cell.date()
    text = str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
    return " ".join(text.split())


if __name__ == "__main__":
    sys.exit(main())
