"""The tables as an Excel file: a sheet a table, numbers as numbers, codes as text, ready to be printed on A4."""

from __future__ import annotations

import io
from datetime import datetime

import xlsxwriter
from xlsxwriter.worksheet import Worksheet

from services.reporting.report.document import CENTRED, Cell, Column, Document, Kind, Table
from services.reporting.report.word import Progress

FORMATS: dict[Kind, str] = {
    "count": "#,##0",
    "change": "+#,##0;-#,##0;0",
    "percent": "#,##0.0",
    "ratio": "#,##0.0",
    "time": "dd/mm/yyyy hh:mm:ss",
    "day": "dd/mm/yyyy",
    "code": "@",
    "text": "@",
}
"""Excel shows dots and commas as the reader's language has them."""


def render_excel(document: Document, progress: Progress = lambda rows: None) -> bytes:
    """The file's bytes."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    book.set_properties({"title": document.subject or document.head.subject, "created": datetime(2020, 1, 1)})
    rows = 0
    for table in document.tables:
        _Sheet(book, table, document).write()
        rows += len(table.rows)
        progress(rows)
    book.close()
    return out.getvalue()


class _Sheet:
    """One table: title, period, head, rows, notes."""

    def __init__(self, book: xlsxwriter.Workbook, table: Table, document: Document) -> None:
        self._book, self._table, self._document = book, table, document
        self._sheet: Worksheet = book.add_worksheet(table.number)
        self._formats: dict[tuple[str, str, bool], object] = {}

    def write(self) -> None:
        """Fills the sheet and sets its printing up."""
        table, sheet, last = self._table, self._sheet, len(self._table.columns) - 1
        title = self._book.add_format({"bold": True, "font_name": "Times New Roman", "font_size": 13})
        small = self._book.add_format({"italic": True, "font_name": "Times New Roman", "font_size": 11})
        sheet.write_string(0, 0, table.caption, title)
        sheet.write_string(1, 0, self._document.period or self._document.head.subject, small)
        for n, column in enumerate(table.columns):
            sheet.write_string(3, n, column.title, self._head())
            sheet.set_column(n, n, column.width / 2)
        for n, row in enumerate(table.rows):
            for m, (cell, column) in enumerate(zip(row, table.columns, strict=True)):
                self._cell(4 + n, m, cell, column, n in table.strong)
        for n, note in enumerate(table.notes):
            sheet.write_string(5 + len(table.rows) + n, 0, note, small)
        sheet.freeze_panes(4, 2)
        sheet.repeat_rows(3)
        sheet.set_paper(9)
        if sum(column.width for column in table.columns) > 180:
            sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        sheet.set_margins(0.6, 0.6, 0.8, 0.8)
        sheet.set_footer("&C&P/&N")
        if table.rows:
            sheet.autofilter(3, 0, 3 + len(table.rows), last)

    def _head(self) -> object:
        return self._format("text", "center", True)

    def _format(self, kind: Kind, align: str, bold: bool) -> object:
        key = (kind, align, bold)
        if key not in self._formats:
            self._formats[key] = self._book.add_format(
                {
                    "num_format": FORMATS[kind], "align": align, "valign": "vcenter", "bold": bold, "border": 1,
                    "text_wrap": True, "font_name": "Times New Roman", "font_size": 11,
                }
            )  # fmt: skip
        return self._formats[key]

    def _cell(self, row: int, column: int, cell: Cell, of: Column, bold: bool) -> None:
        sheet = self._sheet
        if isinstance(cell, datetime):
            sheet.write_datetime(row, column, cell.replace(tzinfo=None, microsecond=0), self._format(of.kind, "center", bold))
        elif isinstance(cell, str):
            align = "left" if of.kind == "text" else "center"
            sheet.write_string(row, column, cell, self._format("text", align, bold))
        else:
            kind: Kind = of.kind if of.kind not in ("text", *CENTRED) else "percent" if isinstance(cell, float) else "count"
            sheet.write_number(row, column, cell, self._format(kind, "right", bold))
