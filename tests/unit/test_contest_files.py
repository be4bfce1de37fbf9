"""Contest directories as organisers' programs write them, and each fault by file, row and column."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.events.contests import PrizePlan, PrizePlans
from services.quiz import loading
from services.quiz.contest_files import Fault, FaultsFound, read_contest, shift

CONTEST = """\
id: hp
title: Hội thi
kind: Trắc nghiệm
owner: Ban Tuyên giáo
timezone: Asia/Ho_Chi_Minh
documents:
  - {number: 57-KH, date: 2023-05-04, issuer: Ban Tuyên giáo, title: Kế hoạch}
categories:
  - {id: hoc-sinh, name: Học sinh, target: 100}
  - {id: nhan-dan, name: Nhân dân}
consent: {version: 2023-05, text: Tôi đồng ý.}
paper:
  questions: 3
  minutes: 15
  codes: 4
  blueprint: {Tiểu sử: 1, "*": 2}
  prediction: Bao nhiêu người đúng cả?
attempts_per_round: 3
counting: best
ranking: [correct desc, prediction_gap asc]
show: {score: at_once, key: after_close}
rounds:
  - {id: tuan-1, name: Tuần 1, opens: 2023-05-19T08:00, closes: 2023-05-26T08:00}
  - {id: tuan-2, name: Tuần 2, opens: 2023-05-26T08:00, closes: 2023-06-02T08:00}
prizes:
  unit:
    - {name: Giải Nhất, by: rate, count: 1}
