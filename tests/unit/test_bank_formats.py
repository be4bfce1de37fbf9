"""Files of questions as programs and people write them, well formed and not: the right questions, or faults by row and column."""

from __future__ import annotations

import io
import unicodedata
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from services.quiz.bank.check import Checked, Job, check
from services.quiz.bank.reading import read
from services.quiz.bank.sheet import Row, Sheet
from services.quiz.bank.template import template
from services.quiz.bank.text import old_font
from services.quiz.domain import Question

SAMPLES = Path(__file__).parents[1] / "samples" / "bank"
EXAMPLE = Path(__file__).parents[2] / "examples" / "hai-phong-2023" / "questions.csv"
HEAD = ["STT", "Chủ đề", "Độ khó", "Câu hỏi", "A", "B", "C", "Đáp án", "Nguồn"]


def sample(name: str) -> Sheet:
    return read(name, (SAMPLES / name).read_bytes())


def brief(row: Row) -> tuple[str, tuple[str, ...], set[int]]:
    assert row.question is not None
    return row.question.text, row.question.options, set(row.question.right)


def faults(sheet: Sheet | Checked) -> list[tuple[int, str, str]]:
    """Row, column and sentence of each fault of a row; row 0 for those of the file."""
    return [(0, f.column, f.message) for f in sheet.faults] + [(r.row, f.column, f.message) for r in sheet.rows for f in r.faults]


def excel(fill: Callable[[Any, Any], None], head: list[str] = HEAD, top: int = 0) -> bytes:
    body = io.BytesIO()
    book = xlsxwriter.Workbook(body, {"in_memory": True})
    sheet = book.add_worksheet("Ngân hàng")
    sheet.write_row(top, 0, head)
    fill(book, sheet)
    book.close()
    return body.getvalue()


# ---- as programs write them


def test_gift_of_moodle() -> None:
    sheet = sample("moodle.gift")
    assert [brief(row) for row in sheet.rows[:4]] == [
        ("Bác Hồ sinh năm nào?", ("1890", "1891", "1892"), {0}),
        ("Những nơi Bác từng ở : hai nơi", ("Phan Thiết", "Sài Gòn", "Sa Pa {không}"), {0, 1}),
        ("Nhà số 5 ở Châu Văn Liêm.", ("Đúng", "Sai"), {1}),
        ("Thủ đô nước ta là _____ từ năm 1945.", ("Hà Nội", "Huế"), {0}),
    ]
    assert {row.question.topic for row in sheet.rows if row.question} == {"Tiểu sử"}
    assert faults(sheet) == [(30, "answer", "Câu trả lời ngắn: dạng này chưa dùng được.")]


def test_xml_of_moodle_with_its_picture() -> None:
    checked = check(Job("moodle.xml", (SAMPLES / "moodle.xml").read_bytes()))
    assert [brief(row) for row in checked.rows[:3]] == [
        ("Bến trong hình ở đâu?", ("Sài Gòn & Chợ Lớn", "Hải Phòng"), {0}),
        ("Diện tích nào ghi bằng m²?", ("Nhà", "Vườn", "Đường dài"), {0, 1}),
        ("Kiến An ở Hải Phòng.", ("Đúng", "Sai"), {0}),
    ]
    first = checked.rows[0].question
    assert first is not None
    assert (list(checked.pictures), first.picture_alt, first.topic) == ([first.picture], "Bến Nhà Rồng", "Tiểu sử")
    assert checked.counts == "question"
    assert faults(checked) == [(4, "answer", "Dạng câu hỏi «{kind}» chưa dùng được.")]


def test_aiken() -> None:
    sheet = sample("aiken.txt")
    assert [(row.row, *brief(row)) for row in sheet.rows] == [
        (1, "Bác Hồ ra đi tìm đường cứu nước từ đâu?", ("Bến Nhà Rồng", "Cảng Hải Phòng", "Ga Huế"), {0}),
        (7, "Hai thành phố cảng?", ("Hải Phòng", "Đà Nẵng", "Đà Lạt"), {0, 1}),
    ]
    assert faults(sheet) == []


