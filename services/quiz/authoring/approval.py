"""What an approval is bound to: the contest's texts and units, the round, and the questions that its papers are drawn from. Pure.

What is published is what was approved: papers are drawn from the bank as it is then, so a bank that has changed since, however
little, asks for another approval.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from services.quiz.authoring.drafts import Approval, ContestDraft, RoundDraft
from services.quiz.domain import Question, draws

TEXTS_CHANGED = "Thông tin cuộc thi, đơn vị hoặc vòng thi đã thay đổi sau khi duyệt. Hãy gửi duyệt lại."
BANK_CHANGED = "Ngân hàng câu hỏi đã thay đổi sau khi duyệt. Hãy gửi duyệt lại."


def seen(draft: ContestDraft, round: RoundDraft, bank: Sequence[Question]) -> Approval:
    """What who approves a round now, agrees to. `bank` holds the questions in use."""
    rest = msgspec.structs.replace(draft, rules=round.rules, rounds=(), revision=0, published=0)
    plan = (round.id, round.name, round.opens, round.closes)
    return Approval(texts=_digest([rest, plan]), bank=_digest([q for q in bank if draws(q.topic, round.rules.blueprint)]))


def changed(draft: ContestDraft, round: RoundDraft, bank: Sequence[Question]) -> str:
    """A sentence on what is not as it was approved; "" where all is."""
    now = seen(draft, round, bank)
    if round.approval is None or round.approval.texts != now.texts:
        return TEXTS_CHANGED
    return BANK_CHANGED if round.approval.bank != now.bank else ""


def _digest(what: object) -> str:
    return blake2b(msgspec.json.encode(what, order="deterministic"), digest_size=16).hexdigest()
