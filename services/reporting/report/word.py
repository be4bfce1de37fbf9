"""The document as a Word file (.docx), laid out as Nghị định 30/2020/NĐ-CP and Hướng dẫn 36-HD/VPTW want it.

Rows of tables are made as XML: python-docx takes a second for a hundred of them. The same document gives the same bytes.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import datetime
from typing import Any

import docx
import segno
from docx.document import Document as Paper
from docx.enum.section import WD_ORIENT, WD_SECTION
from docx.enum.text import WD_ALIGN_PARAGRAPH as ALIGN
from docx.enum.text import WD_COLOR_INDEX
from docx.oxml import OxmlElement, parse_xml
from docx.oxml.ns import nsdecls, qn
from docx.section import Section
from docx.shared import Mm, Pt
from docx.table import Table as WordTable
from docx.table import _Cell
from docx.text.paragraph import Paragraph as WordParagraph

from services.reporting.report.document import (
    CENTRED,
    NUMBERS,
    Block,
    Code,
    Document,
    Foot,
    Head,
    Heading,
    Item,
    Paragraph,
    Table,
)
from services.reporting.report.layout import BODY, BOTTOM, CELL, FONTS, LAYOUTS, LEFT, RIGHT, SUBJECT, TOP, WIDTH, Layout
from services.reporting.report.numbers import show

Progress = Callable[[int], None]
"""Is told how many rows of tables have been set."""

_MADE = datetime(2020, 1, 1)
_ALIGN = {"left": "left", "centre": "center", "right": "right"}


def render_word(document: Document, progress: Progress = lambda rows: None) -> bytes:
    """The file's bytes."""
    paper = docx.Document()
    layout = LAYOUTS[document.head.style]
    _base(paper)
    _set_head(paper, document.head, layout)
    _set_title(paper, document, layout)
    setter = _Setter(paper, progress)
    for block in document.body:
        setter.block(block)
    _set_foot(paper, document.foot, layout, document.head.style == "party")
    if document.appendix:
        _turn(paper, layout)
        _line(paper, document.appendix_name, bold=True, align=ALIGN.CENTER)
        _line(paper, document.appendix_title, bold=True, align=ALIGN.CENTER)
        if document.appendix_note:
            _line(paper, document.appendix_note, italic=True, align=ALIGN.CENTER)
        for table in document.appendix:
            setter.table(table)
    return _packed(paper)


def _base(paper: Paper) -> None:
    style = paper.styles["Normal"]
    style.font.name, style.font.size = FONTS[0], Pt(BODY)
    style.element.rPr.rFonts.set(qn("w:eastAsia"), FONTS[0])
    style.element.rPr.append(parse_xml(f'<w:lang {nsdecls("w")} w:val="vi-VN"/>'))
    style.paragraph_format.space_after, style.paragraph_format.space_before = Pt(0), Pt(0)
    section = paper.sections[0]
    section.page_width, section.page_height = Mm(210), Mm(297)
    _set_margins(section)
    section.header_distance = section.footer_distance = Mm(10)
    section.different_first_page_header_footer = True
    _page_number(section.header.paragraphs[0])
    core = paper.core_properties
    core.created = core.modified = _MADE
    core.author = core.last_modified_by = core.comments = ""


def _set_margins(section: Section) -> None:
    section.top_margin, section.bottom_margin = Mm(TOP), Mm(BOTTOM)
    section.left_margin, section.right_margin = Mm(LEFT), Mm(RIGHT)


def _page_number(paragraph: WordParagraph) -> None:
    paragraph.alignment = ALIGN.CENTER
    run = paragraph.add_run()
    run.font.size = Pt(BODY)
    for kind, text in (("begin", ""), ("", "PAGE"), ("end", "")):
        element = OxmlElement("w:fldChar" if kind else "w:instrText")
        if kind:
            element.set(qn("w:fldCharType"), kind)
        else:
            element.text = text
        run._r.append(element)


