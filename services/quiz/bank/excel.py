"""Excel (xlsx, xls) and OpenDocument (ods) tables, by calamine, with what spreadsheets do to texts survived or named."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Sequence

import python_calamine as calamine

from services.quiz.bank.archive import ZIP, open_zip
from services.quiz.bank.sheet import Remark, Sheet, Unreadable
from services.quiz.bank.tables import Line, read_table
from services.quiz.bank.text import clean
from services.quiz.bank.xlsx import Marks, read_marks

Cell = str | float | bool | dt.date | dt.time | dt.timedelta | None


def read_excel(data: bytes) -> Sheet:
    """Reads every visible worksheet that has a head; `row` is the row of the worksheet. Raises Unreadable."""
    sheet = Sheet()
    marks: dict[str, Marks] = {}
    if data.startswith(ZIP):
        archive = open_zip(data)
        if "xl/workbook.xml" in archive.namelist():
            # Before calamine, which would lay out a worksheet whole however far its last cell stands.
            marks = read_marks(archive, sheet)
    try:
        book = calamine.load_workbook(io.BytesIO(data))
        read = sum(_read(book, name, marks.get(name, Marks()), sheet) for name in _visible(book, sheet))
    except calamine.PasswordError as error:
        raise Unreadable("Tệp đặt mật khẩu; hãy bỏ mật khẩu rồi tải lên lại.") from error
    except (calamine.CalamineError, ValueError, OSError) as error:
        raise Unreadable("Không đọc được tệp này như một bảng tính Excel.") from error
    if not read:
        sheet.fault("Không thấy hàng tiêu đề. Cần các cột: câu hỏi, A, B, đáp án (như trong tệp mẫu).")
    return sheet


def _visible(book: calamine.CalamineWorkbook, sheet: Sheet) -> list[str]:
    names = []
    for data in book.sheets_metadata:
        if data.typ != calamine.SheetTypeEnum.WorkSheet:
            continue
        if data.visible == calamine.SheetVisibleEnum.Visible:
            names.append(data.name)
        else:
            sheet.warn("Trang tính «{name}» đang bị ẩn nên không đọc.", name=data.name)
    return names


def _read(book: calamine.CalamineWorkbook, name: str, marks: Marks, sheet: Sheet) -> bool:
    table = book.get_sheet_by_name(name)
    grid: list[list[Cell]] = table.to_python(skip_empty_area=False)  # type: ignore[assignment]
    covered = _covered(table, len(grid))
    lines = [_line(number, cells, grid, covered, marks) for number, cells in enumerate(grid)]
    found = read_table(lines, sheet, name, head_needed=False)
    if not found and any(line.cells for line in lines if any(line.cells)):
        sheet.warn("Trang tính «{name}» không có hàng tiêu đề nên không đọc.", name=name)
    return found


def _covered(table: calamine.CalamineSheet, rows: int) -> dict[tuple[int, int], tuple[int, int]]:
    """Which cells a merged cell covers, and its first one (row, column, from 0). Merging across columns is for titles."""
    covered: dict[tuple[int, int], tuple[int, int]] = {}
    for (top, left), (bottom, right) in table.merged_cell_ranges or ():
        if left == right:
            covered |= {(row, left): (top, left) for row in range(top + 1, min(bottom + 1, rows))}
    return covered


def _line(
    row: int, cells: Sequence[Cell], grid: Sequence[Sequence[Cell]], covered: dict[tuple[int, int], tuple[int, int]], marks: Marks
) -> Line:
    texts: list[str] = []
    notes: dict[int, list[Remark]] = {}
    filled = any(cell not in ("", None) for cell in cells)
    for column, cell in enumerate(cells):
        value, at = cell, (row, column)
        said: list[Remark] = []
        if filled and value in ("", None) and at in covered:
            top, left = covered[at]
            value = grid[top][left] if left < len(grid[top]) else ""
            at = (top, left)
            said.append(Remark("Ô gộp: lấy theo dòng {row}.", "", {"row": top + 1}))
        if isinstance(value, dt.time):
            value = marks.negative.get(at, value)
        text, remark = _text(value, marks.formats.get(at, ""))
        if remark:
            said.append(remark)
        if at in marks.formulas:
            said.append(Remark("Ô này là công thức; lấy kết quả đã tính: {text}.", "", {"text": text[:60]}))
        texts.append(text)
        if said:
            notes[column] = said
    hidden = [Remark("Dòng này đang bị ẩn trong Excel.")] if row in marks.hidden else []
    return Line(row + 1, texts, notes, hidden)


def _text(value: Cell, format: str) -> tuple[str, Remark | None]:
    """A cell as the organiser sees it, and a remark where Excel made something else of what was typed."""
    if value is None or isinstance(value, str):
        return clean(value or ""), None
    if isinstance(value, bool):
        return ("Đúng" if value else "Sai"), None
    if isinstance(value, int | float):
        return _number(value, format)
    if isinstance(value, dt.timedelta):
        text = str(value)
    elif isinstance(value, dt.time):
        text = f"{value:%H:%M}"
    else:
        text = f"{value.day}/{value.month}/{value.year}"
        if isinstance(value, dt.datetime) and value.time() != dt.time():
            text += f" {value:%H:%M}"
    return text, Remark("Excel đã đổi ô này thành ngày giờ; đọc là {text}. Hãy kiểm tra lại.", "", {"text": text})


def _number(value: float, format: str) -> tuple[str, Remark | None]:
    if format and set(format) == {"0"} and value == int(value):
        return f"{int(value):0{len(format)}d}", None
    if "%" in format:
        text = f"{value * 100:.10g}".replace(".", ",") + "%"
    elif value == int(value) and abs(value) < 1e15:
        return str(int(value)), None
    else:
        text = f"{value:.15g}".replace(".", ",")
    return text, Remark("Ô này là số trong Excel; đọc là {text}. Hãy kiểm tra lại.", "", {"text": text})
