"""The dry run's verdicts: duplicates, ids, pictures, topics."""

from __future__ import annotations

import io
import random
import zipfile
from dataclasses import replace

import pytest
from PIL import Image

from services.kit.pictures import BadPicture, digest_of, shrink
from services.quiz.bank.check import Checked, Job, check
from services.quiz.bank.duplicates import fingerprint
from services.quiz.domain import Question, draw

HEAD = "id;chủ đề;câu hỏi;a;b;c;đáp án;hình;mô tả hình\n"
BANK = [Question("q1", "T", "Bến Nhà Rồng nằm ở thành phố nào của nước ta?", ("Sài Gòn", "Huế", "Hà Nội"), frozenset({0}))]


def checked(rows: str, topic: str = "", skip_known: bool = False) -> Checked:
    return check(Job("x.csv", (HEAD + rows).encode(), topic, skip_known, BANK))


def said(found: Checked) -> list[tuple[int, list[str], list[str]]]:
    return [(r.row, [f.message for f in r.faults], [w.message for w in r.warnings]) for r in found.rows]


def test_the_same_question_is_a_fault_however_it_is_written() -> None:
    again = ";T;bến nhà RỒNG nằm ở  thành phố nào của nước ta;Hà Nội;sài gòn;Huế;B;;\n"
    assert said(checked(again)) == [(2, ["Ngân hàng đã có câu này (mã {id})."], [])]
    passed = checked(again, skip_known=True)
    assert (said(passed), passed.rows[0].known, passed.wanted, passed.clean) == ([(2, [], [])], True, [], True)
    twice = ";T;Câu này mới?;1;2;3;A;;\n"
    assert said(checked(twice + twice)) == [(2, [], []), (3, ["Trùng với câu ở dòng {line}."], [])]


@pytest.mark.parametrize(
    ("row", "near"),
    [
        (";T;Bến Nhà Rồng nằm ở thành phố nào nước ta?;Sài Gòn;Cần Thơ;Vinh;A;;", True),  # nearly the same words
        (";T;Ben Nha Rong nam o thanh pho nao cua nuoc ta;Sài Gòn;Cần Thơ;Vinh;A;;", True),  # accents lost
        (";T;Nhà Rồng nằm tại thành phố nào của ta?;Sài Gòn;Huế;Hà Nội;A;;", True),  # other words, the same options
        (";T;Chùa Một Cột nằm ở đâu?;Sài Gòn;Huế;Hà Nội;C;;", False),
        (";T;Cảng nào lớn nhất nước ta hiện nay?;Cát Lái;Lạch Huyện;Vũng Áng;A;;", False),
    ],
)
def test_nearly_the_same_question_is_a_warning_that_shows_the_other(row: str, near: bool) -> None:
    (found,) = checked(row).rows
    assert found.faults == []
    assert [w.values["id"] for w in found.warnings] == (["q1"] if near else [])


def test_a_short_stem_over_other_options_is_another_question() -> None:
    assert said(checked(";T;Chọn đáp án đúng;1;2;3;A;;\n;T;Chọn đáp án đúng;4;5;6;A;;\n")) == [(2, [], []), (3, [], [])]


def test_ids_are_kept_or_made_of_the_content() -> None:
    found = checked("a-1;T;Một là gì?;1;2;3;A;;\n;T;Hai là gì?;1;2;4;A;;\n")
    assert [question.id for question in found.wanted] == ["a-1", f"q{fingerprint(found.wanted[1])}"]
    messages = [
        [f.message for f in r.faults] for r in checked("a;T;Gì?;1;2;3;A;;\na;T;Ai thế?;x;y;z;A;;\nq1;T;Nơi?;n;m;k;A;;\n").rows
    ]
    assert messages == [[], ["Mã {id} đã có ở dòng {line}."], ["Ngân hàng đã có câu khác mang mã {id}."]]
    assert [f.column for r in checked("a b;T;Gì?;1;2;3;A;;\n").rows for f in r.faults] == ["id"]


