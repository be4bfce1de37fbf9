"""What calamine does not tell of an xlsx file: hidden rows, formulas, number formats, pictures; and how large its sheets are."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING
from zipfile import ZipFile

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from services.quiz.bank.archive import extract
from services.quiz.bank.sheet import MOST_ROWS, Sheet, Unreadable

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MOST_COLUMNS = 200
_REFERENCE = re.compile(r"([A-Z]{1,3})(\d{1,7})")
_BUILT_IN = {9: "0%", 10: "0.00%"}
_LOCALE = re.compile(r"\[\$[^\]]*\]")
"""Of which country a format is, as LibreOffice writes in front of it: [$-42A]000."""

_DAY_0 = date(1899, 12, 30)
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"


@dataclass
class Marks:
    """Of one worksheet, rows and columns from 0: hidden rows, cells with a formula, the formats of numbers that matter."""

    hidden: set[int] = field(default_factory=set)
    formulas: set[tuple[int, int]] = field(default_factory=set)
    formats: dict[tuple[int, int], str] = field(default_factory=dict)
    negative: dict[tuple[int, int], date] = field(default_factory=dict)
    """Numbers below zero as the days of before 1900 that they are where the cell is a date: Excel has none, LibreOffice does."""


def read_marks(archive: ZipFile, sheet: Sheet) -> dict[str, Marks]:
    """The marks of each worksheet by its name; its pictures go to `sheet.pictures` under "sheet!row" (from 1). Raises Unreadable
    where a worksheet is too large."""
    try:
        targets = _relations(archive, "xl/workbook.xml")
        formats = _formats(archive)
        found = {}
        for element in _parse(archive, "xl/workbook.xml").iter():
            if _tag(element) == "sheet":
                path = targets.get(element.get(f"{_RELATION}id", ""), "")
                if "/worksheets/" in path:
                    name = element.get("name", "")
                    found[name] = _marks(archive, path, formats)
                    sheet.pictures |= {f"{name}!{row + 1}": body for row, body in _pictures(archive, path)}
    except (ElementTree.ParseError, DefusedXmlException, KeyError, ValueError) as error:
        raise Unreadable("Không đọc được tệp này như một bảng tính Excel.") from error
    return found


def _parse(archive: ZipFile, path: str) -> Element:
    root: Element = ElementTree.fromstring(extract(archive, path), forbid_dtd=True)
    return root


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _relations(archive: ZipFile, path: str) -> dict[str, str]:
    """The targets of a part's relations by their id."""
    folder, name = posixpath.split(path)
    relations = f"{folder}/_rels/{name}.rels"
    if relations not in archive.namelist():
        return {}
    found = {}
    for element in _parse(archive, relations):
        if element.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/", folder, element.get("Target", "")))
            found[element.get("Id", "")] = target.lstrip("/")
    return found


def _formats(archive: ZipFile) -> dict[str, str]:
    """The number format of each cell style (by its index, as cells name it) that shows more than the number: 000, %."""
    if "xl/styles.xml" not in archive.namelist():
        return {}
    codes: dict[int, str] = dict(_BUILT_IN)
    formats: dict[str, str] = {}
    for element in _parse(archive, "xl/styles.xml").iter():
        if _tag(element) == "numFmt":
            codes[int(element.get("numFmtId", "0"))] = element.get("formatCode", "")
        elif _tag(element) == "cellXfs":
            for index, style in enumerate(element):
                code = codes.get(int(style.get("numFmtId", "0")), "")
                code = _LOCALE.sub("", code).replace('"', "")
                if "%" in code or re.fullmatch("00+", code):
                    formats[str(index)] = code
    return formats


def _marks(archive: ZipFile, path: str, formats: dict[str, str]) -> Marks:
    marks, row = Marks(), -1
    for element in _parse(archive, path).iter():
        tag = _tag(element)
        if tag == "row":
            row = int(element.get("r", row + 2)) - 1
            if element.get("hidden") in ("1", "true"):
                marks.hidden.add(row)
        elif tag == "c":
            place = _REFERENCE.fullmatch(element.get("r", ""))
            if place is None:
                continue
            at = (int(place[2]) - 1, _column(place[1]))
            if at[0] > 3 * MOST_ROWS or at[1] > MOST_COLUMNS:
                raise Unreadable("Trang tính quá lớn: có ô ở {cell}.", cell=place[0])
            for child in element:
                if _tag(child) == "f":
                    marks.formulas.add(at)
                elif _tag(child) == "v" and re.fullmatch(r"-\d{1,5}", child.text or ""):
                    marks.negative[at] = _DAY_0 + timedelta(days=int(child.text or ""))
            if element.get("s", "") in formats:
                marks.formats[at] = formats[element.get("s", "")]
    return marks


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _pictures(archive: ZipFile, path: str) -> Iterator[tuple[int, bytes]]:
    """The pictures that float above a worksheet, with the row (from 0) in which each begins."""
    for drawing in _relations(archive, path).values():
        if "/drawings/" not in drawing or not drawing.endswith(".xml"):
            continue
        targets = _relations(archive, drawing)
        for anchor in _parse(archive, drawing):
            row = next((e.text for e in anchor.iter() if _tag(e) == "row"), None)
            blip = next((e for e in anchor.iter() if _tag(e) == "blip"), None)
            target = targets.get(blip.get(f"{_RELATION}embed", ""), "") if blip is not None else ""
            if row is not None and target in archive.namelist():
                yield int(row), extract(archive, target)
