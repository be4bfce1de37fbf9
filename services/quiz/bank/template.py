"""The Excel file that organisers fill in: headings, lists to choose from, hints, one example. Nothing in it is hidden."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

import xlsxwriter

SPREADSHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
"""The media type."""

ROWS = 5000
"""Rows that the lists to choose from reach down to."""

NAMES = {
    "id": "Mã",
    "topic": "Chủ đề",
    "difficulty": "Độ khó",
    "text": "Câu hỏi",
    **{letter.lower(): letter for letter in "ABCDEFGH"},
    "answer": "Đáp án",
    "source": "Nguồn",
    "explanation": "Giải thích",
    "picture": "Hình",
    "alt": "Mô tả hình",
}
"""What columns are called in front of people."""

DIFFICULTY = {"easy": "dễ", "medium": "trung bình", "hard": "khó"}
COLUMNS = ("topic", "difficulty", "text", "a", "b", "c", "d", "e", "f", "answer", "source", "explanation", "picture", "alt")
_WIDTHS = {"topic": 22, "difficulty": 12, "text": 60, "answer": 10, "source": 30, "explanation": 40, "picture": 16, "alt": 30}
_HINTS = {
    "topic": "Như trong cơ cấu đề thi, ví dụ: Tiểu sử.",
    "answer": "Một chữ (C) hoặc nhiều chữ (AC) nếu có nhiều đáp án đúng.",
    "explanation": "Vì sao đáp án đúng. Hiện cho mọi người cùng đáp án, sau khi vòng đóng.",
    "picture": "Tên tệp hình, ví dụ ben-nha-rong.jpg. Nén tệp này và các hình thành một tệp ZIP.",
    "alt": "Hình vẽ gì, cho người không nhìn thấy hình.",
}
_EXAMPLE = {
    "topic": "Tiểu sử",
    "difficulty": "dễ",
    "text": "Chủ tịch Hồ Chí Minh sinh ngày tháng năm nào?",
    "a": "19/5/1890",
    "b": "19/5/1891",
    "c": "2/9/1890",
    "d": "15/5/1892",
    "answer": "A",
    "source": "Tiểu sử Chủ tịch Hồ Chí Minh",
}


class Column(NamedTuple):
    """A column of a file to fill in: its examples, one a row; a hint that is shown in its cells; the words to choose from."""

    heading: str
    width: int
    examples: Sequence[str] = ()
    hint: str = ""
    choices: Sequence[str] = ()


def template(say: Callable[[str], str]) -> bytes:
    """The file, in the language that `say` translates to."""
    columns = []
    for column in COLUMNS:
        example = _EXAMPLE.get(column, "")
        columns.append(
            Column(
                say(NAMES[column]),
                _WIDTHS.get(column, 18),
                [say(example) if column == "difficulty" else example],
                say(_HINTS[column]) if column in _HINTS else "",
                [say(word) for word in DIFFICULTY.values()] if column == "difficulty" else (),
            )
        )
    return to_fill_in(say("Câu hỏi"), columns)


def to_fill_in(title: str, columns: Sequence[Column]) -> bytes:
    """An Excel file of one sheet, to be filled in. All cells are text, so that Excel makes no dates of them."""
    body = io.BytesIO()
    book = xlsxwriter.Workbook(body, {"in_memory": True})
    sheet = book.add_worksheet(title)
    head = book.add_format({"bold": True, "bg_color": "#A3161C", "font_color": "#FFFFFF", "border": 1, "text_wrap": True})
    text = book.add_format({"num_format": "@", "text_wrap": True, "valign": "top"})
    for place, column in enumerate(columns):
        sheet.set_column(place, place, column.width, text)
        sheet.write_string(0, place, column.heading, head)
        for row, example in enumerate(column.examples, 1):
            if example:
                sheet.write_string(row, place, example, text)
        if column.hint:
            hint = {"validate": "any", "input_title": column.heading, "input_message": column.hint}
            sheet.data_validation(1, place, ROWS, place, hint)
        if column.choices:
            sheet.data_validation(1, place, ROWS, place, {"validate": "list", "source": list(column.choices)})
    sheet.freeze_panes(1, 0)
    book.close()
    return body.getvalue()