TYPED = ("Bác Hồ ra đi tìm đường cứu nước ngày nào?", "Số nhà nào ở đường Châu Văn Liêm?",
         'Câu nào của Bác; câu nào là “đúng”, "sai"?\nHãy đọc kỹ.', "Kiến An có bao nhiêu phần rừng?")  # fmt: skip
RIGHT = [{0}, {1}, {0}, {2}]
SAYINGS = ("Không có gì hơn độc lập, tự do", "Một; hai")


def test_xlsx_of_libreoffice() -> None:
    sheet = sample("libreoffice.xlsx")
    options = [("5/6/1911", "19/5/1890", "2/9/1945"), ("007", "005", "012"), SAYINGS, ("50%", "1,5", "1000")]
    assert [brief(row) for row in sheet.rows] == list(zip(TYPED, options, RIGHT, strict=True))
    assert [row.question and row.question.topic for row in sheet.rows] == ["Tiểu sử"] * 3 + ["Địa phương"]
    assert [w.message for w in sheet.rows[1].warnings] == ["Dòng này đang bị ẩn trong Excel.", "Ô gộp: lấy theo dòng {row}."]
    assert faults(sheet) == []


def test_ods_of_libreoffice_whose_formats_and_merged_cells_are_not_known() -> None:
    sheet = sample("libreoffice.ods")
    options = [("5/6/1911", "19/5/1890", "2/9/1945"), ("7", "005", "12"), SAYINGS, ("0,5", "1,5", "1000")]
    assert [brief(row) for row in sheet.rows] == list(zip(TYPED, options, RIGHT, strict=True))
    assert [row.question and row.question.topic for row in sheet.rows] == ["Tiểu sử", "", "", "Địa phương"]


@pytest.mark.parametrize("encoding", ["utf8", "1258", "utf16", "nfd"])
def test_csv_of_libreoffice_in_each_encoding(encoding: str) -> None:
    sheet = sample(f"libreoffice-{encoding}.csv")
    options = [("05/06/1911", "19/05/1890", "2/9/1945"), ("7", "005", "12"), SAYINGS, ("50%", "1,5", "1000")]
    assert [brief(row) for row in sheet.rows] == list(zip(TYPED, options, RIGHT, strict=True))
    assert [row.row for row in sheet.rows] == [3, 4, 5, 7]
    assert faults(sheet) == []


def test_gift_of_gift_wrapper() -> None:
    sheet = sample("gift-wrapper.gift.txt")
    assert [brief(row) for row in sheet.rows] == [
        ("Bác Hồ sinh năm nào? (theo lý lịch)", ("1890 (Kỷ Hợi)", "1891", "1911"), {0}),
        ("Bác ra đi từ đâu?\nHãy chọn một nơi.", ("Bến Nhà Rồng", "Cảng Hải Phòng", "Ga Huế"), {0}),
    ]
    assert faults(sheet) == []


def test_xml_of_moodlexport() -> None:
    sheet = sample("moodlexport.xml")
    assert [brief(row) for row in sheet.rows[:2]] == [
        ("Bác Hồ ra đi tìm đường cứu nước từ đâu?", ("Bến Nhà Rồng", "Cảng Hải Phòng & Đồ Sơn", "Ga Huế"), {0}),
        ("Những nơi nào ở Hải Phòng?", ("Kiến An", "Đồ Sơn", "Sa Pa"), {0, 1}),
    ]
    assert {row.question.topic for row in sheet.rows if row.question} == {"Tiểu sử"}
    assert faults(sheet) == [(3, "answer", "Dạng câu hỏi «{kind}» chưa dùng được.")]


@pytest.mark.parametrize("name", ["excel-utf8.csv", "excel-1258.csv", "excel-unicode.txt"])
def test_csv_of_excel_in_each_encoding(name: str) -> None:
    sheet = sample(name)
    assert [brief(row) for row in sheet.rows] == [
        ("Bác Hồ sinh năm nào?", ("1890", "1891", "1892"), {0}),
        ("Một; hai?", ("Có", "Không"), {1}),
    ]
    assert faults(sheet) == []
    assert bool(sheet.warnings) == (name == "excel-1258.csv")


