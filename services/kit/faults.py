"""Faults of files that people write: each names file, row and column, and all are collected before one is raised."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.kit.i18n import DEFAULT, translate


@dataclass(frozen=True)
class Fault:
    """One fault. `row` counts the file's lines from 1; `column` is a column's name, or the path of a setting (`rounds[0].id`).

    `message` is a sentence of the catalogue, `values` what its placeholders stand for.
    """

    file: str
    row: int | None
    column: str | None
    message: str
    values: Mapping[str, object] = field(default_factory=dict)

    def show(self, language: str) -> str:
        """The fault with its place, in a language."""
        place = [self.file]
        if self.row is not None:
            place.append(translate("dòng {row}", language).format(row=self.row))
        if self.column is not None:
            place.append(translate("mục {column}", language).format(column=self.column))
        return f"{', '.join(place)}: {translate(self.message, language).format(**self.values)}"

    def __str__(self) -> str:
        return self.show(DEFAULT)


class FaultsFound(Exception):
    """All faults of what was to be read."""

    def __init__(self, errors: list[Fault]) -> None:
        super().__init__("\n".join(map(str, errors)))
        self.errors = errors


class Faults:
    """Collects faults, and reads files so that an unreadable one is a fault and no crash."""

    def __init__(self) -> None:
        self.found: list[Fault] = []

    def add(self, file: str, row: int | None, column: str | None, message: str, **values: object) -> None:
        """Notes a fault."""
        self.found.append(Fault(file, row, column, message, values))

    def text(self, path: Path) -> str | None:
        """A file's text with composed accents and without a byte-order mark; None, and a fault, where it cannot be read."""
        try:
            return unicodedata.normalize("NFC", path.read_bytes().decode("utf-8-sig"))
        except (FileNotFoundError, NotADirectoryError):
            self.add(path.name, None, None, "Không có tệp này.")
        except OSError:
            self.add(path.name, None, None, "Không đọc được tệp này.")
        except UnicodeDecodeError as error:
            row = error.object[: error.start].count(b"\n") + 1
            self.add(path.name, row, None, "Không phải UTF-8. Hãy lưu lại tệp với bảng mã UTF-8.")
        return None
