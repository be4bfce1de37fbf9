"""Papers as they come out of a printer: every page within its margins, the head of a table on each of its pages, one face, and
the forms that Nghị định 30/2020/NĐ-CP and Hướng dẫn 36-HD/VPTW prescribe, the same in Word and PDF."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import docx
import msgspec
import pytest

from services.reporting.report.compose import compose, tables_only
from services.reporting.report.document import Document, Paragraph
from services.reporting.report.figures import Form
from services.reporting.report.layout import BOTTOM, FONTS, LEFT, RIGHT, TOP, WIDTH, WIDTH_TURNED
from services.reporting.report.letter import compose_letter
from services.reporting.report.pdf import render_pdf
from services.reporting.report.word import render_word
from tests.unit.report_sample import FIGURES, FORM

STYLES = ("state", "party")
LONG = msgspec.structs.replace(
    FIGURES,
    units=tuple(msgspec.structs.replace(FIGURES.units[n % 2], place=str(n + 1), name=f"Phường Ngọc Sơn {n}") for n in range(60)),
    lagging=tuple(msgspec.structs.replace(FIGURES.lagging[0], name=f"Trường Nguyễn Thượng Mẫn {n}") for n in range(45)),
)
POINTS = 72 / 25.4
needs_poppler = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="needs poppler-utils")


class Word(NamedTuple):
    """A word and the millimetres from the left and the top where it begins and ends."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


class Page(NamedTuple):
    width: float
    height: float
    words: list[Word]

    def has(self, *texts: str) -> bool:
        return set(texts) <= {word.text for word in self.words}


def form(style: str, **more: str) -> Form:
    return msgspec.structs.replace(FORM, style=style, **more)


def papers(style: str) -> dict[str, Document]:
    report = compose(LONG, form(style))
    return {"report": report, "tables": tables_only(report), "letter": compose_letter(LONG, form(style))}


def printed(content: bytes, folder: Path) -> list[Page]:
    """The pages of a PDF, with their words."""
    (folder / "paper.pdf").write_bytes(content)
    command = ["pdftotext", "-bbox", str(folder / "paper.pdf"), "-"]
    out = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    number = r'="([\d.]+)"'
    pages = re.findall(rf"<page width{number} height{number}>(.*?)</page>", out, re.DOTALL)
    places = rf"<word xMin{number} yMin{number} xMax{number} yMax{number}>(.*?)</word>"
    return [
        Page(
            float(width) / POINTS,
            float(height) / POINTS,
            [Word(text, *(float(place) / POINTS for place in found)) for *found, text in re.findall(places, body)],
        )
        for width, height, body in pages
    ]


@needs_poppler
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", ["report", "tables", "letter"])
def test_nothing_runs_out_of_the_margins_and_every_page_of_a_table_has_its_head(style: str, kind: str, tmp_path: Path) -> None:
    pages = printed(render_pdf(papers(style)[kind]), tmp_path)
    assert len(pages) > 2
    for page in pages:
        middle = (page.width + LEFT - RIGHT) / 2
        above = [word for word in page.words if word.bottom <= TOP]
        assert all(word.text.isdigit() and word.left < middle < word.right for word in above), "the page's number"
        for word in page.words:
            assert LEFT - 0.1 <= word.left < word.right <= page.width - RIGHT + 0.1, word
            assert word.bottom <= page.height - BOTTOM + 1, word
        if page.has("Sơn"):
            assert page.width > page.height
            assert page.has("(1)", "(12)", "TT", "Lượt/")
        elif page.has("Mẫn"):
            assert page.has("(1)", "(8)", "TT", "Đơn")
    assert sum(page.has("Mẫn") for page in pages) > 1
    assert kind == "letter" or sum(page.has("Sơn") for page in pages) > 1


@needs_poppler
def test_who_signs_is_on_a_page_with_what_is_signed(tmp_path: Path) -> None:
    report, alone = compose(FIGURES, form("state")), 0
    for lines in range(14, 26):
        paper = msgspec.structs.replace(report, body=(Paragraph("Một đoạn."),) * lines, appendix=())
        pages = printed(render_pdf(paper), tmp_path)
        alone += len(pages) > 1
        assert pages[-1].has("Nơi", "đoạn."), lines
    assert 0 < alone < 12, "some of these papers fill the first page and some do not"


@needs_poppler
def test_a_paper_is_set_in_one_face(tmp_path: Path) -> None:
    (tmp_path / "paper.pdf").write_bytes(render_pdf(papers("party")["report"]))
    out = subprocess.run(["pdffonts", str(tmp_path / "paper.pdf")], capture_output=True, check=True, text=True).stdout
    faces = {re.sub(r"-.*", "", line.split()[0].split("+")[1]) for line in out.splitlines()[2:]}
    assert len(faces) == 1, "letters of another face in between look patched"
    assert faces.pop() in {face.replace(" ", "") for face in FONTS}


@pytest.mark.parametrize("style", STYLES)
def test_tables_are_no_wider_than_their_pages(style: str) -> None:
    for paper in papers(style).values():
        for table in paper.tables:
            width = WIDTH_TURNED if table in paper.appendix else WIDTH
            assert sum(column.width for column in table.columns) <= width, table.key


def runs(content: bytes) -> dict[str, Any]:
    """The first run of each paragraph of a Word file, also of those in cells, by the paragraph's text."""
    paper = docx.Document(io.BytesIO(content))
    cells = [cell for table in paper.tables for row in table.rows[:1] for cell in row.cells]
    found = [*paper.paragraphs, *(paragraph for cell in cells for paragraph in cell.paragraphs)]
    return {paragraph.text: paragraph.runs[0] for paragraph in found if paragraph.text and paragraph.runs}


@pytest.mark.parametrize("style", STYLES)
def test_word_is_set_as_prescribed(style: str) -> None:
    signed = form(style, behalf="T/L Ban Thường vụ", signer_title="Chánh Văn phòng")
    content = render_word(compose(LONG, signed))
    for section in docx.Document(io.BytesIO(content)).sections:
        margins = (section.top_margin, section.bottom_margin, section.left_margin, section.right_margin)
        assert [round(margin.mm) for margin in margins if margin] == [TOP, BOTTOM, LEFT, RIGHT] == [20, 20, 30, 15]
    found, party = runs(content), style == "party"
    sizes = {
        "ĐẢNG BỘ THÀNH PHỐ HẢI PHÒNG": (14, 12), "QUẬN ỦY KIẾN AN": (14, 12), "Kiến An, ngày …… tháng …… năm 2023": (14, 13),
        "Nơi nhận:": (14, 12), "- Lưu VP.": (12, 11), "BÁO CÁO": (16, 14), "T/L BAN THƯỜNG VỤ": (14, 14), "Phụ lục": (14, 14),
        "Số ………-BC/QU" if party else "Số: …………/BC/QU": (14, 13), "KẾT QUẢ THAM GIA CUỘC THI": (14, 14),
    }  # fmt: skip
    assert {text: found[text].font.size.pt for text in sizes} == {text: size[not party] for text, size in sizes.items()}
    assert (found["Nơi nhận:"].underline, found["Nơi nhận:"].bold) == (party, not party)
    assert (found["T/L BAN THƯỜNG VỤ"].bold, found["CHÁNH VĂN PHÒNG"].bold) == (True, not party)
    comma, number = (",", "………-BC/QU") if party else ("", "…………/BC/QU")
    assert found[f"(Kèm theo Báo cáo số {number}{comma} ngày …… tháng …… năm 2023 của Quận ủy Kiến An)"].italic