def test_the_csv_of_a_contest_directory() -> None:
    checked = check(Job("questions.csv", EXAMPLE.read_bytes()))
    assert (len(checked.rows), faults(checked), checked.rows[0].question and checked.rows[0].question.id) == (48, [], "q001")


def test_the_template_reads_as_it_is() -> None:
    for language in (lambda vietnamese: vietnamese, lambda vietnamese: {"dễ": "easy"}.get(vietnamese, vietnamese)):
        checked = check(Job("mau.xlsx", template(language)))
        assert (faults(checked), checked.warnings, len(checked.wanted)) == ([], [], 1)
        assert checked.wanted[0].difficulty == "easy"


def test_accents_in_either_form_are_the_same_question() -> None:
    texts = [(SAMPLES / "excel-utf8.csv").read_text("utf-8-sig")]
    texts.append(unicodedata.normalize("NFD", texts[0]))
    one, other = (check(Job("a.csv", text.encode())) for text in texts)
    assert one.wanted == other.wanted


def test_labels_in_front_of_options_go_and_formats_of_single_options_too() -> None:
    """As files of Vietnamese teachers have them."""
    options = "\t~[moodle]A. Bạch Long Vĩ.#<p>Sai.</p>\n\t=[moodle]B. Cát Bà.\n\t~[html]<p>C. Cô Tô</p>\n\t####<p>g</p>\n"
    text = f"::1::[html]<p>Đảo nào?</p>{{\n{options}}}"
    (row,) = read("x.gift", text.encode()).rows
    assert brief(row) == ("Đảo nào?", ("Bạch Long Vĩ.", "Cát Bà.", "Cô Tô"), {1})
    assert (row.faults, len(row.warnings)) == ([], 1)


@pytest.mark.parametrize(
    ("option", "noticed"),
    [
        ("Tất cả các phương án trên", True), ("Cả ba đáp án trên đều đúng", True), ("Cả A và B", True),
        ("A, B và C đều đúng", True),
        ("Cả nước", False), ("Tất cả các xã", False), ("a", False), ("Hải Phòng và Hà Nội", False),
    ],
)  # fmt: skip
def test_options_that_speak_of_the_others_are_named(option: str, noticed: bool) -> None:
    (row,) = read("x.csv", f"câu hỏi;a;b;c;đáp án\nGì?;một;hai;{option};c\n".encode()).rows
    assert ([w.column for w in row.warnings], row.faults) == (["c"] if noticed else [], [])


# ---- Excel's habits


def test_what_excel_makes_of_texts_is_survived_or_named() -> None:
    def fill(book: Any, sheet: Any) -> None:
        sheet.merge_range(0, 0, 0, 8, "NGÂN HÀNG CÂU HỎI NĂM 2026")
        sheet.merge_range(3, 1, 4, 1, "Tiểu sử")
        sheet.write_row(3, 2, ["Dễ", "Ngày nào?"])
        sheet.write_datetime(3, 4, datetime(1911, 6, 5), book.add_format({"num_format": "d/m/yyyy"}))
        sheet.write_row(3, 5, [1890, 1.5, "1"])
        sheet.write_row(4, 2, ["khó", "Mã nào?"])
        sheet.write_number(4, 4, 7, book.add_format({"num_format": "000"}))
        sheet.write_number(4, 5, 0.5, book.add_format({"num_format": "0%"}))
        sheet.write_formula(4, 6, '="a"&"b"', None, "ab")
        sheet.write_row(4, 7, ["b, c"])
        sheet.set_row(4, None, None, {"hidden": True})

    rows = read("x.xlsx", excel(fill, top=2)).rows
    assert [brief(row) for row in rows] == [
        ("Ngày nào?", ("5/6/1911", "1890", "1,5"), {0}),
        ("Mã nào?", ("007", "50%", "ab"), {1, 2}),
    ]
    assert [(row.row, row.question and row.question.topic) for row in rows] == [(4, "Tiểu sử"), (5, "Tiểu sử")]
    named = [[(w.column, w.message.partition(" ")[0]) for w in row.warnings] for row in rows]
    assert named == [[("a", "Excel"), ("c", "Ô")], [("", "Dòng"), ("topic", "Ô"), ("b", "Ô"), ("c", "Ô")]]


