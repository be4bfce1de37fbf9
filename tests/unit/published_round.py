"""A round as it may end: people with several attempts, ties, lateness, disqualifications, extra time, excluded accounts."""

from __future__ import annotations

import io
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

from services.events import RoundPlan
from services.kit.clock import us_of
from services.kit.notary import Notary
from services.quiz.receipts import digest_of
from services.scoring import awards, domain, handlers, publication
from services.scoring.domain import MINUTE, Judged
from services.scoring.draw import Beacon, Drawing
from services.scoring.prizes import Prize, UnitFigure
from services.scoring.publication import Final

OPENS = datetime(2023, 5, 19, 1, tzinfo=UTC)
PLAN = RoundPlan(
    id="hai-phong-2023.tuan-1",
    contest="hai-phong-2023",
    name="Tuần 1",
    opens=OPENS,
    closes=OPENS + timedelta(days=7),
    questions=20,
    minutes=15,
    attempts=3,
    counting="best",
    ranking=("correct desc", "prediction_gap asc", "elapsed asc"),
    prediction="Có bao nhiêu người trả lời đúng tất cả các câu hỏi của tuần này?",
    show_score="at_once",
    show_key="after_close",
    state="closed",
)
PRIZES = (
    Prize(name="Giải Nhất", count=1),
    Prize(name="Giải Nhì", count=2),
    Prize(name="Giải Ba", count=5),
    Prize(name="Giải Khuyến khích", count=10),
)
UNIT_PRIZES = (
    Prize(name="Đơn vị có tỷ lệ người dự thi cao nhất", count=3, by="rate", least=50),
    Prize(name="Đơn vị có nhiều người dự thi nhất", count=3, by="people"),
)
NOTARY = Notary(bytes(range(32)))
DRAWING = Drawing(
    seed=bytes(reversed(range(32))),
    beacon=Beacon(source="Giải đặc biệt Xổ số miền Bắc ngày 27/5/2023", value="48210"),
)
SALT = b"salt" * 8


def answers_of(participant: str, n: int) -> str:
    """What an attempt handed in, for its receipt."""
    rng = Random(f"{participant}/{n}")
    return "".join(rng.choice("ABCD") for _ in range(PLAN.questions))


def judge(rng: Random, participant: str, n: int, deadlines: dict[str, int]) -> Judged:
    """An attempt at a time of few values, so that many are equal."""
    started = us_of(PLAN.opens) + rng.randrange(7 * 24 * 60) * MINUTE
    received = started + rng.choice([4, 5, 9, 14, 15, 16]) * MINUTE + rng.randrange(2) * 1_000_000
    prediction = rng.choice([None, 50, 60, 70, 80, 100])
    verdict = domain.verdict(started, received, PLAN.minutes, us_of(PLAN.closes))
    if verdict == "late" and rng.random() < 0.3:
        deadlines[f"{participant}:{PLAN.id}:{n}"] = received
        verdict = "valid"
    if rng.random() < 0.02:
        verdict = "disqualified"
    return Judged(
        participant=participant,
        round=PLAN.id,
        n=n,
        unit=f"HP-{rng.randrange(12):02d}",
        categories=(),
        started=started,
        received=received,
        digest=digest_of(received, answers_of(participant, n), prediction),
        prediction=prediction,
        verdict=verdict,
        correct=min(20, int(rng.triangular(5, 24, 19))),
        total=20,
        key_version=1,
        rules=0,
    )


def final_round(people: int, seed: int = 1, *, plan: RoundPlan = PLAN) -> Final:
    """A finalised round of so many people."""
    rng = Random(seed)
    deadlines: dict[str, int] = {}
    ids = [f"p{number:06d}" for number in range(people)]
    judged = [judge(rng, who, n, deadlines) for who in ids for n in range(1, rng.randrange(1, 4) + 1)]
    valid = [handlers.entry(each, f"Nguyễn V*** {each.participant}") for each in judged if each.verdict == "valid"]
    perfect = domain.perfect(valid)
    rows = domain.standings(valid, plan.counting, plan.ranking, perfect)
    homes = Counter(awards.latest_units(judged).values())
    units = {f"HP-{number:02d}": homes[f"HP-{number:02d}"] for number in range(12)}
    headcounts = dict(zip(units, [None, 10, 60, 100, 100, 200, 200, 300, 400, 500, 500, 2000], strict=True))
    return Final(
        plan=plan,
        title="Hải Phòng làm theo lời Bác",
        owner="Ban Tuyên giáo Thành ủy Hải Phòng",
        timezone="Asia/Ho_Chi_Minh",
        judged=judged,
        rows=rows,
        perfect=perfect,
        key_version=1,
        finalised_at=plan.closes + timedelta(days=2),
        salt=SALT,
        reasons={each.attempt: "same-person" for each in judged if each.verdict == "disqualified"},
        deadlines=deadlines,
        excluded={rows[1].participant: "organiser"} if len(rows) > 1 else {},
        names={rows[0].participant: "Nguyễn Thị Ánh Nguyệt"} if rows else {},
        prizes=PRIZES,
        unit_prizes=UNIT_PRIZES,
        units=tuple(
            UnitFigure(code=code, name=f"Phường {code}", people=count, headcount=headcounts[code], within=(code,))
            for code, count in units.items()
        ),
        drawing=DRAWING,
        committed_at=plan.opens - timedelta(hours=1),
    )


def written(final: Final) -> bytes:
    """The published file."""
    out = io.BytesIO()
    publication.write(out, final, publication.conclude(final), NOTARY)
    return out.getvalue()
