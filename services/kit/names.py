"""Names as people type them."""

from __future__ import annotations

from collections.abc import Mapping

from anyascii import anyascii

from services.kit.problems import Problem


def fold(text: str) -> str:
    """Letters without diacritics, in lower case, with single spaces ("Kiến An" → "kien an")."""
    return " ".join(anyascii(text).lower().split())


def unit_of(text: str, names: Mapping[str, str], field: str) -> str:
    """The code of the unit that was typed: its code, or its name where no other of these has it. Raises Problem 422."""
    wanted = fold(text)
    found = [code for code in names if code.lower() == text.lower()] or [c for c, name in names.items() if fold(name) == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        codes = ", ".join(found[:5])
        raise Problem(422, "unit", "Nhiều đơn vị cùng tên “{text}”; hãy ghi mã: {codes}.", field=field, text=text, codes=codes)
    raise Problem(422, "unit", "Không có đơn vị “{text}”; hãy ghi mã hoặc đúng tên.", field=field, text=text)