def test_hidden_sheets_and_sheets_without_a_head_are_named() -> None:
    def fill(book: Any, sheet: Any) -> None:
        sheet.write_row(1, 1, ["T", "", "Gì?", "a", "b", "", "A"])
        book.add_worksheet("Nháp").hide()
        book.add_worksheet("Ghi chú").write(0, 0, "Họp lúc 8 giờ")

    sheet = read("x.xlsx", excel(fill))
    assert (len(sheet.rows), [w.values["name"] for w in sheet.warnings]) == (1, ["Nháp", "Ghi chú"])


def test_a_picture_that_floats_over_a_row_is_its() -> None:
    from PIL import Image

    body = io.BytesIO()
    Image.new("RGB", (8, 8)).save(body, "PNG")

    def fill(book: Any, sheet: Any) -> None:
        sheet.write_row(1, 1, ["T", "", "Gì?", "a", "b", "", "A"])
        sheet.write_row(2, 1, ["T", "", "Ai?", "a", "b", "", "A"])
        sheet.insert_image(2, 9, "x.png", {"image_data": body})

    checked = check(Job("x.xlsx", excel(fill)))
    assert [bool(question.picture) for question in checked.wanted] == [False, True]


# ---- malformed files


NO_HEAD = "Không thấy hàng tiêu đề. Cần các cột: câu hỏi, A, B, đáp án (như trong tệp mẫu)."
TWO_RIGHT = "Có {found} phương án mang dấu =. Câu nhiều đáp án đúng ghi ~%50% trước mỗi phương án đúng."
TABLE = "topic,difficulty,question,a,b,c,answer\nT,dễ,Gì?,1,2,3,a\n"

