"""One door for all formats: `read` finds out what a file is and has it read."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from zipfile import ZipFile

from services.quiz.bank.aiken import answer_line, read_aiken
from services.quiz.bank.archive import OLE, ZIP, extract, open_zip
from services.quiz.bank.excel import read_excel
from services.quiz.bank.gift import read_gift
from services.quiz.bank.moodle import read_moodle
from services.quiz.bank.sheet import Sheet, Unreadable
from services.quiz.bank.tables import read_csv
from services.quiz.bank.text import clean, decode

PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp")
_NOT_PICTURES = ("__macosx/", ".ds_store", "thumbs.db")


def read(name: str, data: bytes) -> Sheet:
    """The questions of a file, by its content and, where that is not enough, by its name. What cannot be read at all is a fault
    of the sheet; nothing is raised."""
    try:
        sheet = _read(name, data)
    except Unreadable as error:
        return Sheet(faults=[error.remark])
    if not sheet.rows and not sheet.faults:
        sheet.fault("Không có câu hỏi nào.")
    return sheet


def _read(name: str, data: bytes) -> Sheet:
    extension = PurePosixPath(name.lower()).suffix
    if not data.strip():
        raise Unreadable("Tệp trống.")
    if data.startswith(ZIP):
        archive = open_zip(data)
        names = archive.namelist()
        if "xl/workbook.xml" in names or "content.xml" in names:
            return read_excel(data)
        if "word/document.xml" in names:
            raise Unreadable("Tệp Word chưa dùng được. Hãy chép câu hỏi vào tệp Excel mẫu.")
        return _read_archive(archive)
    if data.startswith(OLE):
        return read_excel(data)
    start = data[:400].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith((b"<?xml", b"<quiz")) or extension == ".xml":
        return read_moodle(data)
    if extension in (".csv", ".tsv"):
        return read_csv(data)
    if extension == ".gift":
        return read_gift(data)
    return _read_text(data)


def _read_text(data: bytes) -> Sheet:
    """A text file whose name says nothing: Aiken has ANSWER lines, GIFT has braces, a table has neither."""
    text = decode(data, Sheet())
    lines = [clean(line) for line in text.split("\n")]
    if any(answer_line(line) is not None for line in lines):
        return read_aiken(data)
    if re.search(r"(?<!\\)\{", text) or "::" in text:
        return read_gift(data)
    head = next(filter(str.strip, text.split("\n")), "")
    if max(map(head.count, ",;\t")) >= 3:
        return read_csv(data)
    raise Unreadable("Không rõ đây là loại tệp nào. Dùng được: Excel, CSV, GIFT, Aiken, Moodle XML, ZIP.")


def _read_archive(archive: ZipFile) -> Sheet:
    """A ZIP with one file of questions and the pictures that it names."""
    names = [n for n in archive.namelist() if not n.endswith("/") and not any(word in n.lower() for word in _NOT_PICTURES)]
    pictures = [n for n in names if n.lower().endswith(PICTURES)]
    others = [n for n in names if n not in pictures]
    if len(others) != 1:
        raise Unreadable("Tệp ZIP phải có đúng một tệp câu hỏi, bên cạnh các hình; tệp này có {found}.", found=len(others))
    data = extract(archive, others[0])
    if data.startswith(ZIP) and "xl/workbook.xml" not in open_zip(data).namelist():
        raise Unreadable("Tệp ZIP nằm trong tệp ZIP.")
    sheet = _read(others[0], data)
    for name in pictures:
        key = clean(name).rpartition("/")[2].lower()
        if key in sheet.pictures:
            sheet.fault("Có hai tệp hình cùng tên {name}.", name=key)
        sheet.pictures[key] = extract(archive, name)
    return sheet
