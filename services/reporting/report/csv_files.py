"""The tables as CSV: UTF-8 with its mark, so that Excel keeps the accents; numbers plain ("1234", "65.0"), for programs."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import datetime

from services.kit.sheets import harmless
from services.reporting.report.document import Cell, Column, Document, Table
from services.reporting.report.word import Progress


def render_csv(document: Document, progress: Progress = lambda rows: None) -> bytes:
    """A zip with one file a table, named by its key."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as files:
        for table in document.tables:
            info = zipfile.ZipInfo(f"{table.key}.csv", (2020, 1, 1, 0, 0, 0))
            files.writestr(info, csv_of(table), zipfile.ZIP_DEFLATED)
    return out.getvalue()


def csv_of(table: Table) -> bytes:
    """One table."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(column.title for column in table.columns)
    for row in table.rows:
        writer.writerow(_plain(cell, column) for cell, column in zip(row, table.columns, strict=True))
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _plain(cell: Cell, column: Column) -> str:
    if isinstance(cell, datetime):
        return cell.strftime("%Y-%m-%d" if column.kind == "day" else "%Y-%m-%d %H:%M:%S")
    if isinstance(cell, str):
        return harmless(cell)
    return f"{cell:.1f}" if isinstance(cell, float) else str(cell)