def _turn(paper: Paper, layout: Layout) -> None:
    """A section on pages turned on their side."""
    section = paper.add_section(WD_SECTION.NEW_PAGE)
    section.orientation = WD_ORIENT.LANDSCAPE
    section.page_width, section.page_height = Mm(297), Mm(210)
    _set_margins(section)
    section.different_first_page_header_footer = layout.apart
    if layout.apart:
        first = parse_xml(f'<w:pgNumType {nsdecls("w")} w:start="1"/>')
        section._sectPr.insert_element_before(first, "w:cols", "w:titlePg", "w:docGrid")


def _line(
    where: Any,
    text: str,
    *,
    bold: bool = False,
    italic: bool = False,
    size: float = BODY,
    align: Any = ALIGN.LEFT,
    before: float = 0,
    after: float = 0,
    keep: bool = False,
) -> WordParagraph:
    paragraph: WordParagraph = where.add_paragraph()
    paragraph.alignment = align
    form = paragraph.paragraph_format
    form.space_before, form.space_after, form.keep_with_next = Pt(before), Pt(after), keep
    run = paragraph.add_run(_clean(text))
    run.bold, run.italic, run.font.size = bold, italic, Pt(size)
    if not text:  # the mark of a paragraph makes the height of one without text
        paragraph._p.get_or_add_pPr().append(parse_xml(f'<w:rPr {nsdecls("w")}><w:sz w:val="{round(size * 2)}"/></w:rPr>'))
    return paragraph


def _rule(where: Any, width: float, of: float) -> None:
    """A thin line, `width` mm long, in the middle of `of` mm: the border of an otherwise empty paragraph."""
    paragraph = _line(where, "", size=2, before=2)
    side = Mm((of - width) / 2)
    paragraph.paragraph_format.left_indent = paragraph.paragraph_format.right_indent = side
    border = f'<w:pBdr {nsdecls("w")}><w:top w:val="single" w:sz="6" w:space="1" w:color="000000"/></w:pBdr>'
    paragraph._p.get_or_add_pPr().insert_element_before(parse_xml(border), "w:spacing", "w:ind", "w:jc", "w:rPr")


def _grid(paper: Paper, widths: tuple[float, ...]) -> list[_Cell]:
    """The cells of a table of one row without lines: columns side by side."""
    table: WordTable = paper.add_table(rows=1, cols=len(widths))
    table.autofit = False
    cells = list(table.rows[0].cells)
    for cell, width in zip(cells, widths, strict=True):
        cell.width = Mm(width)
        margins = parse_xml(f'<w:tcMar {nsdecls("w")}><w:left w:w="0" w:type="dxa"/><w:right w:w="0" w:type="dxa"/></w:tcMar>')
        cell._tc.get_or_add_tcPr().append(margins)
    for grid, width in zip(table._tbl.tblGrid.findall(qn("w:gridCol")), widths, strict=True):
        grid.set(qn("w:w"), str(int(width * 56.7)))
    return cells


def _first(cell: _Cell) -> None:
    """Takes away the empty paragraph that a new cell begins with."""
    empty = cell.paragraphs[0]._p
    empty.getparent().remove(empty)


def _set_head(paper: Paper, head: Head, layout: Layout) -> None:
    party, (left_rule, right_rule) = head.style == "party", layout.rules
    left, right = _grid(paper, layout.sides)
    if head.superior:
        _line(left, head.superior.upper(), size=layout.superior, align=ALIGN.CENTER)
    _line(left, head.issuer.upper(), bold=True, size=layout.issuer, align=ALIGN.CENTER)
    if party:
        _line(left, "*", align=ALIGN.CENTER)
    else:
        _rule(left, left_rule, layout.sides[0])
    _line(left, head.number, size=layout.number, align=ALIGN.CENTER, before=0 if party else 4)
    if head.subject:
        _line(left, head.subject, italic=party, size=SUBJECT, align=ALIGN.CENTER, before=6)
    _line(right, head.nation, bold=True, size=layout.nation, align=ALIGN.CENTER)
    if head.motto:
        _line(right, head.motto, bold=True, size=13, align=ALIGN.CENTER)
    _rule(right, right_rule, layout.sides[1])
    _line(right, head.place_date, italic=True, size=layout.place, align=ALIGN.CENTER, before=8)
    for cell in (left, right):
        _first(cell)
    _gap_below(paper)


