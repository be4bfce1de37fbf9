"""Moodle XML: https://docs.moodle.org/en/Moodle_XML_format. `multichoice` and `truefalse` are read, with one embedded picture
in the question; every other kind is a fault that names the kind."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from services.quiz.bank.gift import TRUE_FALSE, category_topic
from services.quiz.bank.rules import OPTIONS, question_of
from services.quiz.bank.sheet import MOST_ROWS, Row, Sheet, Unreadable
from services.quiz.bank.text import clean, strip_html

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_EMBEDDED = "@@PLUGINFILE@@/"
_WHOLE = 99.9
"""A fraction from here on is the full mark: three right options have 33.33333 each."""


def read_moodle(data: bytes) -> Sheet:
    """Reads a Moodle XML file; `row` counts its questions from 1. Raises Unreadable."""
    try:
        quiz = ElementTree.fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        raise Unreadable("Tệp XML có khai báo DTD hoặc thực thể; tệp của Moodle không có.") from error
    except ElementTree.ParseError as error:
        raise Unreadable("Tệp XML hỏng ở dòng {line}.", line=error.position[0]) from error
    except (ValueError, LookupError) as error:  # an encoding that does not exist
        raise Unreadable("Không đọc được tệp này.") from error
    if quiz.tag != "quiz":
        raise Unreadable("Không phải tệp câu hỏi của Moodle (thiếu thẻ <quiz>).")
    sheet, topic, number = Sheet(counts="question"), "", 0
    for element in quiz.iter("question"):
        kind = element.get("type", "")
        if kind == "category":
            topic = category_topic(_text(element.find("category"))[0])
            continue
        number += 1
        if number > MOST_ROWS:
            sheet.fault("Tệp có quá nhiều dòng (nhiều nhất {most}).", most=MOST_ROWS)
            break
        sheet.rows.append(_read(number, element, kind, topic, sheet))
    return sheet


def _text(element: Element | None, base: str = "html") -> tuple[str, list[tuple[str, str]]]:
    """The text of an element of Moodle's that holds <text>, and the pictures (src, alt) in it."""
    if element is None:
        return "", []
    raw = element.findtext("text") or ""
    plain = element.get("format", base) in ("plain_text", "markdown") or element.tag == "category"
    return (clean(raw), []) if plain else strip_html(raw)


def _read(number: int, element: Element, kind: str, topic: str, sheet: Sheet) -> Row:
    row = Row(number)
    text, pictures = _text(element.find("questiontext"))
    cells = {"topic": topic, "text": text, "answer": ""}
    if kind == "multichoice":
        cells |= _choices(element, row)
    elif kind == "truefalse":
        cells |= _truth(element)
    else:
        row.fault("answer", "Dạng câu hỏi «{kind}» chưa dùng được.", kind=clean(kind)[:40])
    if pictures and not row.faults:
        cells["alt"] = _picture(number, element, pictures, row, sheet)
    found = list(row.faults)
    row.question = question_of(cells, row)
    row.faults = found or row.faults
    return row


def _choices(element: Element, row: Row) -> dict[str, str]:
    """The cells of options and answer."""
    answers = element.findall("answer")
    if len(answers) > len(OPTIONS):
        row.fault("answer", "Có {found} phương án, nhiều nhất {most}.", found=len(answers), most=len(OPTIONS))
        return {}
    weights = [_fraction(answer) for answer in answers]
    single = (element.findtext("single") or "true").strip().lower() in ("true", "1")
    right = [place for place, weight in enumerate(weights) if (weight >= _WHOLE if single else weight > 0)]
    if single and len(right) > 1:
        row.fault("answer", "Câu một đáp án mà có {found} phương án được trọn điểm.", found=len(right))
    if single and any(0 < weight < _WHOLE for weight in weights):
        row.warn("answer", "Không có điểm từng phần: chỉ phương án được trọn điểm là đúng.")
    cells = {"answer": "".join(OPTIONS[place] for place in right)}
    for place, answer in enumerate(answers):
        cells[OPTIONS[place]], pictures = _text(answer)
        if pictures:
            row.fault(OPTIONS[place], "Phương án có hình: chưa dùng được. Hãy đưa hình vào câu hỏi.")
    return cells


def _truth(element: Element) -> dict[str, str]:
    right = next((a for a in element.findall("answer") if _fraction(a) >= _WHOLE), None)
    truth = _text(right)[0].lower() if right is not None else ""
    return dict(zip("ab", TRUE_FALSE, strict=True)) | {"answer": {"true": "a", "false": "b"}.get(truth, "")}


def _fraction(answer: Element) -> float:
    try:
        return float(answer.get("fraction", "0"))
    except ValueError:
        return 0.0


def _picture(number: int, element: Element, pictures: Sequence[tuple[str, str]], row: Row, sheet: Sheet) -> str:
    """Takes the picture of a question out of the file; returns what it shows, in words."""
    if len({src for src, _ in pictures}) > 1:
        row.fault("picture", "Câu có {found} hình, chỉ dùng được một.", found=len(pictures))
        return ""
    src, alt = pictures[0]
    encoded = None
    if src.startswith(_EMBEDDED):
        name = unquote(src.removeprefix(_EMBEDDED).partition("?")[0])
        files = element.findall("questiontext/file")
        encoded = next((f.text for f in files if f.get("name") == name and f.get("encoding") == "base64"), None)
    elif src.startswith("data:image/"):
        encoded = unquote(src.partition("base64,")[2])
    if not encoded:
        row.fault("picture", "Không có tệp hình {name} trong tệp này.", name=clean(src)[:80])
        return alt
    try:
        body = base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError):
        row.fault("picture", "Không đọc được hình {name}.", name=clean(src)[:80])
        return alt
    row.picture = f"{number}"
    sheet.pictures[row.picture] = body
    return alt
