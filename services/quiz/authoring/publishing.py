"""Publishing: draws and seals the papers of a round, then tells everyone. Done again after a crash, to the same end.

The order makes it so: (1) one write makes the round `published` in the draft and keeps the publication beside it, untold;
(2) papers are inserted, sealed, and the first of them stand; (3) the texts; (4) the event; (5) told. Who finds an untold
publication, in a later command or the worker, does (2) to (5). Where the bank has changed since the round was approved, (2) takes
the publication back instead: the round is a draft again and says why.
"""

from __future__ import annotations

import random
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog
from bson import Binary

from services.events import ContestPublished, RoundKeyed, RoundPlan, encode
from services.kit.bus import MIB
from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.kit.store import FACTS, insert_facts, store_errors
from services.quiz.authoring.approval import BANK_CHANGED, changed, seen
from services.quiz.authoring.checklist import blocked, checklist
from services.quiz.authoring.drafts import ContestDraft
from services.quiz.authoring.sealing import Seal
from services.quiz.authoring.store import Drafts
from services.quiz.bank.store import Bank
from services.quiz.domain import Paper, PaperQuestion, Question, draw, picture_path
from services.quiz.shelf import ShelvedPaper

KEY_VERSION = 1

log = structlog.get_logger(__name__)


MOST_BYTES = 7 * 1024 * 1024
"""Of a publication. The topic takes a little more; the store keeps two of them in one document, which has 16 MiB at most."""


def check_size(publication: ContestPublished) -> None:
    """Raises Problem 422 where the units are more than one event can carry."""
    size = len(encode(publication))
    if size > MOST_BYTES:
        raise Problem(
            422, "too-large", "Danh sách đơn vị quá lớn: cuộc thi chiếm {size} MB, nhiều nhất {most} MB.", field="units",
            size=f"{size / MIB:.1f}", most=MOST_BYTES // MIB,
        )  # fmt: skip


def shelved(paper: Paper) -> ShelvedPaper:
    """What people see of a paper."""
    shown = [_shown(question) for question in paper.questions]
    return ShelvedPaper(questions=msgspec.Raw(msgspec.json.encode(shown)), shape=paper.shape)


def _shown(question: PaperQuestion) -> dict[str, Any]:
    shown = {"text": question.text, "options": question.options, "several": question.several}
    if question.picture:
        shown |= {"picture": picture_path(question.picture), "picture_alt": question.picture_alt}
    return shown


class Key(msgspec.Struct, frozen=True):
    """The right answers and the layout of every paper of a round, and the questions that the papers hold, as they lie sealed: a
    correction in the bank touches no paper."""

    papers: dict[str, str]
    layouts: dict[str, tuple[str, ...]]
    questions: tuple[Question, ...] = ()


async def has_papers(runtime: Runtime, round: str) -> bool:
    """Whether a round's papers are drawn. Raises StoreDown."""
    with store_errors():
        return await runtime.store["papers"].find_one({"_id": round}, {"_id": 1}) is not None


async def store_papers(
    runtime: Runtime, round: str, questions: Sequence[Question], blueprint: Mapping[str, int], codes: int
) -> None:
    """Draws a round's papers and stores them and their key, sealed; where it has papers they stay. Raises ValueError where the
    bank is too small, StoreDown."""
    if await has_papers(runtime, round):
        return
    # The seed is kept nowhere: with the bank beside it, it would be the key.
    papers = draw(questions, blueprint, codes, random.Random(secrets.token_hex(32)))
    seal = Seal(runtime.secrets)
    shown = msgspec.json.encode({paper.code: shelved(paper) for paper in papers})
    held = {shown.id for paper in papers for shown in paper.questions}
    key = msgspec.json.encode(
        Key(
            {paper.code: paper.key for paper in papers},
            {paper.code: paper.layout for paper in papers},
            tuple(question for question in questions if question.id in held),
        )
    )
    sealed = {"papers": Binary(seal.close(round, "papers", shown)), "key": Binary(seal.close(round, "key", key))}
    await insert_facts(runtime.store["papers"], [{"_id": round, **sealed, "told": False}])


