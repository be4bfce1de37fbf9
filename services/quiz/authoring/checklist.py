"""What a round still lacks before it may be published, each point in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.quiz.authoring.drafts import ContestDraft, RoundDraft
from services.quiz.domain import REST


@dataclass(frozen=True)
class Point:
    """One point: whether it is in order, and whether it blocks publishing where it is not. `text` is a sentence of the catalogue,
    `page` the page of the console that mends it: below the contest's, or from `/console` on."""

    ok: bool
    text: str
    page: str = ""
    blocks: bool = True
    values: Mapping[str, object] = field(default_factory=dict)


def blocked(points: list[Point]) -> list[Point]:
    """The points that stand in the way."""
    return [point for point in points if point.blocks and not point.ok]


def checklist(contest: ContestDraft, round: RoundDraft, topics: Mapping[str, int], now: datetime) -> list[Point]:
    """Every point of a round, before it is submitted and again before it is published. `topics` counts the bank's questions."""
    return [*_contest(contest), *_dates(contest, round, now), *_paper(contest, round, topics), *_ranking(round)]


def _contest(contest: ContestDraft) -> Iterator[Point]:
    yield Point(bool(contest.title and contest.owner), "Cuộc thi có tên và đơn vị tổ chức.", "/sua")
    yield Point(bool(contest.consent_text), "Có nội dung đồng ý xử lý thông tin cá nhân.", "/sua")
    yield Point(bool(contest.categories), "Có ít nhất một đối tượng dự thi.", "/sua")
    yield Point(bool(contest.units), "Có danh sách đơn vị.", "/don-vi")
    yield Point(bool(contest.documents), "Có văn bản làm căn cứ (nên có).", "/sua", blocks=False)


def _dates(contest: ContestDraft, round: RoundDraft, now: datetime) -> Iterator[Point]:
    page = f"/vong/{round.slug}/sua"
    yield Point(round.opens < round.closes, "Vòng thi mở trước khi đóng.", page)
    yield Point(round.closes > now, "Lúc đóng còn ở phía trước.", page)
    yield Point(round.opens >= now, "Lúc mở còn ở phía trước; nếu không, vòng mở ngay khi công bố.", page, blocks=False)
    yield Point(
        round.closes - round.opens >= timedelta(minutes=round.rules.minutes),
        "Vòng thi dài hơn thời gian của một lượt ({minutes} phút).", page, values={"minutes": round.rules.minutes},
    )  # fmt: skip
    other = next((o for o in contest.rounds if o.id != round.id and o.opens < round.closes and round.opens < o.closes), None)
    if other is None:
        yield Point(True, "Không trùng thời gian với vòng khác.", page)
    else:
        yield Point(False, "Trùng thời gian với {other}.", page, values={"other": other.name})


def _paper(contest: ContestDraft, round: RoundDraft, topics: Mapping[str, int]) -> Iterator[Point]:
    rules, bank = round.rules, f"/console/bank?contest={contest.id}"
    yield Point(rules.questions > 0, "Đề có câu hỏi.", f"/vong/{round.slug}/sua")
    for topic, wanted in rules.blueprint.items():
        named = {name for name in rules.blueprint if name != REST}
        there = sum(n for name, n in topics.items() if name not in named) if topic == REST else topics.get(topic, 0)
        text = "Chủ đề “{topic}”: đề cần {wanted} câu, ngân hàng có {there}."
        if topic == REST:
            text = "Các chủ đề còn lại: đề cần {wanted} câu, ngân hàng có {there}."
        yield Point(there >= wanted, text, bank, values={"topic": topic, "wanted": wanted, "there": there})
        if wanted <= there < 2 * wanted and rules.codes > 1:
            text = "Nên có ít nhất gấp đôi số câu đề cần, để các mã đề khác nhau: {there}/{twice}."
            yield Point(False, text, bank, blocks=False, values={"there": there, "twice": 2 * wanted})
    yield Point(
        rules.codes >= rules.attempts, "Đủ mã đề để mỗi lượt của một người là một đề khác ({codes}/{attempts}).",
        f"/vong/{round.slug}/sua", blocks=False, values={"codes": rules.codes, "attempts": rules.attempts},
    )  # fmt: skip


def _ranking(round: RoundDraft) -> Iterator[Point]:
    rules, page = round.rules, f"/vong/{round.slug}/sua"
    by_prediction = "prediction_gap asc" in rules.ranking
    yield Point(bool(rules.ranking), "Có thứ tự xếp hạng.", page)
    if by_prediction or rules.prediction:
        yield Point(bool(rules.prediction) or not by_prediction, "Xếp hạng theo dự đoán thì đề phải có câu dự đoán.", page)
        yield Point(by_prediction, "Câu dự đoán được dùng khi xếp hạng.", page, blocks=False)
