"""The figures of a small report: a district with a unit that is not counted, a merged ward, and texts that are no formulas."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from services.reporting.report.figures import (
    CategoryLine,
    Figures,
    Form,
    LaggingLine,
    Named,
    PersonPrize,
    RoundLine,
    UnitLine,
    UnitPrize,
)

OPENS = datetime(2023, 5, 19, 1, tzinfo=UTC)
AS_OF = datetime(2023, 6, 9, 1, tzinfo=UTC)

FIGURES = Figures(
    contest="hp",
    title="Hải Phòng làm theo lời Bác",
    kind="Cuộc thi trắc nghiệm trên Internet",
    timezone="Asia/Ho_Chi_Minh",
    documents=(Named(number="57-KH/BTGTU", date="2023-05-04", issuer="Ban Tuyên giáo Thành ủy", title="Kế hoạch"),),
    as_of=AS_OF,
    since=OPENS,
    before=AS_OF - timedelta(days=7),
    unit=UnitLine(code="KA", name="Quận Kiến An", headcount=3000, people=1065, attempts=1804, perfect="withheld", before=900),
    whole=False,
    ranking="people",
    units=(
        UnitLine(
            code="A", name="Phường A", place="1", superior="Quận Kiến An", headcount=1048, people=681, attempts=1200,
            perfect="withheld", before=700, rank=1, note="Gồm Phường C",
        ),
        UnitLine(
            code="B", name="=Phường B", place="2", superior="Quận Kiến An", people=384, attempts=604, perfect="withheld",
            before=200, rank=2,
        ),
    ),
    categories=(
        CategoryLine(name="Giáo viên", headcount=7, people=2, target=87.5),
        CategoryLine(name="Đảng viên", headcount=None, people=12, target=100),
        CategoryLine(name="Nhân dân", headcount=None, people=9, target=None),
    ),
    rounds=(
        RoundLine(
            name="Tuần 1", opens=OPENS, closes=OPENS + timedelta(days=7), people=800, attempts=900, perfect=31, correct=2,
            total=3,
        ),
        RoundLine(
            name="Tuần 2", opens=OPENS + timedelta(days=7), closes=OPENS + timedelta(days=28), people=700, attempts=904,
            perfect="withheld", correct="withheld", total="withheld",
        ),
    ),
    persons=(
        PersonPrize(
            prize="Giải Nhất", round="Tuần 1", name="N*** V** An", unit="Phường A", correct=20, predicted=1500, gap=3,
            received_at=OPENS,
        ),
    ),
    prizes=(
        UnitPrize(prize="Nhất", round="", unit="Phường A", by="rate", figure=64.95),
        UnitPrize(prize="Nhì", round="", unit="Phường A", by="people", figure=681),
    ),
    lagging=(
        LaggingLine(
            code="A", name="Phường A", people=681, attempts=1200, headcount=1048, reminded=2, last=AS_OF,
            deadline=date(2023, 6, 30),
        ),
    ),
    average=35.5,
    headcount_day="2023-05-15",
    excluded=1234,
    link="https://thi.example/q/A",
)  # fmt: skip

FORM = Form(
    style="party",
    superior="Đảng bộ thành phố Hải Phòng",
    issuer="Quận ủy Kiến An",
    place="Kiến An",
    symbol="BC/QU",
    letter_symbol="CV/QU",
    addressees=("Thường trực Quận ủy",),
    recipients=("Như trên;", "Lưu VP."),
    behalf="T/L BAN THƯỜNG VỤ",
    signer_title="CHÁNH VĂN PHÒNG",
    signer="Nguyễn Văn An",
    deadline=date(2023, 6, 30),
)
