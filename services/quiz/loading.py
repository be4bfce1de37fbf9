"""Loads a contest directory: draws the papers, stores them, and publishes the contest. A second load of the same is no change.

The order makes a crash harmless: the contest's document with its seed comes first, all that follows is drawn from it, and the
event that makes the contest visible comes last. So a load that was cut off is done again, to the same end.
"""

from __future__ import annotations

import random
import secrets
from pathlib import Path
from typing import Any

import msgspec
from bson import Binary

from services.events import ContestBook, ContestPublished, RoundKeyed, RoundPlan, decode
from services.kit.cloudevents import type_of
from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.kit.store import insert_facts, store_errors
from services.quiz.bank.store import Bank
from services.quiz.contest_files import ContestFiles, read_contest, shift
from services.quiz.domain import Paper, PaperQuestion, draw, picture_path
from services.quiz.shelf import ShelvedPaper

KEY_VERSION = 1


async def load(runtime: Runtime, directory: Path, *, shifted: bool = False) -> str:
    """Loads a contest and returns its id. `shifted` moves its rounds so that the first is open now.

    Raises ContestErrors with every fault of the files, Problem 409 where a contest of that id was loaded from other files.
    """
    files = read_contest(directory)
    digest = files.digest
    if shifted:
        files = shift(files, runtime.clock.now())
    published = files.published(runtime.clock.now())
    document = await _claim(runtime, files, published, digest)
    await Bank(runtime.store, runtime.clock).add(published.contest, files.questions, "contest load", f"files-{digest}")
    published = msgspec.json.decode(document["published"], type=ContestPublished)
    for plan in published.rounds:
        await _publish_papers(runtime, files, plan, document["seed"])
    if published.contest not in await _visible(runtime):
        await runtime.bus.publish([runtime.outgoing(published)])
    return published.contest


async def _claim(runtime: Runtime, files: ContestFiles, published: ContestPublished, digest: str) -> dict[str, Any]:
    """The contest's document: this one, or the one that stands."""
    contests = runtime.store["contests"]
    document = {
        "_id": published.contest,
        "digest": digest,
        "seed": secrets.token_hex(16),
        "published": Binary(msgspec.json.encode(published)),
        "consent": {"version": files.consent_version, "text": files.consent_text},
        "bank": Binary(msgspec.json.encode(files.questions)),
    }
    await insert_facts(contests, [document])
    with store_errors():
        standing = await contests.find_one({"_id": published.contest})
    assert standing is not None
    if standing["digest"] != digest:
        raise Problem(
            409,
            "contest-exists",
            "Cuộc thi {id} đã được nạp từ bộ tệp khác. Hãy đặt mã khác cho cuộc thi mới.",
            id=published.contest,
        )
    return standing


async def _publish_papers(runtime: Runtime, files: ContestFiles, plan: RoundPlan, seed: str) -> None:
    """Draws a round's papers, stores what people see of them, and tells scoring the key."""
    papers = draw(files.questions, files.blueprint, files.codes, random.Random(f"{seed}/{plan.id}"))
    body = msgspec.json.encode({paper.code: _shelved(paper) for paper in papers})
    await insert_facts(runtime.store["papers"], [{"_id": plan.id, "body": Binary(body)}])
    keyed = RoundKeyed(
        time=runtime.clock.now(),
        round=plan.id,
        version=KEY_VERSION,
        papers={paper.code: paper.key for paper in papers},
        layouts={paper.code: paper.layout for paper in papers},
    )
    await runtime.bus.publish([runtime.outgoing(keyed)])


def _shelved(paper: Paper) -> ShelvedPaper:
    shown = [_shown(question) for question in paper.questions]
    return ShelvedPaper(questions=msgspec.Raw(msgspec.json.encode(shown)), shape=paper.shape)


def _shown(question: PaperQuestion) -> dict[str, Any]:
    shown = {"text": question.text, "options": question.options, "several": question.several}
    if question.picture:
        shown |= {"picture": picture_path(question.picture), "picture_alt": question.picture_alt}
    return shown


async def _visible(runtime: Runtime) -> set[str]:
    """The contests that everyone has been told of."""
    book = ContestBook()
    for record in await runtime.bus.read("contests"):
        book.apply(decode(type_of(record.headers), record.value))
    return set(book.contests)
