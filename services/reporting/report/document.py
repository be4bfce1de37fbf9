"""An official document as content: what each renderer sets in its own way. Figures stand in cells as values, rounded once."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

Kind = Literal["text", "code", "count", "change", "percent", "ratio", "time", "day"]
"""What a column holds. `change` is a count with its sign; `percent` and `ratio` have one decimal; `code` is never a number."""

NUMBERS: frozenset[Kind] = frozenset({"count", "change", "percent", "ratio"})
CENTRED: frozenset[Kind] = frozenset({"code", "time", "day"})

Cell = int | float | datetime | str
"""A text in a column of numbers says why there is none ("chưa có số liệu"). Times have the timezone of the contest."""


class Column(msgspec.Struct, frozen=True):
    """`width` is in millimetres of the page."""

    title: str
    kind: Kind
    width: float


class Table(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A biểu. `key` is its name in files, e.g. "bieu-1"; `strong` are the rows that sum up others."""

    key: str
    number: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    strong: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()
    notes_title: str = ""

    @property
    def caption(self) -> str:
        """What stands above it; the only table of a letter needs no number."""
        return f"{self.number}. {self.title}" if self.number[-1:].isdigit() else self.title


class Heading(msgspec.Struct, frozen=True, tag=True):
    """`level` 1 is a section (I, II …), 2 is below it."""

    text: str
    level: int = 1


class Paragraph(msgspec.Struct, frozen=True, tag=True):
    """`gap` is what a person is to write, marked so that nobody overlooks it; it follows the text."""

    text: str = ""
    gap: str = ""


class Item(msgspec.Struct, frozen=True, tag=True):
    """One line of a list."""

    text: str


class Code(msgspec.Struct, frozen=True, tag=True):
    """A QR code with the address it leads to."""

    link: str


Block = Table | Heading | Paragraph | Item | Code


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The top of the first page. `subject` is what a letter is about (V/v), in the left column; "" on other papers."""

    style: Literal["state", "party"]
    superior: str
    issuer: str
    number: str
    nation: str
    motto: str
    place_date: str
    subject: str = ""


class Foot(msgspec.Struct, frozen=True, kw_only=True):
    """Recipients on the left, who signs on the right."""

    recipients_title: str
    recipients: tuple[str, ...]
    behalf: str
    signer_title: str
    signer: str


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The whole paper. `name` ("BÁO CÁO") and `subject` are empty on a letter. `appendix` follows on pages turned on their side,
    under `appendix_name` ("Phụ lục"), `appendix_title` and a note of which paper it belongs to."""

    head: Head
    foot: Foot
    name: str
    subject: str
    period: str
    addressed: str
    addressees: tuple[str, ...]
    body: tuple[Block, ...]
    appendix: tuple[Table, ...] = ()
    appendix_name: str = ""
    appendix_title: str = ""
    appendix_note: str = ""

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables, by their keys."""
        found = (*self.appendix, *(block for block in self.body if isinstance(block, Table)))
        return tuple(sorted(found, key=lambda table: table.key))