class KeyTeller:
    """Tells scoring the key of each round that has opened, once it has."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime, self._seal = runtime, Seal(runtime.secrets)
        self._told: set[str] = set()

    async def tell(self, plan: RoundPlan) -> None:
        """Tells the key of a round whose opening has come. Raises StoreDown, BusDown; again is no harm."""
        if plan.id in self._told:
            return
        papers = self._runtime.store["papers"].with_options(write_concern=FACTS)
        with store_errors():
            found = await papers.find_one({"_id": plan.id}, {"key": 1, "told": 1})
        if found is None:
            log.error("round.without_papers", round=plan.id)
            return
        if not found["told"]:
            key = msgspec.json.decode(self._seal.open(plan.id, "key", found["key"]), type=Key)
            keyed = RoundKeyed(time=plan.opens, round=plan.id, version=KEY_VERSION, papers=key.papers, layouts=key.layouts)
            await self._runtime.bus.publish([self._runtime.outgoing(keyed)])
            with store_errors():
                await papers.update_one({"_id": plan.id}, {"$set": {"told": True}})
            log.info("round.keyed", round=plan.id)
        self._told.add(plan.id)


class Publisher:
    """Publishes what is approved."""

    def __init__(self, runtime: Runtime, drafts: Drafts, bank: Bank) -> None:
        self._runtime, self._drafts, self._bank = runtime, drafts, bank

    async def publish(self, draft: ContestDraft, round: str | None) -> ContestDraft:
        """Publishes a contest with a round more, or with changed texts and units alone. Raises Problem 409 or 422, StoreDown,
        BusDown: then it may or may not have happened, and will be whole once the worker has passed."""
        now = self._runtime.clock.now()
        await self.finish()
        new = await self._with_round(draft, round) if round else draft
        if not any(one.stage == "published" for one in new.rounds):
            raise Problem(409, "no-round", "Cuộc thi được công bố cùng vòng đầu tiên: hãy duyệt và công bố một vòng.")
        if not new.units or not new.categories or not new.consent_text:
            raise Problem(422, "incomplete", "Cuộc thi còn thiếu đơn vị, đối tượng hoặc nội dung đồng ý.")
        new = msgspec.structs.replace(new, published=draft.published + 1)
        publication = new.publication(now)
        check_size(publication)
        await self._drafts.save(new, publication)
        await self.finish()
        saved = await self._drafts.get(draft.id)
        kept = saved.round(round) if round else None
        if kept is not None and kept.stage != "published":
            raise Problem(409, "approval", kept.returned, field="round")
        return saved

    async def _with_round(self, draft: ContestDraft, id: str) -> ContestDraft:
        round = draft.round(id)
        if round is None:
            raise Problem(404, "round", "Không có vòng thi này.", field="round")
        if round.stage != "approved":
            raise Problem(409, "not-approved", "Vòng thi phải được duyệt trước khi công bố.", field="round")
        bank = await self._bank.questions(draft.id)
        points = checklist(draft, round, Counter(question.topic for question in bank), self._runtime.clock.now())
        if missing := blocked(points):
            raise Problem(409, "checklist", "Chưa công bố được: còn {n} điều chưa đạt.", field="round", n=len(missing))
        if why := changed(draft, round, bank):
            await self._drafts.save(draft.with_round(round.as_draft(why)))
            raise Problem(409, "approval", why, field="round")
        return draft.with_round(msgspec.structs.replace(round, stage="published"))

    async def finish(self) -> None:
        """Does what is left of every publication that was begun."""
        for draft, event, texts in await self._drafts.untold():
            undrawn = [plan.id for plan in event.rounds if not await self._drawn(draft, plan.id)]
            if undrawn:
                await self._take_back(draft, event, undrawn)
                continue
            await self._drafts.show_texts(draft.id, texts)
            await self._runtime.bus.publish([self._runtime.outgoing(event)])
            await self._drafts.told(draft.id, event.revision)
            log.info("contest.published", contest=draft.id, revision=event.revision)

    async def _drawn(self, draft: ContestDraft, id: str) -> bool:
        """Draws the papers of a round, once; False where the bank is not what was approved: that had passed the checklist."""
        if await has_papers(self._runtime, id):
            return True
        round, questions = draft.round(id), await self._bank.questions(draft.id)
        if round is None or round.approval is None or round.approval.bank != seen(draft, round, questions).bank:
            return await has_papers(self._runtime, id)  # another process may have drawn them before the bank changed
        await store_papers(self._runtime, id, questions, round.rules.blueprint, round.rules.codes)
        return True

    async def _take_back(self, draft: ContestDraft, event: ContestPublished, undrawn: Sequence[str]) -> None:
        """Makes drafts again of the rounds whose papers cannot be drawn; nobody has been told of this publication."""
        kept = msgspec.structs.replace(draft, published=event.revision - 1)
        for round in draft.rounds:
            if round.id in undrawn:
                kept = kept.with_round(round.as_draft(BANK_CHANGED))
        await self._drafts.take_back(kept)
        log.warning("contest.taken_back", contest=draft.id, rounds=list(undrawn))