def _gap_below(paper: Paper) -> None:
    _line(paper, "", size=8)


def _set_title(paper: Paper, document: Document, layout: Layout) -> None:
    if document.name:
        party = document.head.style == "party"
        _line(paper, document.name, bold=True, size=layout.name, align=ALIGN.CENTER, before=6)
        _line(paper, document.subject, bold=True, size=14, align=ALIGN.CENTER)
        if document.period:
            _line(paper, document.period, italic=True, size=13, align=ALIGN.CENTER)
        if party:
            _line(paper, "-----", align=ALIGN.CENTER)
        else:
            _rule(paper, 45, WIDTH)
    _set_addressees(paper, document)
    _line(paper, "", size=4)


def _set_addressees(paper: Paper, document: Document) -> None:
    if len(document.addressees) == 1:
        _line(paper, f"{document.addressed} {document.addressees[0]}", align=ALIGN.CENTER, before=8, after=4)
    elif document.addressees:
        _, title, names = _grid(paper, (30, 24, WIDTH - 54))
        _line(title, document.addressed, before=6)
        for n, name in enumerate(document.addressees):
            last = n + 1 == len(document.addressees)
            _line(names, f"- {name}{'.' if last else ';'}", before=6 if n == 0 else 0)
        for cell in (title, names):
            _first(cell)


def _set_foot(paper: Paper, foot: Foot, layout: Layout, party: bool) -> None:
    paper.paragraphs[-1].paragraph_format.keep_with_next = True  # who signs is on a page with what is signed
    _line(paper, "", size=6, keep=True)
    left, right = _grid(paper, (WIDTH - 85, 85))
    title = _line(left, foot.recipients_title, bold=not party, italic=not party, size=layout.recipients_title)
    title.runs[0].underline = party
    for recipient in foot.recipients:
        _line(left, f"- {recipient}", size=layout.recipients)
    if foot.behalf:
        _line(right, foot.behalf, bold=True, align=ALIGN.CENTER, keep=True)
    _line(right, foot.signer_title, bold=not (party and foot.behalf), align=ALIGN.CENTER, keep=True)
    for _ in range(4):
        _line(right, "", keep=True)
    _line(right, foot.signer, bold=True, align=ALIGN.CENTER)
    for cell in (left, right):
        _first(cell)
        parent = cell._tc.getparent()
    parent.get_or_add_trPr().append(OxmlElement("w:cantSplit"))


