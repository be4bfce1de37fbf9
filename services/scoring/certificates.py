"""Certificates (giấy chứng nhận): one A4 page for an award, with a QR code that leads to the page where anyone checks it."""

from __future__ import annotations

import io
import unicodedata
from base64 import b32encode
from datetime import date
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import msgspec
import segno
import typst

_TEMPLATE = Path(__file__).parent / "templates" / "certificate.typ"
_CODE = 10


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What a certificate says.

    `name` is a person's or a unit's, `unit` that person's unit or "" for a unit itself. `contest_line` says for what, e.g.
    "Tuần 1, Cuộc thi trắc nghiệm … “Hải Phòng làm theo lời Bác”". `issuer` signs, `superior` stands above it in the heading,
    `place` is that of the date. `link` is where the code is checked. Without a `heading` and a `signer_title` it is a "Giấy chứng
    nhận" on behalf of the organisers.
    """

    code: str
    link: str
    name: str
    unit: str
    prize: str
    contest_line: str
    issuer: str
    place: str
    day: date
    superior: str = ""
    heading: str = ""
    signer_title: str = ""
    signer: str = ""
    number: str = ""


def code_of(key: bytes, round: str, ladder: str, place: int) -> str:
    """The code of an award's certificate, 16 letters and digits that nobody can guess. The same award has the same code, so that
    a certificate can be made again and found from its code among the awards."""
    raw = blake2b(f"{round}\n{ladder}\n{place}".encode(), key=key, digest_size=_CODE, person=b"certificate").digest()
    return b32encode(raw).decode().lower()


def render(certificate: Certificate, format: Literal["pdf", "png"] = "pdf", ppi: float = 110) -> bytes:
    """The page, in about a tenth of a second; `ppi` is the resolution of a PNG. The same certificate gives the same picture. No
    text is read as markup."""
    qr = io.BytesIO()
    segno.make(certificate.link, error="m").save(qr, kind="svg", border=0, dark="#1c1b1a", xmldecl=False)
    data = msgspec.to_builtins(certificate) | {"qr": qr.getvalue().decode()}
    # Composed letters: the fonts place accents that stand alone badly.
    text = unicodedata.normalize("NFC", msgspec.json.encode(data).decode())
    page = typst.compile(
        str(_TEMPLATE),
        format=format,
        ppi=ppi if format == "png" else None,
        sys_inputs={"data": text},
        ignore_system_fonts=True,
    )
    if not isinstance(page, bytes):
        raise TypeError("a certificate is one page")
    return page