MALFORMED = [
    ("x.csv", TABLE + "T,cao,Ai?,1,2,3,a\n", (3, "difficulty", "Độ khó là dễ, trung bình hoặc khó.")),
    ("x.csv", TABLE + "T,,Ai?,1,2,3,d\n", (3, "answer", "Không có phương án {letter}.")),
    ("x.csv", TABLE + "T,,Ai?,1,2,3,9\n", (3, "answer", "Không có phương án {letter}.")),
    ("x.csv", TABLE + "T,,Ai?,1,,,a\n", (3, "b", "Cần ít nhất hai phương án.")),
    ("x.csv", TABLE + "T,,Ai?,1,1,,a\n", (3, "b", "Phương án này trùng với phương án {letter}.")),
    ("x.csv", TABLE + "T,,,1,2,,a\n", (3, "text", "Để trống.")),
    ("x.csv", TABLE + ",,Ai?,1,2,,a\n", (3, "topic", "Để trống.")),
    ("x.csv", TABLE + "T,,Ai?,1,2,,,a,thừa\n", (3, "", "Có {found} ô, cần {wanted}.")),
    ("x.csv", TABLE + f"T,,{'x' * 2001},1,2,,a\n", (3, "text", "Dài {found} ký tự, nhiều nhất {most}.")),
    ("x.csv", TABLE + 'T,,"Ai?,1,2,3,a\n', (3, "", "Dấu ngoặc kép mở ở dòng này không được đóng.")),
    ("x.csv", TABLE + "T,,gì,3,2,1,b\n", (3, "text", "Trùng với câu ở dòng {line}.")),
    ("x.csv", "question,a,b,a,answer\nx,1,2,3,a\n", (0, "a", "Cột này có hai lần.")),
    ("x.csv", "question,a,answer,topic\nx,1,a,t\n", (0, "b", "Thiếu cột này.")),
    ("x.csv", "họ tên;điện thoại\nAn;09\n", (0, "", NO_HEAD)),
    ("x.csv", "topic,question,a,b,answer\n", (0, "", "Không có câu hỏi nào.")),
    ("x.csv", b"\xff\xfe\x00", (0, "", "Không phải tệp văn bản.")),
    ("x.csv", b"", (0, "", "Tệp trống.")),
    ("x.gift", "Gì?{=a ~b\n\nAi?{=a ~b}", (1, "answer", "Thiếu dấu đóng ngoặc nhọn sau các phương án.")),
    ("x.gift", "Gì?\n", (1, "answer", "Không thấy các phương án trong ngoặc nhọn.")),
    ("x.gift", "Gì?{}", (1, "answer", "Câu tự luận: dạng này chưa dùng được.")),
    ("x.gift", "Gì?{#3}", (1, "answer", "Câu trả lời bằng số: dạng này chưa dùng được.")),
    ("x.gift", "Gì?{=a -> b =c -> d}", (1, "answer", "Câu ghép cặp: dạng này chưa dùng được.")),
    ("x.gift", "Gì?{~a ~b}", (1, "answer", "Để trống.")),
    ("x.gift", "Gì?{a ~b}", (1, "answer", "Không đọc được các phương án trong ngoặc nhọn.")),
    ("x.gift", "Gì?{=a =b ~c}", (1, "answer", TWO_RIGHT)),
    ("x.gift", "Gì?{=1~2~3~4~5~6~7~8~9}", (1, "answer", "Có {found} phương án, nhiều nhất {most}.")),
    ("x.gift", "\n\nMột {=a ~b} hai {=c ~d}", (3, "answer", "Nhiều chỗ trống trong một câu: dạng này chưa dùng được.")),
    ("x.txt", "Gì?\nA. a\nB. b\n\nAi?\nA. a\nB. b\nANSWER: A", (1, "answer", "Thiếu dòng ANSWER.")),
    ("x.txt", "Gì?\nA. a\nB. b\nAi?\nA. a\nB. b\nANSWER: A", (1, "answer", "Thiếu dòng ANSWER.")),
    ("x.txt", "Gì?\nA. a\nB. b\nANSWER: C", (1, "answer", "Không có phương án {letter}.")),
    ("x.txt", "Gì?\nA. a\nC. c\nANSWER: A", (1, "answer", "Thiếu dòng ANSWER.")),
    ("x.xml", "<quiz><question></quiz>", (0, "", "Tệp XML hỏng ở dòng {line}.")),
    ("x.xml", "<exam></exam>", (0, "", "Không phải tệp câu hỏi của Moodle (thiếu thẻ <quiz>).")),
    ("x.xml", '<!DOCTYPE q [<!ENTITY a SYSTEM "file:///etc/passwd">]><quiz>&a;</quiz>',
     (0, "", "Tệp XML có khai báo DTD hoặc thực thể; tệp của Moodle không có.")),
    ("x.xml", '<?xml version="1.0" encoding="nope"?><quiz/>', (0, "", "Không đọc được tệp này.")),
    ("x.xml", '<quiz><question type="multichoice"><questiontext><text>&lt;img src="a.png"&gt;Gì?</text></questiontext>'
     '<answer fraction="100"><text>a</text></answer><answer><text>b</text></answer></question></quiz>',
     (1, "picture", "Không có tệp hình {name} trong tệp này.")),
    ("x.xlsx", b"PK\x03\x04rubbish", (0, "", "Tệp ZIP hỏng.")),
    ("x.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rubbish", (0, "", "Không đọc được tệp này như một bảng tính Excel.")),
    ("x.pdf", b"%PDF-1.7", (0, "", "Không rõ đây là loại tệp nào. Dùng được: Excel, CSV, GIFT, Aiken, Moodle XML, ZIP.")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "place"), MALFORMED)
def test_a_malformed_file_names_where_and_what(name: str, content: str | bytes, place: tuple[int, str, str]) -> None:
    checked = check(Job(name, content.encode() if isinstance(content, str) else content))
    assert place in faults(checked)
    assert not checked.clean


def test_files_that_mean_harm_are_refused() -> None:
    far = excel(lambda book, sheet: sheet.write("XFD1048576", "x"))
    assert faults(read("x.xlsx", far)) == [(0, "", "Trang tính quá lớn: có ô ở {cell}.")]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(5):
            archive.writestr(f"{n}.png", bytes(50_000_000))
    assert faults(read("x.zip", packed.getvalue())) == [(0, "", "Tệp nén bung ra quá lớn.")]
    word = io.BytesIO()
    with zipfile.ZipFile(word, "w") as archive:
        archive.writestr("word/document.xml", "")
    assert faults(read("x.docx", word.getvalue())) == [(0, "", "Tệp Word chưa dùng được. Hãy chép câu hỏi vào tệp Excel mẫu.")]


