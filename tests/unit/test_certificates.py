"""Certificates: one page, the same again for the same award, and nothing that a person wrote is read as markup."""

from __future__ import annotations

import unicodedata
from datetime import date

import msgspec
import pytest

from services.scoring.certificates import Certificate, code_of, render

KEY = b"k" * 32
ONE = Certificate(
    code=code_of(KEY, "hai-phong-2023.tuan-1", "persons", 1),
    link="https://hoithi.example.vn/c/hai-phong-2023/chung-nhan/szlv6lwvwdqhj7jo",
    name="Nguyễn Thị Ánh Nguyệt",
    unit="Phường Văn Đẩu, quận Kiến An",
    prize="Giải Nhất",
    contest_line="Tuần 1, Cuộc thi trắc nghiệm trên Internet “Hải Phòng làm theo lời Bác”",
    issuer="Ban Tuyên giáo Thành ủy Hải Phòng",
    superior="Thành ủy Hải Phòng",
    place="Hải Phòng",
    day=date(2023, 6, 2),
)


def test_a_certificate_is_a_pdf_or_a_picture() -> None:
    assert render(ONE).startswith(b"%PDF-")
    assert render(ONE, "png").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "name",
    [
        '#panic("x")',
        "$ x $ *a* _b_ `c` <d> @e",
        "\\u{1F600} \\",
        'Trần "Anh" {b} [c]',
        "Công Tằng Tôn Nữ Nguyễn Hoàng Phương Quỳnh Như Thị Huyền Trang Ngọc Diễm " * 3,
        "",
        "陈 Ван 😀",
    ],
)
def test_any_name_is_shown_as_it_is(name: str) -> None:
    assert render(msgspec.structs.replace(ONE, name=name, unit=name, prize=name), "png", ppi=40).startswith(b"\x89PNG")


def test_both_forms_of_accents_give_the_same_page() -> None:
    apart = msgspec.structs.replace(ONE, name=unicodedata.normalize("NFD", ONE.name), unit=unicodedata.normalize("NFD", ONE.unit))
    assert render(apart, "png", ppi=60) == render(ONE, "png", ppi=60)


def test_codes_differ_by_award_and_by_installation() -> None:
    awards = [
        ("hai-phong-2023.tuan-1", "persons", 1),
        ("r1", "persons", 2),
        ("r1", "persons", 1),
        ("r2", "units by rate >= 0", 1),
    ]
    codes = {code_of(key, *award) for award in awards for key in (KEY, b"l" * 32)}
    assert len(codes) == 8
    assert all(len(code) == 16 and code.isalnum() for code in codes)
    assert code_of(KEY, *awards[0]) == ONE.code
