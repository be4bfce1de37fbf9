"""The document as a PDF, set by Typst with the same layout as the Word file (report.typ)."""

from __future__ import annotations

import io
import unicodedata
from pathlib import Path
from typing import Any

import msgspec
import segno
import typst

from services.reporting.report.document import (
    CENTRED,
    NUMBERS,
    Block,
    Cell,
    Code,
    Document,
    Heading,
    Item,
    Kind,
    Paragraph,
    Table,
)
from services.reporting.report.layout import BODY, BOTTOM, CELL, FONTS, LAYOUTS, LEFT, RIGHT, SUBJECT, TOP, WIDTH
from services.reporting.report.numbers import show
from services.reporting.report.word import Progress

_TEMPLATE = Path(__file__).parent / "report.typ"


def render_pdf(document: Document, progress: Progress = lambda rows: None) -> bytes:
    """The file's bytes. No text is read as markup. The first face of `FONTS` is used that is installed with
    its Vietnamese letters."""
    data = msgspec.to_builtins(document) | {
        "body": [_block(block) for block in document.body],
        "appendix": [_table(table) for table in document.appendix],
        "layout": msgspec.to_builtins(LAYOUTS[document.head.style]),
        "page": {"top": TOP, "bottom": BOTTOM, "left": LEFT, "right": RIGHT, "width": WIDTH},
        "sizes": {"body": BODY, "cell": CELL, "subject": SUBJECT},
        "fonts": FONTS,
    }
    text = unicodedata.normalize("NFC", msgspec.json.encode(data).decode())
    made = typst.compile(str(_TEMPLATE), format="pdf", sys_inputs={"data": text})
    if not isinstance(made, bytes):
        raise TypeError("a PDF is one file")
    progress(sum(len(table.rows) for table in document.tables))
    return made


def _block(block: Block) -> dict[str, Any]:
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Heading):
        return {"is": "heading", "text": block.text}
    if isinstance(block, Paragraph):
        return {"is": "paragraph", "text": block.text, "gap": block.gap}
    if isinstance(block, Item):
        return {"is": "item", "text": block.text}
    return {"is": "code", "svg": _qr(block), "link": block.link}


def _qr(code: Code) -> str:
    out = io.BytesIO()
    segno.make(code.link, error="m").save(out, kind="svg", border=0, xmldecl=False)
    return out.getvalue().decode()


def _table(table: Table) -> dict[str, Any]:
    return {
        "is": "table",
        "title": table.caption,
        "widths": [column.width for column in table.columns],
        "heads": [column.title for column in table.columns],
        "rows": [
            [[show(cell, column.kind), _aligned(cell, column.kind)] for cell, column in zip(row, table.columns, strict=True)]
            for row in table.rows
        ],
        "strong": sorted(table.strong),
        "notes_title": table.notes_title,
        "notes": table.notes,
    }


def _aligned(cell: Cell, kind: Kind) -> str:
    if isinstance(cell, int | float):
        return "right"
    return "center" if kind in CENTRED or kind in NUMBERS else "left"
