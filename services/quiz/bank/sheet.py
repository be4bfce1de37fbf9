"""What reading a file yields: rows, each with where it stands, its question, and what is wrong or doubtful about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from services.quiz.domain import Question

Note = Callable[..., None]
"""`note(column, message, **values)`: notes something about a row; `message` is a sentence of the catalogue."""

MOST_ROWS = 20_000
"""More rows than this are no question bank."""


class Remark(msgspec.Struct, frozen=True):
    """A sentence of the catalogue with what its braces stand for; `column` is that of the table, or ""."""

    message: str
    column: str = ""
    values: dict[str, str | int] = {}


class Row(msgspec.Struct):
    """One question as the file has it. `row` counts lines, rows of a sheet, or questions (see `Sheet.counts`), from 1.

    `picture` is the name under which `Sheet.pictures` holds its picture. A question without faults is whole, but for `id`,
    `topic` and the picture's digest, which the check fills in. `known`: the bank has it already, and it is passed over.
    `corrects`: it is a new version of the question that has its id in the bank.
    """

    row: int
    sheet: str = ""
    question: Question | None = None
    picture: str = ""
    faults: list[Remark] = []
    warnings: list[Remark] = []
    known: bool = False
    corrects: bool = False

    def fault(self, column: str, message: str, **values: str | int) -> None:
        """Notes what keeps the row out."""
        self.faults.append(Remark(message, column, values))

    def warn(self, column: str, message: str, **values: str | int) -> None:
        """Notes what a person should look at."""
        self.warnings.append(Remark(message, column, values))


class Sheet(msgspec.Struct):
    """A file that was read. `faults` and `warnings` are those of the file as a whole; `pictures` are the files beside the table
    or embedded in it, by their name in lower case."""

    rows: list[Row] = []
    faults: list[Remark] = []
    warnings: list[Remark] = []
    pictures: dict[str, bytes] = {}
    counts: Literal["line", "question"] = "line"

    def fault(self, message: str, **values: str | int) -> None:
        """Notes what keeps the file out."""
        self.faults.append(Remark(message, "", values))

    def warn(self, message: str, **values: str | int) -> None:
        """Notes what a person should know of the file."""
        self.warnings.append(Remark(message, "", values))


class Unreadable(Exception):
    """The file cannot be read at all; `remark` says why."""

    def __init__(self, message: str, **values: str | int) -> None:
        super().__init__(message)
        self.remark = Remark(message, "", values)
