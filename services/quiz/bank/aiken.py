"""Moodle's Aiken format: https://docs.moodle.org/en/Aiken_format. A question, options "A." or "A)", then "ANSWER: C".

Besides what Moodle takes: several lines of question, several letters ("ANSWER: A, C"), and "ĐÁP ÁN:" in Vietnamese.
"""

from __future__ import annotations

import re

from services.quiz.bank.rules import OPTIONS, fold, question_of
from services.quiz.bank.sheet import MOST_ROWS, Row, Sheet
from services.quiz.bank.text import clean, decode

_OPTION = re.compile(r"\s*([A-Za-z])[.)]\s+(\S.*)")
_ANSWER = re.compile(r"\s*([^\W\d][^:]{4,10}):\s*(.*)")
_MOST_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def read_aiken(data: bytes) -> Sheet:
    """Reads an Aiken file; `row` is the line a question begins at. Raises Unreadable."""
    sheet = Sheet()
    reader = _Reader(sheet)
    for number, line in enumerate(decode(data, sheet).split("\n"), 1):
        if len(sheet.rows) >= MOST_ROWS:
            sheet.fault("Tệp có quá nhiều dòng (nhiều nhất {most}).", most=MOST_ROWS)
            return sheet
        reader.take(number, clean(line))
    reader.finish(None)
    return sheet


def answer_line(line: str) -> str | None:
    """What an ANSWER line names, or None where the line is another."""
    found = _ANSWER.fullmatch(line)
    return found[2] if found and fold(found[1]) in ("answer", "answers", "dap an") else None


class _Reader:
    """Takes line after line; a question ends with its ANSWER, or where the next one begins without it."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._begin()

    def _begin(self) -> None:
        self._first, self._text, self._options = 0, list[str](), list[str]()

    def take(self, number: int, line: str) -> None:
        if not line:
            return
        answer = answer_line(line)
        if answer is not None and (self._text or self._options):
            self.finish(answer)
            return
        option = _OPTION.fullmatch(line)
        if option and self._text and option[1].lower() == _MOST_LETTERS[len(self._options)]:
            self._options.append(option[2])
        else:
            if self._options:
                self.finish(None)
            self._first = self._first or number
            self._text.append(line)

    def finish(self, answer: str | None) -> None:
        """Ends the question in hand, if there is one."""
        if not self._text and not self._options:
            return
        row = Row(self._first)
        if len(self._options) > len(OPTIONS):
            row.fault("answer", "Có {found} phương án, nhiều nhất {most}.", found=len(self._options), most=len(OPTIONS))
        if answer is None:
            row.fault("answer", "Thiếu dòng ANSWER.")
        found = list(row.faults)
        options = dict(zip(OPTIONS, self._options, strict=False))
        letters = re.sub(r"[\s,;.)]", "", answer or "").lower()
        row.question = question_of({"text": "\n".join(self._text), "answer": letters, **options}, row)
        row.faults = found or row.faults
        self._sheet.rows.append(row)
        self._begin()