def test_a_row_with_the_id_of_a_question_corrects_it_where_that_is_meant() -> None:
    bank = [replace(BANK[0], picture="d" * 32, picture_alt="Bến"), Question("q2", "T", "Hai?", ("x", "y"), frozenset({0}))]

    def corrected(rows: str) -> Checked:
        return check(Job("x.csv", (HEAD + rows).encode(), known=bank, correct=True))

    same = "q1;T;Bến Nhà Rồng nằm ở thành phố nào của nước ta?;Sài Gòn;Huế;Hà Nội"
    found = corrected(f"{same};B;;\n;T;Câu mới?;1;2;3;A;;\n")
    assert [(row.corrects, row.faults) for row in found.rows] == [(True, []), (False, [])]
    assert found.rows[0].question == replace(bank[0], right=frozenset({1}))
    assert (corrected(f"{same};A;;\n").rows[0].known, corrected(f"{same};A;;\n").wanted) == (True, [])
    twice = corrected(f"{same};B;;\n{same};C;;\n")
    assert [f.message for f in twice.rows[1].faults][-1] == "Mã {id} đã có ở dòng {line}."
    other = corrected("q1;T;Hai?;x;y;;A;;\n").rows[0]
    assert other.faults == [], "a question with a picture is another one"
    bank[0] = replace(bank[0], picture="")
    assert [f.values for f in corrected("q1;T;Hai?;x;y;;A;;\n").rows[0].faults] == [{"id": "q2"}]


def test_a_topic_may_be_given_for_all_that_name_none() -> None:
    found = checked(";;Một?;1;2;3;A;;\n;Riêng;Hai?;1;2;4;A;;\n", topic=" Chung ")
    assert [question.topic for question in found.wanted] == ["Chung", "Riêng"]


def test_every_row_of_a_file_with_a_fault_stays_out() -> None:
    found = checked(";T;Một?;1;2;3;A;;\n;T;Hai?;1;2;3;D;;\n")
    assert not found.clean


# ---- pictures


def picture(size: tuple[int, int] = (2400, 1200), form: str = "JPEG") -> bytes:
    body = io.BytesIO()
    image = Image.new("RGB", size, "#a3161c")
    exif = image.getexif()
    exif[0x8825] = {1: "N", 2: (20.0, 51.0, 0.0)}  # where the photo was taken
    exif[0x0112] = 6  # to be turned by 90°
    image.save(body, form, exif=exif)
    return body.getvalue()


def test_pictures_are_small_upright_and_say_nothing_of_the_photographer() -> None:
    body = shrink(picture())
    with Image.open(io.BytesIO(body)) as image:
        assert (image.format, image.size) == ("WEBP", (600, 1200))
        assert not image.getexif()
    assert digest_of(body) == digest_of(shrink(picture()))


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"%!PS-Adobe-3.0 EPSF-3.0\n", picture((9000, 5000), "PNG"), picture()[:300]])
def test_what_is_no_picture_or_too_large_is_refused(data: bytes) -> None:
    with pytest.raises(BadPicture):
        shrink(data)


def test_pictures_come_beside_the_table_in_a_zip() -> None:
    rows = ";T;Ai đây?;1;2;3;A;Ảnh\\BÁC.jpg;Chân dung\n;T;Đâu đây?;x;y;z;A;mất.png;\n;T;Ai đây?;1;2;3;A;hai.png;\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("câu hỏi.csv", HEAD + rows)
        archive.writestr("hình/bác.JPG", picture())
        archive.writestr("hình/hai.png", picture((10, 10), "PNG"))
        archive.writestr("__MACOSX/._x", b"")
    found = check(Job("x.zip", packed.getvalue()))
    assert [[f.message for f in row.faults] for row in found.rows] == [[], ["Không có tệp hình {name} trong tệp này."], []]
    assert [w.column for w in found.rows[2].warnings] == ["alt"]
    first = found.rows[0].question
    assert first is not None
    assert first.picture in found.pictures
    assert len(found.pictures) == 2


def test_a_paper_shows_its_pictures() -> None:
    bank = [Question("q1", "T", "Ai?", ("a", "b"), frozenset({0}), "", "easy", "d" * 32, "Chân dung")]
    (paper,) = draw(bank, {"T": 1}, 1, random.Random(1))
    assert (paper.questions[0].picture, paper.questions[0].picture_alt) == ("d" * 32, "Chân dung")
