"""Tables of questions: which column is which, and CSV as spreadsheets and people write it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from services.kit.sheets import csv_lines
from services.quiz.bank.rules import OPTIONS, fold, question_of
from services.quiz.bank.sheet import MOST_ROWS, Remark, Row, Sheet
from services.quiz.bank.text import clean, decode

COLUMNS = ("id", "topic", "difficulty", "text", *OPTIONS, "answer", "source", "explanation", "picture", "alt")
NEEDED = ("text", "a", "b", "answer")
HEADINGS: dict[str, tuple[str, ...]] = {
    "id": ("id", "ma", "ma cau", "ma cau hoi", "code"),
    "topic": ("topic", "chu de", "chuyen de", "linh vuc", "phan"),
    "difficulty": ("difficulty", "do kho", "muc do", "level"),
    "text": ("text", "question", "cau hoi", "noi dung cau hoi", "noi dung", "de bai"),
    "answer": ("answer", "answers", "dap an", "dap an dung", "phuong an dung", "correct", "correct answer", "right", "key"),
    "source": ("source", "nguon", "trich dan", "can cu", "tai lieu"),
    "explanation": ("explanation", "giai thich", "loi giai", "feedback"),
    "picture": ("picture", "image", "hinh", "hinh anh", "anh", "tep hinh", "ten tep hinh"),
    "alt": ("alt", "mo ta hinh", "mo ta hinh anh", "mo ta anh", "picture description"),
} | {x: (x, f"dap an {x}", f"phuong an {x}", f"lua chon {x}", f"pa {x}", f"option {x}", f"answer {x}") for x in OPTIONS}
_COLUMN_OF = {heading: column for column, headings in HEADINGS.items() for heading in headings}
_PASSED_OVER = {"", "stt", "tt", "so tt", "no", "ghi chu", "note", "notes"}
_HEAD_WITHIN = 20


@dataclass
class Line:
    """A row of a table with its place in the file, and what is to be said of single cells (by their index)."""

    row: int
    cells: Sequence[str]
    notes: Mapping[int, Sequence[Remark]] = field(default_factory=dict)
    notes_on_row: Sequence[Remark] = ()


def read_csv(data: bytes) -> Sheet:
    """Reads a CSV file. Raises Unreadable."""
    sheet = Sheet()
    torn: list[Row] = []

    def note(row: int, message: str) -> None:
        torn.append(Row(row, faults=[Remark(message)]))

    lines = [Line(row, cells) for row, cells in csv_lines(decode(data, sheet), note)]
    read_table(lines, sheet)
    sheet.rows = sorted(sheet.rows + torn, key=lambda row: row.row)
    return sheet


def read_table(lines: Iterable[Line], sheet: Sheet, name: str = "", head_needed: bool = True) -> bool:
    """Adds a table's questions to `sheet`; `name` is the worksheet's. False where the table has no head (a fault of the file
    where one is needed)."""
    lines = [line for line in lines if any(line.cells)]
    at = _find_head(lines)
    if at is None:
        if head_needed:
            sheet.fault("Không thấy hàng tiêu đề. Cần các cột: câu hỏi, A, B, đáp án (như trong tệp mẫu).")
        return False
    columns = _columns(lines[at], sheet)
    if columns is None:
        return True
    for line in lines[at + 1 :]:
        if list(line.cells) == list(lines[at].cells):
            continue  # the head again, as at the top of each printed page
        if len(sheet.rows) >= MOST_ROWS:
            sheet.fault("Tệp có quá nhiều dòng (nhiều nhất {most}).", most=MOST_ROWS)
            break
        sheet.rows.append(_row(line, columns, name))
    return True


def _find_head(lines: Sequence[Line]) -> int | None:
    """Which line is the head: that among the first with the most headings; titles may stand above it."""
    best, most = None, 2
    for at, line in enumerate(lines[:_HEAD_WITHIN]):
        found = len({_COLUMN_OF[h] for h in map(fold, line.cells) if h in _COLUMN_OF})
        if found > most:
            best, most = at, found
    return best


def _columns(head: Line, sheet: Sheet) -> dict[int, str] | None:
    columns: dict[int, str] = {}
    for index, cell in enumerate(head.cells):
        heading = fold(cell)
        if heading in _COLUMN_OF:
            columns[index] = _COLUMN_OF[heading]
        elif heading not in _PASSED_OVER:
            sheet.warn("Cột «{column}» không dùng đến.", column=clean(cell)[:60])
    twice = [column for column, count in Counter(columns.values()).items() if count > 1]
    missing = [column for column in NEEDED if column not in columns.values()]
    sheet.faults += [Remark("Cột này có hai lần.", column) for column in twice]
    sheet.faults += [Remark("Thiếu cột này.", column) for column in missing]
    return None if twice or missing else columns


def _row(line: Line, columns: Mapping[int, str], name: str) -> Row:
    row = Row(line.row, name, warnings=list(line.notes_on_row))
    cells = {column: clean(line.cells[i]) if i < len(line.cells) else "" for i, column in columns.items()}
    for index, remarks in line.notes.items():
        if index in columns:
            row.warnings += [Remark(remark.message, columns[index], remark.values) for remark in remarks]
    stray = [cell for index, cell in enumerate(line.cells) if cell and index > max(columns)]
    if stray:
        row.fault("", "Có {found} ô, cần {wanted}.", found=len(line.cells), wanted=max(columns) + 1)
    cells["answer"] = _letters(cells["answer"])
    row.picture = cells.pop("picture", "").replace("\\", "/").rpartition("/")[2].lower()
    row.question = question_of(cells, row)
    return row


def _letters(answer: str) -> str:
    """The answer in letters: "1" and "1.0" mean A, "2, 3" means BC; "A và C", "A/C", "(A)" are taken as they are meant."""
    text = re.sub(r"\.0\b", "", answer)
    text = re.sub(r"[\s,;/.()&+-]|\bv\u00e0\b|\band\b", "", text, flags=re.IGNORECASE)
    if text.isascii() and text.isdigit():
        text = "".join(OPTIONS[int(d) - 1] if 1 <= int(d) <= len(OPTIONS) else d for d in text)
    return text.lower()
