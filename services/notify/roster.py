"""Rosters (danh sách): the people whom a unit expects to take part, from a file; and who of them has. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, NamedTuple

import phonenumbers

from services.kit.faults import Fault, Faults
from services.kit.names import fold
from services.kit.problems import Problem
from services.kit.sheets import as_csv, csv_lines
from services.notify.people import Member

MOST = 10_000
FILE = "danh-sach"
"""How faults name the file."""

HEADINGS: Mapping[str, tuple[str, ...]] = {
    "name": ("ho va ten", "ho ten", "ten", "name", "full name"),
    "code": ("ma", "ma so", "ma nguoi", "ma hoc sinh", "ma can bo", "so the", "code"),
    "phone": ("dien thoai", "so dien thoai", "sdt", "di dong", "phone"),
    "email": ("email", "thu dien tu", "e-mail", "mail"),
    "category": ("doi tuong", "nhom", "category"),
}
_COLUMN_OF = {heading: column for column, headings in HEADINGS.items() for heading in headings}


class RosterPerson(NamedTuple):
    """A row of a roster. `phone` is E.164; what is not known is empty. `category` is an id of the contest's."""

    code: str
    name: str
    phone: str
    email: str
    category: str


@dataclass(frozen=True)
class RosterRow:
    """A row of the file with its verdict."""

    line: int
    person: RosterPerson
    faults: Sequence[Fault]


@dataclass(frozen=True)
class RosterSheet:
    """What a file holds. `faults` are those of no row."""

    rows: Sequence[RosterRow]
    faults: Sequence[Fault]
    digest: str

    @property
    def good(self) -> bool:
        """Whether it may be taken, whole."""
        return bool(self.rows) and not self.faults and not any(row.faults for row in self.rows)


def read(data: bytes, categories: Mapping[str, str]) -> RosterSheet:
    """Reads a CSV or Excel file; `categories` are the contest's, name by id. Raises Problem 413, 422."""
    faults, text = Faults(), as_csv(data)
    known = {fold(each): id for id, name in categories.items() for each in (id, name)}
    columns: list[str] = []
    found: list[tuple[int, RosterPerson]] = []
    codes: set[str] = set()
    for line, cells in csv_lines(text, lambda row, message: faults.add(FILE, row, None, message)):
        if not columns:
            columns = [_COLUMN_OF.get(fold(cell), "") for cell in cells]
            if "name" not in columns:
                raise Problem(422, "columns", "Không thấy cột họ và tên. Tên các cột đứng ở dòng đầu.", field="file")
            continue
        row = {name: cell for name, cell in zip(columns, cells, strict=False) if name}
        person = _person(line, row, known, faults)
        if person.code and fold(person.code) in codes:
            faults.add(FILE, line, "code", "Mã {code} có hai lần.", code=person.code)
        codes.add(fold(person.code))
        found.append((line, person))
    if not found:
        faults.add(FILE, None, None, "Tệp không có người nào.")
    if len(found) > MOST:
        faults.add(FILE, None, None, "Nhiều nhất {most} người.", most=MOST)
    by_line: dict[int | None, list[Fault]] = {}
    for fault in faults.found:
        by_line.setdefault(fault.row, []).append(fault)
    rows = [RosterRow(line, person, by_line.pop(line, [])) for line, person in found]
    digest = blake2b(text.encode(), digest_size=8).hexdigest()
    return RosterSheet(rows, [fault for group in by_line.values() for fault in group], digest)


def _person(line: int, row: Mapping[str, str], categories: Mapping[str, str], faults: Faults) -> RosterPerson:
    name, phone, category = row.get("name", ""), row.get("phone", ""), row.get("category", "")
    email = row.get("email", "").lower()
    if not name or len(name) > 100:
        faults.add(FILE, line, "name", "Hãy ghi họ và tên.")
    if phone and not (e164 := phone_of(phone)):
        faults.add(FILE, line, "phone", "Số điện thoại không đúng.")
    elif phone:
        phone = e164
    if email and not is_email(email):
        faults.add(FILE, line, "email", "Địa chỉ thư không đúng.")
    if category and fold(category) not in categories:
        faults.add(FILE, line, "category", "Cuộc thi không có đối tượng này.")
    category = categories.get(fold(category), "")
    return RosterPerson(row.get("code", "")[:40], name, phone, email, category)


def phone_of(text: str) -> str:
    """A Vietnamese phone number as E.164, also where a spreadsheet took its leading 0; "" where it is none."""
    digits = f"0{text}" if text.isdigit() and len(text) == 9 else text
    try:
        number = phonenumbers.parse(digits, "VN")
    except phonenumbers.NumberParseException:
        return ""
    fits = phonenumbers.is_possible_number(number)
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)) if fits else ""


def is_email(text: str) -> bool:
    """Whether a text looks like an e-mail address."""
    name, at, host = text.partition("@")
    # A line break would begin another header of the mail.
    plain = text.isprintable() and not set(text) & set(" ,;<>")
    return bool(name and at and "." in host.strip(".")) and len(text) <= 254 and plain


Standing = Literal["took-part", "maybe-took-part", "registered", "maybe-registered", "unknown"]
"""What is known of a person of a roster; `maybe`: their code fits nobody, but their name does."""


class Matched(NamedTuple):
    """A person of a roster and who of the registered they are, or may be."""

    person: RosterPerson
    standing: Standing
    members: tuple[Member, ...]


def match(people: Sequence[RosterPerson], members: Sequence[Member], round: str | None) -> list[Matched]:
    """Who of a roster took part in a round (None: in any). `members` are those registered in the unit and below it. The code
    decides; where it fits nobody, whoever bears the name and has not been found by a code may be the person."""
    by_code: dict[str, list[Member]] = {}
    for member in sorted(members, key=lambda member: member.id):
        if member.person.code:
            by_code.setdefault(member.person.code, []).append(member)
    sure = {member.id for each in people if each.code for member in by_code.get(fold(each.code), ())}
    by_name: dict[str, list[Member]] = {}
    for member in sorted(members, key=lambda member: member.id):
        if member.id not in sure:
            by_name.setdefault(member.person.name, []).append(member)
    return [_matched(each, by_code, by_name, round) for each in people]


def _matched(
    person: RosterPerson, by_code: Mapping[str, list[Member]], by_name: Mapping[str, list[Member]], round: str | None
) -> Matched:
    found = tuple(by_code.get(fold(person.code), ())) if person.code else ()
    if found:
        return Matched(person, "took-part" if _any(found, round) else "registered", found)
    maybe = tuple(by_name.get(fold(person.name), ()))
    if maybe:
        return Matched(person, "maybe-took-part" if _any(maybe, round) else "maybe-registered", maybe)
    return Matched(person, "unknown", ())


def _any(members: Sequence[Member], round: str | None) -> bool:
    return any(member.person.took_part(round) for member in members)
