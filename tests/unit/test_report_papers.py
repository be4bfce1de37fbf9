"""The official report and the letter: what they say, what they leave to a person, and that every format keeps the figures."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from fractions import Fraction

import docx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from services.reporting.report import numbers
from services.reporting.report.compose import compose, tables_only
from services.reporting.report.csv_files import csv_of, render_csv
from services.reporting.report.document import Document, Heading, Paragraph
from services.reporting.report.excel import render_excel
from services.reporting.report.letter import compose_letter
from services.reporting.report.pdf import render_pdf
from services.reporting.report.word import render_word
from tests.unit.report_sample import FIGURES, FORM

REPORT, LETTER = compose(FIGURES, FORM), compose_letter(FIGURES, FORM)
RENDERERS = [render_word, render_pdf, render_excel, render_csv]


def rows(document: Document, key: str) -> tuple[tuple[object, ...], ...]:
    return next(table.rows for table in document.tables if table.key == key)


def text_of(document: Document) -> str:
    return "\n".join(block.text for block in document.body if isinstance(block, Paragraph | Heading))


@given(st.integers(0, 10**7), st.integers(1, 10**7))
def test_percentages_are_rounded_half_up_exactly(part: int, whole: int) -> None:
    exact = Fraction(100 * part, whole)
    tenths = round(numbers.percent(part, whole) * 10)
    assert tenths - Fraction(1, 2) <= exact * 10 < tenths + Fraction(1, 2)


def test_figures_are_written_as_vietnamese_papers_do() -> None:
    assert (numbers.whole(1234567), numbers.decimal(1065.0), numbers.decimal(0.1)) == ("1.234.567", "1.065,0", "0,1")
    assert (numbers.change(1204), numbers.change(-3), numbers.change(0)) == ("+1.204", "-3", "0")


def test_what_is_unknown_is_said_and_never_counted() -> None:
    total, known, unknown = rows(REPORT, "bieu-1")
    assert total[3:7] == (3000, 1065, 35.5, 1804)
    assert known[3:7] == (1048, 681, 65.0, 1200)
    assert unknown[3:7] == ("chưa có số liệu", 384, "chưa có số liệu", 604)
    assert known[9:] == (-19, 1, "Gồm Phường C")
    assert [row[2:] for row in rows(REPORT, "bieu-2")] == [
        (7, 2, 28.6, 87.5, 5),  # 87,5 % of 7 are 6,125 people: 7 of them
        ("chưa có số liệu", 12, "chưa có số liệu", 100.0, "chưa có số liệu"),
        ("chưa có số liệu", 9, "chưa có số liệu", "–", "–"),
    ]


def test_perfect_papers_of_a_round_that_runs_stay_untold() -> None:
    assert {row[8] for row in rows(REPORT, "bieu-1")} == {"chưa công bố"}
    first, second = rows(REPORT, "bieu-3")
    assert first[2:] == (800, 900, 31, 66.7, "–")
    assert second[2:] == (700, 904, "chưa công bố", "chưa công bố", -100)
    assert "chưa công bố, vì còn vòng thi chưa kết thúc" in text_of(REPORT)


def test_sections_stand_in_order_and_what_a_person_writes_is_a_gap() -> None:
    sections = [block.text.split(".")[0] for block in REPORT.body if isinstance(block, Heading) and block.level == 1]
    assert sections == ["I", "II", "III", "IV", "V", "VI"]
    gaps = [block.gap for block in REPORT.body if isinstance(block, Paragraph) and block.gap]
    assert len(gaps) == 7
    assert all(gap.startswith("[… Quận ủy Kiến An bổ sung: ") for gap in gaps)
    assert "Đến 08 giờ 00 ngày 09/6/2023, Quận Kiến An có 1.065 người dự thi với 1.804 lượt hợp lệ" in text_of(REPORT)
    assert "tăng 165 người" in text_of(REPORT)
    assert "Đã loại 1.234 lượt không hợp lệ" in "".join(REPORT.tables[0].notes)


def test_the_letter_names_the_unit_its_figures_the_target_and_the_deadline() -> None:
    assert LETTER.head.subject.startswith("V/v tiếp tục đẩy mạnh tuyên truyền, tham gia Cuộc thi")
    assert LETTER.addressees == ("Phường A",)
    assert rows(LETTER, "cong-van") == (("1", "Phường A", 1048, 681, 65.0, 1200, 35.5, 367),)
    assert "Phấn đấu có 87,5 % giáo viên, 100 % đảng viên tham gia dự thi." in text_of(LETTER)
    assert "trước ngày 30/6/2023" in text_of(LETTER)


@pytest.mark.parametrize("render", RENDERERS, ids=lambda render: render.__name__)
@pytest.mark.parametrize("document", [REPORT, tables_only(REPORT), LETTER], ids=["report", "tables", "letter"])
def test_the_same_document_gives_the_same_bytes(render: Callable[[Document], bytes], document: Document) -> None:
    assert render(document) == render(document)


@pytest.mark.parametrize("style", ["state", "party"])
def test_word_has_the_head_of_its_kind(style: str) -> None:
    form = msgspec.structs.replace(FORM, style=style)
    paper = docx.Document(io.BytesIO(render_word(compose(FIGURES, form))))
    head = "\n".join(cell.text for cell in paper.tables[0].rows[0].cells)
    assert "ĐẢNG BỘ THÀNH PHỐ HẢI PHÒNG\nQUẬN ỦY KIẾN AN" in head
    assert ("ĐẢNG CỘNG SẢN VIỆT NAM" in head) == (style == "party")
    assert ("Độc lập - Tự do - Hạnh phúc" in head) == (style == "state")
    first, last = paper.sections
    assert first.page_height > first.page_width
    assert last.page_width > last.page_height
    assert 30 <= first.left_margin.mm <= 35
    assert 15 <= round(first.right_margin.mm) <= 20


def test_excel_keeps_numbers_as_numbers_and_codes_as_text() -> None:
    book = CalamineWorkbook.from_filelike(io.BytesIO(render_excel(REPORT)))
    sheet = book.get_sheet_by_name("Biểu 1").to_python()
    assert sheet[5][:7] == ["1", "Phường A", "Quận Kiến An", 1048.0, 681.0, 65.0, 1200.0]
    assert sheet[6][1] == "=Phường B"


def test_csv_keeps_accents_and_is_no_formula() -> None:
    text = csv_of(REPORT.tables[0])
    assert text.startswith(b"\xef\xbb\xbfTT,")
    lines = text.decode("utf-8-sig").splitlines()
    assert lines[2] == "1,Phường A,Quận Kiến An,1048,681,65.0,1200,1.8,chưa công bố,-19,1,Gồm Phường C"
    assert lines[3].startswith("2,'=Phường B,")
    with zipfile.ZipFile(io.BytesIO(render_csv(REPORT))) as files:
        assert files.namelist() == [f"bieu-{n}.csv" for n in range(1, 7)]


def test_texts_are_never_read_as_markup() -> None:
    nasty = "#import <w:t> & *x* “đ” \x07 _y_ $z$ @a"
    figures = msgspec.structs.replace(FIGURES, units=(msgspec.structs.replace(FIGURES.units[0], name=nasty),))
    document = compose(figures, msgspec.structs.replace(FORM, issuer=nasty, signer=nasty))
    paper = docx.Document(io.BytesIO(render_word(document)))
    assert paper.tables[-1].cell(3, 1).text == nasty.replace("\x07", "")
    assert render_pdf(document).startswith(b"%PDF")