@given(st.binary(max_size=300), st.sampled_from(["x.csv", "x.gift", "x.txt", "x.xml", "x.xlsx", "x"]))
def test_no_bytes_bring_a_reader_down(data: bytes, name: str) -> None:
    sheet = read(name, data)
    assert sheet.rows or sheet.faults


@given(st.text(alphabet="=~#{}:%\\\n/$ aA.1TF->ANSWER", max_size=80), st.sampled_from(["x.gift", "x.txt"]))
def test_no_marks_bring_a_reader_down(text: str, name: str) -> None:
    sheet = read(name, text.encode())
    assert sheet.rows or sheet.faults


@pytest.mark.parametrize(
    ("text", "old"),
    [
        ("B¸c Hå sinh n¨m nµo", True),
        ("Chñ ®Ò mét", True),
        ("Năm 1890 ở 25 °C ± 2", False),
        ("Microsoft® là gì?", False),
        ("ĐÊM Ê", False),
    ],
)
def test_fonts_of_before_unicode_are_noticed(text: str, old: bool) -> None:
    assert old_font(text) is old


# ---- what is written comes back

_words = (
    st.text(alphabet="aăâđêôơưAÀạếờ019 =~#{}:\\,;\"'./%", min_size=1, max_size=20).map(lambda t: " ".join(t.split())).filter(bool)
)


@st.composite
def questions(draw: st.DrawFn) -> Question:
    options = tuple(draw(st.lists(_words, min_size=2, max_size=8, unique=True)))
    right = frozenset(draw(st.sets(st.integers(0, len(options) - 1), min_size=1, max_size=len(options) - 1)))
    return Question("", "", draw(_words), options, right)


def gift(question: Question) -> str:
    def escaped(text: str) -> str:
        return "".join("\\" + c if c in "~=#{}:\\" else c for c in text)

    several = len(question.right) > 1
    sign = [("~%50%" if several else "=") if n in question.right else "~" for n in range(len(question.options))]
    # A weight must not be read out of an option that begins with "%": Moodle itself would.
    options = "\n".join(f"{s} {escaped(option)}" for s, option in zip(sign, question.options, strict=True))
    return f"::t\\:1::[plain]{escaped(question.text)} {{\n{options}\n}}\n"


def aiken(question: Question) -> str:
    options = "\n".join(f"{letter}. {option}" for letter, option in zip("ABCDEFGH", question.options, strict=False))
    return f"{question.text}\n{options}\nANSWER: {''.join('ABCDEFGH'[n] for n in sorted(question.right))}\n"


def table(question: Question) -> str:
    def quoted(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    options = [*question.options, *[""] * (8 - len(question.options))]
    answer = ",".join("ABCDEFGH"[n] for n in sorted(question.right))
    return ";".join(map(quoted, [question.text, *options, answer])) + "\r\n"


@given(st.lists(questions().filter(lambda q: not any(t.startswith("%") for t in q.options)), min_size=1, max_size=4))
def test_gift_round_trip(wanted: list[Question]) -> None:
    sheet = read("x.gift", "\n".join(map(gift, wanted)).encode())
    assert [brief(row) for row in sheet.rows] == [(q.text, q.options, set(q.right)) for q in wanted]
    assert faults(sheet) == []


@given(st.lists(questions(), min_size=1, max_size=4))
def test_aiken_round_trip(wanted: list[Question]) -> None:
    sheet = read("x.txt", "\n".join(map(aiken, wanted)).encode())
    assert [brief(row) for row in sheet.rows] == [(q.text, q.options, set(q.right)) for q in wanted]
    assert faults(sheet) == []


@given(st.lists(questions(), min_size=1, max_size=4), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_csv_round_trip(wanted: list[Question], encoding: str) -> None:
    head = "câu hỏi;a;b;c;d;e;f;g;h;đáp án\r\n"
    sheet = read("x.csv", (head + "".join(map(table, wanted))).encode(encoding))
    assert [brief(row) for row in sheet.rows] == [(q.text, q.options, set(q.right)) for q in wanted]
    assert faults(sheet) == []
