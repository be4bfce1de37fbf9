"""Text as people's programs write it: any of their encodings, accents in either Unicode form, HTML."""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser

from services.quiz.bank.sheet import Sheet, Unreadable

_INVISIBLE = dict.fromkeys([0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF], None) | {0x00A0: " ", 0x2028: "\n", 0x2029: "\n"}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_TCVN3 = re.compile(
    r"[^\W\d_][\u00ae\u00b8\u00b5\u00b6\u00b7\u00b9\u00a8\u00bb\u00be\u00bc\u00bd\u00a9][a-z]"
    r"|(?:^| )[\u00ae\u00b8\u00a8\u00b9][^\W\d_]"
)
"""What TCVN3's bytes look like as Unicode: these signs within words ("Chñ ®Ò", "¸o")."""
_RAISED = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")
_LOWERED = str.maketrans("0123456789+-", "₀₁₂₃₄₅₆₇₈₉₊₋")


def clean(text: str) -> str:
    """Composed accents, no invisible characters, no spaces at the ends of lines, no empty lines."""
    text = _CONTROL.sub("", unicodedata.normalize("NFC", text).translate(_INVISIBLE))
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def decode(data: bytes, sheet: Sheet) -> str:
    """The text of a file: UTF-8 or UTF-16 by its mark, else UTF-8, else windows-1258 with a warning. Raises Unreadable."""
    text = ""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            text = data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise Unreadable("Không phải tệp văn bản.") from error
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = _legacy(data)
            sheet.warn("Tệp không phải UTF-8; đã đọc theo bảng mã windows-1258. Hãy xem kỹ các dấu.")
    if "\0" in text:
        raise Unreadable("Không phải tệp văn bản.")
    return unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")


def _legacy(data: bytes) -> str:
    try:
        return data.decode("cp1258")
    except UnicodeDecodeError as error:
        raise Unreadable("Không phải UTF-8. Hãy lưu lại tệp với bảng mã UTF-8.") from error


def old_font(text: str) -> bool:
    """Whether a text looks typed in one of the fonts of before Unicode (TCVN3, `.VnTime`), which read as gibberish."""
    return bool(_TCVN3.search(text))


class _Stripper(HTMLParser):
    BLOCKS = frozenset(
        {"p", "div", "br", "li", "ul", "ol", "tr", "table", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre"}
    )
    HIDDEN = frozenset({"script", "style", "head", "title"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.pictures: list[tuple[str, str]] = []
        self._hidden = 0
        self._shifts: list[dict[int, int]] = [{}]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.BLOCKS:
            self.parts.append("\n")
        elif tag in self.HIDDEN:
            self._hidden += 1
        elif tag in ("sup", "sub"):
            self._shifts.append(_RAISED if tag == "sup" else _LOWERED)
        elif tag == "img":
            given = dict(attrs)
            self.pictures.append((given.get("src") or "", clean(given.get("alt") or "")))

    def handle_endtag(self, tag: str) -> None:
        if tag in self.BLOCKS:
            self.parts.append("\n")
        elif tag in self.HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag in ("sup", "sub") and len(self._shifts) > 1:
            self._shifts.pop()

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(" ".join(re.split(r"\s+", data)).translate(self._shifts[-1]))


def strip_html(html: str) -> tuple[str, list[tuple[str, str]]]:
    """The text of an HTML fragment, and its pictures as (src, alt). Line breaks stay where blocks begin and end."""
    stripper = _Stripper()
    stripper.feed(html)
    stripper.close()
    return clean("".join(stripper.parts)), stripper.pictures
