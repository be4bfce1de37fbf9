"""ZIP files that others made: opened only while they stay small."""

from __future__ import annotations

import io
import zipfile
import zlib

from services.quiz.bank.sheet import Unreadable

MOST_FILES = 5000
MOST_BYTES = 200 * 1024 * 1024
"""What may come out of one archive, in bytes."""
ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def open_zip(data: bytes) -> zipfile.ZipFile:
    """An archive whose files together are no bomb. Raises Unreadable."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise Unreadable("Tệp ZIP hỏng.") from error
    files = archive.infolist()
    if len(files) > MOST_FILES or sum(file.file_size for file in files) > MOST_BYTES:
        raise Unreadable("Tệp nén bung ra quá lớn.")
    return archive


def extract(archive: zipfile.ZipFile, name: str) -> bytes:
    """One file of an archive; never more of it than its entry says. Raises Unreadable, KeyError."""
    info = archive.getinfo(name)
    if info.flag_bits & 1:
        raise Unreadable("Tệp đặt mật khẩu; hãy bỏ mật khẩu rồi tải lên lại.")
    try:
        with archive.open(info) as file:
            return file.read(info.file_size)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError) as error:
        raise Unreadable("Tệp ZIP hỏng.") from error
