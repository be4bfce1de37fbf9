"""Moodle's GIFT format: https://docs.moodle.org/en/GIFT_format. Questions with one or several right options and true/false are
read; every other kind is a fault that names the kind."""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.quiz.bank.rules import OPTIONS, question_of
from services.quiz.bank.sheet import MOST_ROWS, Row, Sheet
from services.quiz.bank.text import clean, decode, strip_html

_ESCAPED = re.compile(r"\\([~=#{}:\\n])")
_HIDDEN = "\ue000"
"""An escaped character is hidden behind this one and its place in `_PLAIN` while the marks around it are looked for."""
_PLAIN = "~=#{}:\\n"
_CATEGORY = re.compile(r"\s*\$CATEGORY:\s*(.+)", re.IGNORECASE)
_TITLE = re.compile(r"\s*::(.*?)::", re.DOTALL)
_FORMAT = re.compile(r"\s*\[(html|moodle|plain|markdown)\]", re.IGNORECASE)
_WEIGHT = re.compile(r"\s*%(-?\d+(?:[.,]\d+)?)%")
_TRUTHS = {"T": True, "TRUE": True, "F": False, "FALSE": False}
TRUE_FALSE = ("Đúng", "Sai")
"""The options of a true/false question."""
BLANK = "_____"


def read_gift(data: bytes) -> Sheet:
    """Reads a GIFT file; `row` is the line a question begins at. Raises Unreadable."""
    sheet = Sheet()
    topic = ""
    for number, block in _blocks(decode(data, sheet)):
        category = _CATEGORY.fullmatch(block)
        if category:
            topic = category_topic(category[1])
        elif len(sheet.rows) >= MOST_ROWS:
            sheet.fault("Tệp có quá nhiều dòng (nhiều nhất {most}).", most=MOST_ROWS)
            break
        else:
            sheet.rows.append(_read(number, block, topic))
    return sheet


def category_topic(path: str) -> str:
    """The topic that a Moodle category stands for: the last part of its path."""
    parts = [part.strip() for part in path.replace("//", "\ue001").split("/")]
    return clean(parts[-1].replace("\ue001", "/")) if parts else ""


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """Each question and each category with its first line. Blank lines part them; comments are left out."""
    block: list[str] = []
    first = 0
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if line.lstrip().startswith("//"):
            continue
        category = _CATEGORY.match(line)
        if (category or not line.strip()) and block:
            yield first, "\n".join(block)
            block = []
        if category:
            yield number, line
        elif line.strip():
            if not block:
                first = number
            block.append(line)


def _read(number: int, block: str, topic: str) -> Row:
    row = Row(number)
    hidden = _ESCAPED.sub(lambda found: _HIDDEN + str(_PLAIN.index(found[1])), block.replace(_HIDDEN, ""))
    hidden = _TITLE.sub("", hidden, count=1) if _TITLE.match(hidden) else hidden
    format = _FORMAT.match(hidden)
    html = bool(format and format[1].lower() == "html")
    hidden = hidden[format.end() :] if format else hidden
    before, opened, rest = hidden.partition("{")
    inside, closed, after = rest.partition("}")
    cells = {"topic": topic, "text": _plain(before, html), "answer": ""}
    if not opened:
        row.fault("answer", "Không thấy các phương án trong ngoặc nhọn.")
    elif not closed:
        row.fault("answer", "Thiếu dấu đóng ngoặc nhọn sau các phương án.")
    elif "{" in after or "{" in inside:
        row.fault("answer", "Nhiều chỗ trống trong một câu: dạng này chưa dùng được.")
    else:
        cells |= _answers(inside, html, row)
        if after.strip():
            cells["text"] = _plain(f"{before.rstrip()} {BLANK} {after.lstrip()}", html)
    # What is wrong with the kind of a question is said; that its cells are empty then goes without saying.
    kind_faults = list(row.faults)
    row.question = question_of(cells, row)
    row.faults = kind_faults or row.faults
    return row


def _plain(hidden: str, html: bool) -> str:
    """The text that a part of a block stands for; it may name a format of its own."""
    format = _FORMAT.match(hidden)
    if format:
        html, hidden = format[1].lower() == "html", hidden[format.end() :]
    text = re.sub(_HIDDEN + r"(\d)", lambda found: _PLAIN[int(found[1])].replace("n", "\n"), hidden)
    return strip_html(text)[0] if html else clean(text)


def _answers(inside: str, html: bool, row: Row) -> dict[str, str]:
    """The cells of options and answer."""
    inside = inside.split("####")[0].strip()
    truth = _TRUTHS.get(inside.split("#")[0].strip().upper())
    if truth is not None:
        return dict(zip("ab", TRUE_FALSE, strict=True)) | {"answer": "a" if truth else "b"}
    parts = re.split(r"([~=])", inside)
    kind = _other_kind(inside, parts)
    if kind:
        row.fault("answer", kind)
        return {}
    marks = [(mark, *_weighed(part)) for mark, part in zip(parts[1::2], parts[2::2], strict=True)]
    equal = [place for place, (mark, _, _) in enumerate(marks) if mark == "="]
    right = equal or [place for place, (_, weight, _) in enumerate(marks) if weight > 0]
    texts = [_plain(text.split("#")[0], html) for _, _, text in marks]
    if len(marks) > len(OPTIONS):
        row.fault("answer", "Có {found} phương án, nhiều nhất {most}.", found=len(marks), most=len(OPTIONS))
        return {}
    if len(equal) > 1:
        row.fault(
            "answer",
            "Có {found} phương án mang dấu =. Câu nhiều đáp án đúng ghi ~%50% trước mỗi phương án đúng.",
            found=len(equal),
        )
    if equal and any(mark == "~" and weight > 0 for mark, weight, _ in marks):
        row.warn("answer", "Không có điểm từng phần: chỉ phương án mang dấu = là đúng.")
    return dict(zip(OPTIONS, texts, strict=False)) | {"answer": "".join(OPTIONS[place] for place in right)}


def _weighed(part: str) -> tuple[float, str]:
    """The weight of an option in percent (0 where none is given), and what is left of it."""
    found = _WEIGHT.match(part)
    return (float(found[1].replace(",", ".")), part[found.end() :]) if found else (0.0, part)


def _other_kind(inside: str, parts: list[str]) -> str:
    """Why an answer is of a kind that cannot be used; "" where it can."""
    if not inside:
        return "Câu tự luận: dạng này chưa dùng được."
    if inside.startswith("#"):
        return "Câu trả lời bằng số: dạng này chưa dùng được."
    if "~" not in parts:
        if any("->" in part for part in parts):
            return "Câu ghép cặp: dạng này chưa dùng được."
        return "Câu trả lời ngắn: dạng này chưa dùng được."
    return "Không đọc được các phương án trong ngoặc nhọn." if parts[0].strip() else ""