"""
QUESTIONS = """\
id,topic,text,a,b,c,d,e,f,g,h,answer,source
q1,Tiểu sử,Sinh năm nào?,1890,1891,1892,1893,,,,,a,Sách
q2,Hải Phòng,"Một, hai?",Có,Không,,,,,,,b,
q3,Học tập,Những ai?,An,Bình,Chi,,,,,,"a,c",
q4,Học tập,Chữ nào?,1,2,3,4,5,6,7,8,gh,
"""
UNITS = """\
code,parent,name,kind
W1,D1,Phường Văn Đẩu,ward
D1,HP,Quận Kiến An,district
HP,,Hải Phòng,city
DB,,Đảng bộ,party
"""
FILES = {"contest.yaml": CONTEST, "questions.csv": QUESTIONS, "units.csv": UNITS}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def faults(directory: Path) -> list[Fault]:
    with pytest.raises(FaultsFound) as caught:
        read_contest(directory)
    return caught.value.errors


def places(directory: Path) -> list[tuple[str, int | None, str | None, str]]:
    return [(e.file, e.row, e.column, e.message) for e in faults(directory)]


def change(directory: Path, file: str, old: str, new: str) -> None:
    assert FILES[file].count(old) == 1, f"{old!r} is not once in {file}"
    (directory / file).write_text((directory / file).read_text().replace(old, new))


def test_a_contest_is_read_whole(directory: Path) -> None:
    files = read_contest(directory)
    assert (files.id, files.title, files.timezone, files.codes) == ("hp", "Hội thi", "Asia/Ho_Chi_Minh", 4)
    assert files.blueprint == {"Tiểu sử": 1, "*": 2}
    assert (files.consent_version, files.consent_text) == ("2023-05", "Tôi đồng ý.")
    assert [(c.id, c.target) for c in files.categories] == [("hoc-sinh", 100.0), ("nhan-dan", None)]
    assert files.documents[0].date == "2023-05-04"
    first = files.rounds[0]
    assert (first.id, first.contest, first.name) == ("hp.tuan-1", "hp", "Tuần 1")
    assert (first.opens, first.closes) == (datetime(2023, 5, 19, 1, tzinfo=UTC), datetime(2023, 5, 26, 1, tzinfo=UTC))
    assert (first.questions, first.minutes, first.attempts, first.counting) == (3, 15, 3, "best")
    assert (first.ranking, first.show_score) == (("correct desc", "prediction_gap asc"), "at_once")
    assert (first.prediction, first.show_key) == ("Bao nhiêu người đúng cả?", "after_close")


def test_questions_have_two_to_eight_options_and_one_or_several_right_ones(directory: Path) -> None:
    questions = read_contest(directory).questions
    assert [len(q.options) for q in questions] == [4, 2, 3, 8]
    assert [set(q.right) for q in questions] == [{0}, {1}, {0, 2}, {6, 7}]
    assert (questions[0].topic, questions[0].source, questions[1].text) == ("Tiểu sử", "Sách", "Một, hai?")


def test_units_come_behind_those_above_them_and_may_have_several_roots(directory: Path) -> None:
    units = read_contest(directory).units
    assert {u.code: u.parent for u in units} == {"HP": None, "DB": None, "D1": "HP", "W1": "D1"}
    codes = [u.code for u in units]
    assert codes.index("HP") < codes.index("D1") < codes.index("W1")


def test_the_event_carries_the_contest(directory: Path) -> None:
    files, now = read_contest(directory), datetime(2023, 5, 1, tzinfo=UTC)
    event = files.published(now)
    assert (event.time, event.contest, event.title, event.kind, event.owner) == (now, "hp", files.title, files.kind, files.owner)
    assert (event.units, event.rounds, event.categories) == (files.units, files.rounds, files.categories)
    assert (event.documents, event.timezone) == (files.documents, "Asia/Ho_Chi_Minh")


def test_winners_are_named_in_full_only_by_a_consent_that_speaks_of_it(directory: Path) -> None:
    assert read_contest(directory).published(datetime.now(UTC)).publishing_consent == ""
    change(directory, "contest.yaml", "attempts_per_round: 3", "attempts_per_round: 3\npublish_names: winners")
    assert [place[:3] for place in places(directory)] == [("contest.yaml", 19, "publish_names")]
    change(directory, "contest.yaml", "text: Tôi đồng ý.", "text: Tôi đồng ý công bố tên khi đạt giải.")
    assert read_contest(directory).published(datetime.now(UTC)).publishing_consent == "2023-05"


@pytest.mark.parametrize("nothing", ["", "~", "null"])
def test_what_may_be_left_out_may_be_left_empty(directory: Path, nothing: str) -> None:
    change(directory, "contest.yaml", "prediction: Bao nhiêu người đúng cả?", f"prediction: {nothing}")
    assert read_contest(directory).rounds[0].prediction is None


def test_an_unquoted_comma_does_not_cut_a_text(directory: Path) -> None:
    change(directory, "contest.yaml", "title: Kế hoạch}", "title: Kế hoạch, lần 2, sửa đổi}")
    change(directory, "contest.yaml", "name: Tuần 1,", "name: Tuần 1, mở màn,")
    files = read_contest(directory)
    assert (files.documents[0].title, files.rounds[0].name) == ("Kế hoạch, lần 2, sửa đổi", "Tuần 1, mở màn")


def test_the_shipped_example_is_read() -> None:
    example = Path(__file__).parents[2] / "examples" / "hai-phong-2023"
    files = read_contest(example)
    assert (files.id, len(files.rounds), len(files.categories)) == ("hai-phong-2023", 4, 7)
    assert files.documents[2].title == "Tiếp tục đẩy mạnh tuyên truyền, tham gia Cuộc thi"


DISGUISES: dict[str, Callable[[str], str | bytes]] = {
    "byte-order mark": lambda text: text.encode("utf-8-sig"),
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "decomposed accents": lambda text: unicodedata.normalize("NFD", text),
    "blank lines": lambda text: "\n" + text.replace("\n", "\n\n"),
    "no last line end": lambda text: text.rstrip("\n"),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_what_programs_do_to_files_changes_nothing(directory: Path, disguise: str) -> None:
    plain = read_contest(directory)
    for name, text in FILES.items():
        disguised = DISGUISES[disguise](text)
        assert disguised != text
        (directory / name).write_bytes(disguised.encode() if isinstance(disguised, str) else disguised)
    assert read_contest(directory) == plain


def test_spaces_around_cells_semicolons_and_empty_rows_change_nothing(directory: Path) -> None:
    plain = read_contest(directory)
    for name in ("questions.csv", "units.csv"):
        quoted = FILES[name].replace('"Một, hai?"', "Một‚ hai?").replace('"a,c"', "ac").replace(",", " ; ")
        (directory / name).write_text("\n" + quoted.replace("‚", ",") + ";;;;;;;;;;;;\n")
    assert read_contest(directory) == plain


def test_a_quoted_cell_may_hold_line_ends_and_rows_are_named_by_where_they_begin(directory: Path) -> None:
    change(directory, "questions.csv", '"Một, hai?"', '"Một,\nhai?"')
    assert read_contest(directory).questions[1].text == "Một,\nhai?"
    change(directory, "questions.csv", "gh,", "z,")
    assert places(directory) == [("questions.csv", 6, "answer", "Không có phương án {letter}.")]


def test_all_rounds_move_by_one_step_so_that_the_first_is_open(directory: Path) -> None:
    files = read_contest(directory)
    now = datetime(2026, 11, 23, 14, 45, 12, 3, tzinfo=UTC)
    moved = shift(files, now)
    assert moved.rounds[0].opens == datetime(2026, 11, 23, 14, tzinfo=UTC)
    step = moved.rounds[0].opens - files.rounds[0].opens
    assert [m.opens - step for m in moved.rounds] == [plan.opens for plan in files.rounds]
    assert [m.closes - m.opens for m in moved.rounds] == [timedelta(days=7)] * 2
    assert moved.digest == files.digest


def test_the_digest_names_the_files(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    copy = shutil.copytree(directory, tmp_path_factory.mktemp("copy"), dirs_exist_ok=True)
    assert read_contest(copy).digest == read_contest(directory).digest
    change(copy, "units.csv", "Văn Đẩu", "Văn Đậu")
    assert read_contest(copy).digest != read_contest(directory).digest


UNKNOWN = "Không có mục nào tên như vậy. Các mục: {known}."
WORDS = "Phải là một trong: {words}."
WHOLE = "Phải là số nguyên từ {least} đến {most}."
LETTERS = "Chỉ gồm a–z, 0–9 và dấu gạch nối, nhiều nhất {longest} ký tự."
TIME = "Không phải ngày giờ, ví dụ 2023-05-19T08:00."
OVERLAP = "Vòng thi mở khi vòng {other} chưa đóng."
GROUP = "Phải gồm các mục con, mỗi mục có tên và giá trị."

FAULTS = [
    # contest.yaml
    ("contest.yaml", "title: Hội thi\n", "title: Hội thi\nsubtitle: x\n", 3, "subtitle", UNKNOWN),
    ("contest.yaml", "name: Nhân dân}", "name: Nhân dân, x: 1}", 10, "categories[1].x", UNKNOWN),
    ("contest.yaml", "issuer: Ban", "signer: x, issuer: Ban", 7, "documents[0].signer", UNKNOWN),
    ("contest.yaml", "  minutes: 15", "  minute: 15", 14, "paper.minute", UNKNOWN),
    ("contest.yaml", "counting: best\n", "", None, "counting", "Thiếu mục này."),
    ("contest.yaml", "  codes: 4\n", "", 12, "paper.codes", "Thiếu mục này."),
    ("contest.yaml", "counting: best\n", "counting: best\ncounting: last\n", 20, "counting", "Mục này có hai lần."),
    ("contest.yaml", "counting: best", "counting: middle", 19, "counting", WORDS),
    ("contest.yaml", "correct desc", "right desc", 20, "ranking[0]", WORDS),
    ("contest.yaml", "score: at_once", "score: sometimes", 21, "show.score", WORDS),
    ("contest.yaml", "key: after_close", "key: at_once", 21, "show.key", WORDS),
    ("contest.yaml", "by: rate", "by: size", 27, "prizes.unit[0].by", WORDS),
    ("contest.yaml", "minutes: 15", "minutes: lâu", 14, "paper.minutes", WHOLE),
    ("contest.yaml", "codes: 4", "codes: 1000", 15, "paper.codes", WHOLE),
    ("contest.yaml", "codes: 4", "codes: 0", 15, "paper.codes", WHOLE),
    ("contest.yaml", "target: 100", "target: tất cả", 9, "categories[0].target", "Phải là một số."),
    ("contest.yaml", "target: 100", "target: nan", 9, "categories[0].target", "Phải là một số."),
    ("contest.yaml", "target: 100", "target: 101", 9, "categories[0].target", "Chỉ tiêu phải trên 0 và không quá 100 (%)."),
    ("contest.yaml", "id: hp\n", "id: Hải Phòng\n", 1, "id", LETTERS),
    ("contest.yaml", "id: tuan-2", "id: tuan.2", 24, "rounds[1].id", LETTERS),
    ("contest.yaml", "title: Hội thi", "title:", 2, "title", "Để trống."),
    ("contest.yaml", "[correct desc, prediction_gap asc]", "[]", 20, "ranking", "Để trống."),
    ("contest.yaml", "[correct desc, prediction_gap asc]", "correct desc", 20, "ranking", "Phải là một danh sách."),
    ("contest.yaml", "title: Hội thi", "title: [a]", 2, "title", "Phải là một giá trị, không phải danh sách hay nhóm mục."),
    ("contest.yaml", "{score: at_once, key: after_close}", "at_once", 21, "show", GROUP),
    ("contest.yaml", "title: Hội thi", "title: [", 4, None, "Không đọc được YAML."),
    ("contest.yaml", "title: Hội thi", "title: \x01", 2, None, "Không đọc được YAML."),
    ("contest.yaml", "Asia/Ho_Chi_Minh", "Asia/Hai_Phong", 5, "timezone", "Không có múi giờ này, ví dụ Asia/Ho_Chi_Minh."),
    ("contest.yaml", "Asia/Ho_Chi_Minh", "Asia", 5, "timezone", "Không có múi giờ này, ví dụ Asia/Ho_Chi_Minh."),
    ("contest.yaml", "2023-05-19T08:00", "19/5/2023", 23, "rounds[0].opens", TIME),
    ("contest.yaml", "2023-05-19T08:00", "0001-01-01T00:00", 23, "rounds[0].opens", TIME),
    ("contest.yaml", "2023-06-02T08:00", "2023-05-26T08:00", 24, "rounds[1].closes", "Vòng thi đóng trước khi mở."),
    ("contest.yaml", "closes: 2023-05-26T08:00", "closes: 2023-05-26T08:01", 24, "rounds[1].opens", OVERLAP),
    ("contest.yaml", "id: tuan-2", "id: tuan-1", 24, "rounds[1].id", "Mã {id} bị trùng."),
    ("contest.yaml", "id: nhan-dan", "id: hoc-sinh", 10, "categories[1].id", "Mã {id} bị trùng."),
    ("contest.yaml", "questions: 3", "questions: 4", 16, "paper.blueprint", "Cộng lại được {found} câu, cần {wanted}."),
    ("contest.yaml", '1, "*": 2', '2, "*": 1', 16, "paper.blueprint.Tiểu sử", "Cần {wanted} câu, ngân hàng có {found}."),
    ("contest.yaml", 'Tiểu sử: 1, "*"', 'Tiểu sử: 0, "*"', 16, "paper.blueprint.Tiểu sử", WHOLE),
    # questions.csv
    ("questions.csv", "q3,", "q1,", 4, "id", "Mã {id} đã có ở dòng {line}."),
    ("questions.csv", "q2,", ",", 3, "id", "Để trống."),
    ("questions.csv", "Chữ nào?", "", 5, "text", "Để trống."),
    ("questions.csv", "gh,", ",", 5, "answer", "Để trống."),
    ("questions.csv", "gh,", "gi,", 5, "answer", "Không có phương án {letter}."),
    ("questions.csv", '"a,c"', '"a,d"', 4, "answer", "Không có phương án {letter}."),
    ("questions.csv", "gh,", "gg,", 5, "answer", "Đáp án nêu {letter} hai lần."),
    ("questions.csv", '"a,c"', "abc", 4, "answer", "Mọi phương án đều đúng thì không còn gì để chọn."),
    ("questions.csv", "1890,1891,", "1890,,", 2, "b", "Phương án bị bỏ trống ở giữa."),
    ("questions.csv", "Có,Không,,,,,,,b,", "Có,,,,,,,,a,", 3, "b", "Cần ít nhất hai phương án."),
    ("questions.csv", "1893", "1891", 2, "d", "Phương án này trùng với phương án {letter}."),
    ("questions.csv", "Có,Không,,", "Có,Không,", 3, None, "Có {found} ô, cần {wanted}."),
    ("questions.csv", "answer,source", "answers,source", 1, "answer", "Thiếu cột này."),
    ("questions.csv", "g,h,answer", "g,g,answer", 1, "g", "Cột này có hai lần."),
    ("questions.csv", "gh,", 'gh,"abc', 5, None, "Dấu ngoặc kép mở ở dòng này không được đóng."),
    ("questions.csv", "Sách", "s" * 200_000, 2, None, "Không đọc được dòng này."),
    # units.csv
    ("units.csv", "D1,HP", "W1,HP", 3, "code", "Mã {id} đã có ở dòng {line}."),
    ("units.csv", "D1,HP", "D1,XX", 3, "parent", "Không có đơn vị cấp trên {parent}."),
    ("units.csv", "HP,,", "HP,HP,", 4, "parent", "Đơn vị nằm trong một vòng lặp cấp trên."),
    ("units.csv", "Đảng bộ,party", "Đảng bộ,", 5, "kind", "Để trống."),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "row", "column", "message"), FAULTS)
def test_a_fault_is_named_by_file_row_and_column(
    directory: Path, file: str, old: str, new: str, row: int | None, column: str | None, message: str
) -> None:
    change(directory, file, old, new)
    assert (file, row, column, message) in places(directory)


def test_one_fault_does_not_call_forth_others(directory: Path) -> None:
    """No fault of theirs: a unit below a lost one, the topic of a faulty question, a round that stands elsewhere in the file."""
    change(directory, "units.csv", "D1,HP", "D1,XX")
    assert [place[:3] for place in places(directory)] == [("units.csv", 3, "parent")]
    (directory / "units.csv").write_text(UNITS)
    change(directory, "questions.csv", "1893,,,,,a,", "1893,,,,,z,")
    assert [place[:3] for place in places(directory)] == [("questions.csv", 2, "answer")]
    (directory / "questions.csv").write_text(QUESTIONS)
    change(directory, "contest.yaml", "2023-05-19T08:00, closes: 2023-05-26T08:00", "2023-06-02T08:00, closes: 2023-06-09T08:00")
    assert [plan.id for plan in read_contest(directory).rounds] == ["hp.tuan-1", "hp.tuan-2"]


def test_a_cycle_names_each_unit_in_it_and_none_below(directory: Path) -> None:
    (directory / "units.csv").write_text(UNITS + "X1,X2,Một,w\nX2,X1,Hai,w\nX3,X2,Ba,w\n")
    assert [place[1] for place in places(directory)] == [6, 7]


def test_a_head_with_a_fault_leaves_the_rows_unread(directory: Path) -> None:
    change(directory, "questions.csv", "g,h,answer", "g,g,answer")
    change(directory, "questions.csv", "gh,", "z,")
    assert places(directory) == [("questions.csv", 1, "g", "Cột này có hai lần.")]


def test_faults_of_all_files_come_at_once(directory: Path) -> None:
    change(directory, "contest.yaml", "minutes: 15", "minutes: x")
    change(directory, "contest.yaml", "counting: best", "counting: x")
    change(directory, "contest.yaml", "closes: 2023-05-26T08:00", "closes: 2023-05-26T08:01")
    change(directory, "questions.csv", "gh,", "z,")
    change(directory, "units.csv", "D1,HP", "D1,XX")
    found = {(e.file, e.column) for e in faults(directory)}
    assert found == {
        ("contest.yaml", "paper.minutes"), ("contest.yaml", "counting"), ("contest.yaml", "rounds[1].opens"),
        ("questions.csv", "answer"), ("units.csv", "parent"),
    }  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_read_is_a_fault(directory: Path, name: str) -> None:
    path = directory / name
    path.write_bytes(b"ok\n" + "Hải".encode("utf-16"))
    assert places(directory) == [(name, 2, None, "Không phải UTF-8. Hãy lưu lại tệp với bảng mã UTF-8.")]
    path.write_text("\n \n")
    assert places(directory) == [(name, None, None, "Tệp trống.")]
    path.unlink()
    assert places(directory) == [(name, None, None, "Không có tệp này.")]
    path.mkdir()
    assert places(directory) == [(name, None, None, "Không đọc được tệp này.")]


@pytest.mark.parametrize(("name", "message"), [("questions.csv", "Không có câu hỏi nào."), ("units.csv", "Không có đơn vị nào.")])
def test_a_head_without_rows_is_a_fault(directory: Path, name: str, message: str) -> None:
    (directory / name).write_text(FILES[name].split("\n")[0] + "\n")
    assert places(directory) == [(name, None, None, message)]


def test_a_fault_reads_as_a_sentence_in_both_languages(directory: Path) -> None:
    change(directory, "questions.csv", "q3,", "q1,")
    with pytest.raises(FaultsFound) as caught:
        read_contest(directory)
    assert str(caught.value) == "questions.csv, dòng 4, mục id: Mã q1 đã có ở dòng 2."
    assert caught.value.errors[0].show("en") == "questions.csv, line 4, id: The id q1 is already on line 2."


def test_prizes_travel_with_the_contest_and_name_a_tree_that_is_there(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "contest.yaml").write_text(CONTEST.replace("count: 1}", "count: 1, least: 30, level: 2}"))
    files, now = read_contest(tmp_path), datetime(2023, 5, 1, tzinfo=UTC)
    named = files.published(now).prizes
    assert named == PrizePlans(unit=(PrizePlan(name="Giải Nhất", by="rate", count=1, least=30, level=2),))
    assert loading._draft(files, files.published(now)).publication(now).prizes == named, "published again by the console"
    (tmp_path / "contest.yaml").write_text(CONTEST.replace("count: 1}", "count: 1, tree: rung}"))
    with pytest.raises(FaultsFound) as found:
        read_contest(tmp_path)
    assert [(fault.row, fault.column) for fault in found.value.errors] == [(27, "prizes.unit[0].tree")]