class _Setter:
    """Sets blocks one under another."""

    def __init__(self, paper: Paper, progress: Progress) -> None:
        self._paper, self._progress, self._rows = paper, progress, 0

    def block(self, block: Block) -> None:
        """Any block."""
        if isinstance(block, Heading):
            _line(self._paper, block.text, bold=True, before=6, after=3, keep=True).paragraph_format.first_line_indent = Mm(10)
        elif isinstance(block, Paragraph):
            self._paragraph(block)
        elif isinstance(block, Item):
            paragraph = _line(self._paper, f"- {block.text};", align=ALIGN.JUSTIFY, after=3)
            paragraph.paragraph_format.first_line_indent = Mm(10)
        elif isinstance(block, Code):
            picture = io.BytesIO()
            segno.make(block.link, error="m").save(picture, kind="png", scale=8, border=1)
            picture.seek(0)
            paragraph = _line(self._paper, "", align=ALIGN.CENTER, before=2, keep=True)
            paragraph.add_run().add_picture(picture, width=Mm(26))
            _line(self._paper, block.link, size=12, align=ALIGN.CENTER, after=4)
        else:
            self.table(block)

    def _paragraph(self, block: Paragraph) -> None:
        paragraph = _line(self._paper, block.text, align=ALIGN.JUSTIFY, after=6)
        paragraph.paragraph_format.first_line_indent = Mm(10)
        paragraph.paragraph_format.line_spacing = 1.1
        if block.gap:
            run = paragraph.add_run((" " if block.text else "") + _clean(block.gap))
            run.italic, run.font.highlight_color = True, WD_COLOR_INDEX.YELLOW

    def table(self, table: Table) -> None:
        """A biểu: its title, its rows, its notes. The head is repeated on every page, no row is torn."""
        _line(self._paper, table.caption, bold=True, size=13, align=ALIGN.CENTER, before=6, after=3, keep=True)
        if table.rows:
            body = self._paper.element.body
            body.insert(len(body) - 1, parse_xml(self._xml(table)))
        else:
            _line(self._paper, "–", align=ALIGN.CENTER)
        if table.notes:
            _line(self._paper, table.notes_title, bold=True, italic=True, size=CELL, before=3, keep=True)
            for n, note in enumerate(table.notes, 1):
                _line(self._paper, f"- {note}", italic=True, size=CELL, keep=n < len(table.notes))
        _line(self._paper, "", size=6)

    def _xml(self, table: Table) -> str:
        rows = [_row([(column.title, "centre") for column in table.columns], bold=True, head=True)]
        numbers = [(f"({n})", "centre") for n in range(1, len(table.columns) + 1)]
        rows.append(_row(numbers, italic=True, head=True))
        for n, row in enumerate(table.rows):
            cells = [
                (show(cell, column.kind), _aligned(cell, column.kind)) for cell, column in zip(row, table.columns, strict=True)
            ]
            rows.append(_row(cells, bold=n in table.strong))
            self._rows += 1
            if not self._rows % 50:
                self._progress(self._rows)
        grid = "".join(f'<w:gridCol w:w="{int(column.width * 56.7)}"/>' for column in table.columns)
        return f"<w:tbl {nsdecls('w')}>{_PROPERTIES}<w:tblGrid>{grid}</w:tblGrid>{''.join(rows)}</w:tbl>"


def _aligned(cell: object, kind: str) -> str:
    if isinstance(cell, int | float):
        return "right"
    return "centre" if kind in CENTRED or kind in NUMBERS else "left"


_SIDES = ("top", "left", "bottom", "right", "insideH", "insideV")
_PROPERTIES = (
    '<w:tblPr><w:tblW w:w="0" w:type="auto"/><w:jc w:val="center"/><w:tblBorders>'
    + "".join(f'<w:{side} w:val="single" w:sz="4" w:space="0" w:color="000000"/>' for side in _SIDES)
    + '</w:tblBorders><w:tblLayout w:type="fixed"/><w:tblCellMar><w:left w:w="45" w:type="dxa"/>'
    '<w:right w:w="45" w:type="dxa"/></w:tblCellMar></w:tblPr>'
)


def _row(cells: list[tuple[str, str]], *, bold: bool = False, italic: bool = False, head: bool = False) -> str:
    properties = "<w:trPr><w:cantSplit/>" + ("<w:tblHeader/>" if head else "") + "</w:trPr>"
    look = ("<w:b/>" if bold else "") + ("<w:i/>" if italic else "") + f'<w:sz w:val="{CELL * 2}"/><w:szCs w:val="{CELL * 2}"/>'
    middle = '<w:tcPr><w:vAlign w:val="center"/></w:tcPr>'
    body = "".join(
        f'<w:tc>{middle}<w:p><w:pPr><w:spacing w:before="20" w:after="20"/><w:jc w:val="{_ALIGN[align]}"/></w:pPr>'
        f'<w:r><w:rPr>{look}</w:rPr><w:t xml:space="preserve">{_escaped(text)}</w:t></w:r></w:p></w:tc>'
        for text, align in cells
    )
    return f"<w:tr>{properties}{body}</w:tr>"


def _clean(text: str) -> str:
    # Control characters have no place in XML, not even escaped.
    return "".join(c for c in text if c >= " ")


def _escaped(text: str) -> str:
    return _clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _packed(paper: Paper) -> bytes:
    """The file, with the times of its parts fixed."""
    raw, packed = io.BytesIO(), io.BytesIO()
    paper.save(raw)
    with zipfile.ZipFile(raw) as parts, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out:
        for name in parts.namelist():
            out.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), parts.read(name), zipfile.ZIP_DEFLATED)
    return packed.getvalue()
