"""The rules of a round in plain words, with examples: made of the very data that papers are judged and ranked by. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.events import RoundPlan

FAVOURS = {
    "correct desc": "đúng nhiều câu hơn",
    "prediction_gap asc": "dự đoán gần hơn",
    "elapsed asc": "làm nhanh hơn",
    "received_at asc": "nộp sớm hơn",
}
"""What each criterion of a ranking favours, inside a sentence."""

COUNTS = {
    "best": "Bình thi hai lượt, đúng {first} rồi {last} câu: lượt tốt nhất ({last} câu) được tính.",
    "first": "Bình thi hai lượt, đúng {first} rồi {last} câu: chỉ lượt đầu ({first} câu) được tính.",
    "last": "Bình thi hai lượt, đúng {first} rồi {last} câu: chỉ lượt cuối ({last} câu) được tính.",
}

EQUALS = {
    "correct desc": "Hai người cùng đúng {a} câu: xét tiếp.",
    "prediction_gap asc": "Kết quả thật là {truth}; cả hai cùng dự đoán lệch {a}: xét tiếp.",
    "elapsed asc": "Hai người làm bài cùng {a} giây: xét tiếp.",
    "received_at asc": "Hai bài nộp cùng lúc {a}: xét tiếp.",
}

DECIDES = {
    "correct desc": "An đúng {a} câu, Bình đúng {b} câu: An xếp trên.",
    "prediction_gap asc": "Kết quả thật là {truth}. An dự đoán lệch {a}, Bình lệch {b}: An xếp trên.",
    "elapsed asc": "An làm bài trong {a} giây, Bình trong {b} giây: An xếp trên.",
    "received_at asc": "An nộp lúc {a}, Bình nộp lúc {b}: An xếp trên.",
}


@dataclass(frozen=True)
class Sentence:
    """A sentence of the catalogue, and what its braces stand for."""

    text: str
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Explained:
    """`rules` say what holds; `cases` are examples, each a list of steps that ends in who is ahead."""

    rules: Sequence[Sentence]
    cases: Sequence[Sequence[Sentence]]


def explain(plan: RoundPlan) -> Explained:
    """What the rules of a round mean."""
    return Explained(list(_rules(plan)), [*_counting(plan), *_ranking(plan)])


def _rules(plan: RoundPlan) -> Sequence[Sentence]:
    rules = [
        Sentence(
            "Mỗi lượt có {questions} câu, làm trong {minutes} phút; mỗi người thi tối đa {attempts} lượt một vòng.",
            {"questions": plan.questions, "minutes": plan.minutes, "attempts": plan.attempts},
        )
    ]
    if plan.prediction:
        rules.append(Sentence("Mỗi bài còn có một câu dự đoán. Dự đoán không cộng điểm; nó chỉ phân hơn kém khi bằng nhau."))
    rules.append(Sentence("Ai bằng nhau ở mọi tiêu chí thì đồng hạng; nếu chỉ còn một giải, Ban Tổ chức bốc thăm công khai."))
    return rules


def _counting(plan: RoundPlan) -> Sequence[Sequence[Sentence]]:
    if plan.attempts < 2:
        return []
    return [[Sentence(COUNTS[plan.counting], {"first": max(plan.questions - 4, 0), "last": max(plan.questions - 2, 1)})]]


def _ranking(plan: RoundPlan) -> Sequence[Sequence[Sentence]]:
    """One case a criterion: equal in all before it, and decided by it."""
    known = [name for name in plan.ranking if name in DECIDES]
    return [
        [*(_step(plan, EQUALS, before) for before in known[:at]), _step(plan, DECIDES, name)] for at, name in enumerate(known)
    ]


def _step(plan: RoundPlan, sentences: Mapping[str, str], name: str) -> Sentence:
    right = max(plan.questions - 2, 1)
    figures: dict[str, tuple[object, object]] = {
        "correct desc": (right, right - 1),
        "prediction_gap asc": (50, 100),
        "elapsed asc": (412, 530),
        "received_at asc": ("08:15", "09:40"),
    }
    an, binh = figures[name]
    return Sentence(sentences[name], {"a": an, "b": binh, "truth": 1200})
